// A run as a row: what it made, its time beside that of the longest, its nodes.
import { element } from "../dom.ts";
import { count, seconds } from "../units.ts";
import type { RunStats } from "./protocol.ts";

interface Acts {
  /** Choose this run alone. */
  only: () => void;
  toggle: (on: boolean) => void;
}

export function runRow(run: RunStats, longest: number, chosen: boolean, { only, toggle }: Acts): HTMLElement {
  const name = run.label || run.session.slice(0, 8);
  const tick = element("input", {
    type: "checkbox",
    "aria-label": `choose the run ${name} of ${startOf(run)}`,
    "data-key": `run ${run.session}`,
    on: { change: () => toggle(tick.checked), click: (event) => event.stopPropagation() },
  });
  tick.checked = chosen;
  const bar = element("div", { class: "nbp-stats-bar" });
  bar.style.width = `${Math.max(1, (100 * run.seconds) / longest).toFixed(1)}%`;
  return element(
    "tr",
    { class: chosen && "nbp-chosen", "data-session": run.session, title: run.session, on: { click: only } },
    element("td", { class: "nbp-stats-tick" }, tick),
    element("td", { class: "nbp-stats-label" }, element("div", { class: "nbp-clip" }, name)),
    element("td", { class: "nbp-stats-share" }, bar),
    element("td", { class: "nbp-number" }, seconds(run.seconds)),
    element(
      "td",
      { class: "nbp-soft nbp-stats-facts" },
      count(run.nodes, "node"),
      run.cached > 0 && `, ${run.cached} cached`,
      run.failed > 0 && element("span", { class: "nbp-stats-failed" }, `, ${run.failed} failed`),
    ),
    element("td", { class: "nbp-soft nbp-number" }, startOf(run)),
  );
}

/** The time of day, with the day unless it is today. */
function startOf({ started }: RunStats, now = new Date()): string {
  const time = new Date(started * 1000);
  const clock = time.toLocaleTimeString([], { hour12: false });
  return time.toDateString() === now.toDateString()
    ? clock
    : `${time.toLocaleDateString([], { day: "numeric", month: "short" })} ${clock}`;
}
