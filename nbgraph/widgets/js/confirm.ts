// Asks once before something goes for good, and lists what would go.
import "./confirm.css";

import { element } from "./dom.ts";

const SHOWN = 12;

export interface Question {
  label: string;
  ask: string;
  what: string;
  /** What goes, as [name, kind]; `total` may be more than what is listed. */
  items: [string, string][];
  total: number;
  act: string;
}

/** A panel in place of a dialog: `act` when the person agrees, `leave` on Keep and Escape. */
export function confirmation(question: Question, act: () => void, leave: () => void): HTMLElement {
  const keep = element("button", { class: "nbp-button", type: "button", on: { click: leave } }, "Keep");
  const go = element("button", { class: "nbp-button nbp-danger", type: "button", on: { click: act } }, question.act);
  const items = question.items
    .slice(0, SHOWN)
    .map(([name, kind]) => element("li", {}, name, element("span", { class: "nbp-soft" }, ` ${kind}`)));
  if (question.total > items.length)
    items.push(element("li", { class: "nbp-soft" }, `and ${question.total - items.length} more`));
  const panel = element(
    "div",
    { class: "nbp-confirm", role: "alertdialog", "aria-label": question.label },
    element(
      "div",
      {},
      element("strong", {}, question.ask),
      ` ${question.what}`,
      items.length ? element("ul", {}, ...items) : null,
    ),
    element("div", { class: "nbp-confirm-buttons" }, keep, go),
  );
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
  });
  queueMicrotask(() => keep.focus());
  return panel;
}
