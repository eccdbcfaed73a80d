// The form that says how much the cache may keep.
import { element } from "../dom.ts";
import type { Status } from "./protocol.ts";

const MB = 2 ** 20;

/** A button that unfolds two numbers; `change` with what was typed when it is set. */
export function limits(change: (limits: { max_entries: number; max_bytes: number }) => void): {
  root: HTMLElement;
  show: (status: Status) => void;
} {
  const entries = element("input", {
    type: "number",
    class: "nbp-input",
    min: 0,
    step: 1,
    "aria-label": "most entries",
  });
  const size = element("input", {
    type: "number",
    class: "nbp-input",
    min: 0,
    step: 1,
    "aria-label": "most megabytes",
  });
  const form = element(
    "form",
    { class: "nbp-drop nbp-limits" },
    element("label", {}, "Entries", entries),
    element("label", {}, "MB", size),
    element("button", { class: "nbp-button nbp-main", type: "submit" }, "Set"),
  );
  const root = element("details", { class: "nbp-menu" }, element("summary", { class: "nbp-button" }, "Limit"), form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    root.open = false;
    change({
      max_entries: Math.round(entries.valueAsNumber) || 0,
      max_bytes: Math.round(size.valueAsNumber * MB) || 0,
    });
  });
  const show = (status: Status): void => {
    if (root.open) return;
    entries.value = String(status.maxEntries);
    size.value = String(Math.round(status.maxBytes / MB));
  };
  return { root, show };
}
