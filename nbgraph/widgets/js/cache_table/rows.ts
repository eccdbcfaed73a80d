// The table of entries: headings that sort, rows that can be ticked.
import { attribute, element } from "../dom.ts";
import { age, bytes, seconds } from "../units.ts";
import type { Column, Entry } from "./protocol.ts";

const HEADINGS: [Column, string][] = [
  ["node", "Node"],
  ["type", "Type"],
  ["created", "Age"],
  ["hits", "Hits"],
  ["bytes", "Size"],
  ["seconds", "Took"],
  ["resources", "Resources"],
];

export interface Sort {
  column: Column;
  descending: boolean;
}

/** The row of headings; `sortBy(column)` when one is chosen, `all` is the box that ticks every row of the page. */
export function heading(
  all: HTMLElement,
  sortBy: (column: Column) => void,
): { row: HTMLElement; show: (sort: Sort) => void } {
  const cells = HEADINGS.map(([column, text]) =>
    element(
      "th",
      { scope: "col", class: `nbp-${column}` },
      element("button", { class: "nbp-sort", type: "button", on: { click: () => sortBy(column) } }, text),
    ),
  );
  const show = (sort: Sort): void =>
    HEADINGS.forEach(([column], place) => {
      const direction = sort.descending ? "descending" : "ascending";
      attribute(cells[place], "aria-sort", column === sort.column ? direction : "none");
    });
  const picture = element("th", { scope: "col" }, element("span", { class: "nbp-unseen" }, "picture"));
  return { row: element("tr", {}, element("th", { scope: "col" }, all), picture, ...cells), show };
}

/** One entry; `ticked(on)` when its box changes. */
export function entryRow(entry: Entry, url: string, chosen: boolean, ticked: (on: boolean) => void): HTMLElement {
  const box = element("input", {
    type: "checkbox",
    checked: chosen,
    "aria-label": `choose ${entry.node}`,
    "data-key": entry.key,
  });
  const row = element(
    "tr",
    { class: chosen ? "nbp-chosen" : "", title: entry.output },
    element("td", {}, box),
    element(
      "td",
      { class: "nbp-thumbnail" },
      url ? element("img", { src: url, alt: `result of ${entry.node}` }) : null,
    ),
    element("th", { scope: "row" }, entry.node),
    element("td", { class: "nbp-soft" }, entry.type),
    element("td", { class: "nbp-number" }, age(entry.created)),
    element("td", { class: "nbp-number" }, entry.hits),
    element("td", { class: "nbp-number" }, bytes(entry.bytes)),
    element("td", { class: "nbp-number" }, seconds(entry.seconds)),
    element("td", { class: "nbp-names", title: entry.resources.join("\n") }, resources(entry.resources)),
  );
  box.addEventListener("change", () => {
    row.classList.toggle("nbp-chosen", box.checked);
    ticked(box.checked);
  });
  return row;
}

function resources(names: string[]): string {
  if (!names.length) return "–";
  return names[0].slice(0, 8) + (names.length > 1 ? ` and ${names.length - 1} more` : "");
}
