// What the bundle exports: a widget by the name that its Python class gives as `_widget`.
import { cacheTable } from "./cache_table.ts";
import { editor } from "./editor.tsx";
import { gallery } from "./gallery.ts";
import { queueTable } from "./queue_table.ts";
import { runView } from "./run_view.ts";

export const widgets = { cache_table: cacheTable, editor, gallery, run_view: runView, queue_table: queueTable };
