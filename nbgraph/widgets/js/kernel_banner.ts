// Says above a panel that its kernel is gone, and what to type for a new one; while it is, the panel takes no clicks.
import "./form.css";
import "./kernel.css";
import "./panel.css";

import { element, fill } from "./dom.ts";
import { linkOf } from "./kernel.ts";
import type { Model, Widget } from "./model.ts";

/** What shows each panel again. */
const CALLS: Record<string, string> = {
  gallery: "studio.images",
  cache_table: "studio.cache",
  queue_table: "studio.queue",
  run_view: "studio.queue",
  paint: "studio.paint(image)",
  stats_view: "studio.stats_view()",
};
const GONE = "The kernel was restarted or ended: this shows what there was, and takes no clicks.";
const SILENT = "Waiting for the kernel: it has not answered for a while. A cell may keep it busy.";

/** A text to type, with a button that copies it. */
export function callToCopy(call: string): HTMLElement {
  const code = element("code", {}, call);
  const button = element(
    "button",
    { type: "button", class: "nbk-button", on: { click: () => void copy(call, code, button) } },
    "Copy",
  );
  return element("span", { class: "nbk-call" }, code, button);
}

/** Copy a text; where the page may not, select it, so that the keys do. */
export async function copy(text: string, shown: HTMLElement, button?: HTMLElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    if (button) button.textContent = "Copied";
  } catch {
    getSelection()?.selectAllChildren(shown);
  }
}

/** A panel with its banner; the editor has banners of its own. */
export function withBanner(name: string, panel: Widget): Widget {
  return {
    render({ model, el }) {
      const link = linkOf(model);
      // A compact run view is part of a form, which has a banner of its own.
      if (model.get("compact") === true) return panel.render({ model: link.model, el });
      const banner = element("div", { class: "nbk-banner nbk-hidden", "aria-live": "polite" });
      const body = element("div");
      el.append(banner, body);
      const show = (): void => {
        const { lost, silent } = link.state;
        banner.className = `nbk-banner${lost ? "" : silent ? " nbk-soft" : " nbk-hidden"}`;
        fill(banner, ...(lost ? lostParts(name, model) : silent ? [SILENT] : []));
        body.toggleAttribute("inert", lost);
        body.classList.toggle("nbk-gone", lost);
      };
      const stop = link.subscribe(show);
      show();
      const end = panel.render({ model: link.model, el: body });
      return () => {
        stop();
        end();
        el.replaceChildren();
      };
    },
  };
}

function lostParts(name: string, model: Model): (string | HTMLElement)[] {
  const call = String(model.get("_call") ?? "") || CALLS[name];
  return call ? [`${GONE} Make the studio again, then: `, callToCopy(call)] : [GONE];
}

/** For panels that are built of Jupyter's own controls: only the banner; it asks for an answer when one is used. */
export const kernelBanner: Widget = {
  render({ model, el }) {
    const link = linkOf(model);
    let panel: HTMLElement | null = null;
    const ping = (): void => link.model.send({ type: "ping", request: 1 });
    const attach = (): void => {
      panel = el.closest<HTMLElement>(".nbgraph-controls");
      panel?.addEventListener("pointerdown", ping, true);
      panel?.addEventListener("change", ping, true);
    };
    const show = (): void => {
      if (!panel) return;
      for (const part of panel.children) if (!part.contains(el)) part.toggleAttribute("inert", link.state.lost);
    };
    const stop = link.subscribe(show);
    // A widget is put into its place only after it was drawn.
    const frame = requestAnimationFrame(() => {
      attach();
      show();
    });
    return () => {
      stop();
      cancelAnimationFrame(frame);
      panel?.removeEventListener("pointerdown", ping, true);
      panel?.removeEventListener("change", ping, true);
    };
  },
};
