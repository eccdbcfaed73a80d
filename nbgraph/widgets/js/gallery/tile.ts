// One picture of a page: it opens it, ticks it, stars it.
import { element } from "../dom.ts";
import { age } from "../units.ts";
import type { Picture } from "./protocol.ts";

export interface TileActions {
  open: () => void;
  star: () => void;
  /** Tick or untick this one, or with `range` everything up to it. */
  choose: (range: boolean) => void;
}

/** The tile of a picture at an address; `data-key` says which part of which tile has the focus. */
export function tile(picture: Picture, url: string | undefined, chosen: boolean, actions: TileActions): HTMLElement {
  const { name, starred } = picture;
  const label = `${picture.label}, ${age(picture.created)}`;
  const tick = element("input", {
    type: "checkbox",
    class: "nbp-tick",
    checked: chosen,
    "data-key": `tick ${name}`,
    "aria-label": `choose ${label}`,
    on: { click: (event: MouseEvent) => actions.choose(event.shiftKey) },
  });
  const star = element(
    "button",
    {
      class: `nbp-star${starred ? " nbp-starred" : ""}`,
      type: "button",
      "aria-pressed": String(starred),
      "aria-label": `star ${label}`,
      "data-key": `star ${name}`,
      on: { click: actions.star },
    },
    starred ? "★" : "☆",
  );
  const open = element(
    "button",
    {
      class: "nbp-thumb",
      type: "button",
      "data-key": `open ${name}`,
      title: label,
      "aria-label": `open ${label}`,
      on: {
        click: (event: MouseEvent) => {
          if (event.shiftKey || event.ctrlKey || event.metaKey) actions.choose(event.shiftKey);
          else actions.open();
        },
      },
    },
    url
      ? element("img", { src: url, alt: "", draggable: "false" })
      : element("span", { class: "nbp-soft" }, "no picture"),
  );
  return element(
    "div",
    { class: `nbp-tile${chosen ? " nbp-chosen" : ""}`, role: "listitem" },
    open,
    tick,
    star,
    element(
      "div",
      { class: "nbp-caption" },
      element("span", { class: "nbp-clip" }, picture.label),
      element("span", { class: "nbp-soft" }, age(picture.created)),
    ),
  );
}
