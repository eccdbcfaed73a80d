// What the bundle exports: a widget by the name that its Python class gives as `_widget`.
import { editor } from "./editor.tsx";

export const widgets = { editor };
