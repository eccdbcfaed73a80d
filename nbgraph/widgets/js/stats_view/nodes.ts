// The nodes of the chosen runs, in the columns that are shown.
import { element } from "../dom.ts";
import { count } from "../units.ts";
import type { Stats } from "./protocol.ts";

export function nodesTable({ head, rows, numbers, more }: Stats): HTMLElement[] {
  const kind = (place: number): string | false => numbers[place] && "nbp-number";
  const table = element(
    "table",
    { class: "nbp-table", "aria-label": "nodes" },
    element(
      "thead",
      {},
      element("tr", {}, ...head.map((text, place) => element("th", { scope: "col", class: kind(place) }, text))),
    ),
    element(
      "tbody",
      {},
      ...rows.map((row) =>
        element(
          "tr",
          {},
          ...row.map((text, place) =>
            element(place ? "td" : "th", { scope: place ? null : "row", class: kind(place) }, text),
          ),
        ),
      ),
    ),
  );
  if (!more) return [table];
  return [table, element("p", { class: "nbp-empty" }, `${count(more, "more row")} in the CSV file`)];
}
