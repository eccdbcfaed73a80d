// What the bundle exports: a widget by the name that its Python class gives as `_widget`.
import { cacheTable } from "./cache_table.ts";
import { followTheme } from "./editor/theme.ts";
import { editor } from "./editor.tsx";
import { gallery } from "./gallery.ts";
import { kernelBanner, withBanner } from "./kernel_banner.ts";
import type { Model, Started, Widget } from "./model.ts";
import { paint } from "./paint.ts";
import { queueTable } from "./queue_table.ts";
import { runRemix } from "./run_remix.ts";
import { runView } from "./run_view.ts";
import { statsView } from "./stats_view.ts";

const panels = {
  cache_table: cacheTable,
  gallery,
  kernel_banner: kernelBanner,
  paint,
  run_view: runView,
  queue_table: queueTable,
  stats_view: statsView,
};

export const widgets: Record<string, Widget | Started> = {
  editor,
  run_remix: runRemix,
  ...Object.fromEntries(Object.entries(panels).map(([name, panel]) => [name, themed(withBanner(name, panel))])),
};

/** A panel in the colours of the page around it. */
function themed(panel: Widget): Widget {
  return {
    render(context) {
      const unfollow = followTheme(context.el);
      const clean = panel.render(context);
      return () => {
        unfollow();
        clean();
      };
    },
  };
}

/** For hosts that take the code with each widget, as marimo does; the loader takes `widgets`. */
export default {
  render: (context: { model: Model; el: HTMLElement }) =>
    (widgets[String(context.model.get("_widget"))] as Widget).render(context),
};
