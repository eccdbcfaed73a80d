// What the bundle exports: a widget by the name that its Python class gives as `_widget`.
import { cacheTable } from "./cache_table.ts";
import { editor } from "./editor.tsx";
import { gallery } from "./gallery.ts";
import type { Model } from "./model.ts";
import { queueTable } from "./queue_table.ts";
import { runView } from "./run_view.ts";

export const widgets = { cache_table: cacheTable, editor, gallery, run_view: runView, queue_table: queueTable };

/** For hosts that take the code with each widget, as marimo does; the loader takes `widgets`. */
export default {
  render: (context: { model: Model; el: HTMLElement }) =>
    widgets[context.model.get("_widget") as keyof typeof widgets].render(context),
};
