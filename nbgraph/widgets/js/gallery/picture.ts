// One picture in full size, what is known of it, and the graph that made it.
import { element } from "../dom.ts";
import { button } from "../paging.ts";
import { type Remix, remixBar } from "../remix_bar.ts";
import { bytes } from "../units.ts";
import type { Opened, Picture } from "./protocol.ts";

const SMALL = 192;

export interface PictureActions {
  back: () => void;
  step: (by: number) => void;
  star: () => void;
  remove: () => void;
  /** Not there where there is no studio to run in. */
  remix?: Remix;
}

/** The view of a picture; `full` and `graph` are addresses of its bytes and of the drawing of its graph. */
export function pictureView(opened: Opened, full: string, graph: string, actions: PictureActions): HTMLElement {
  const { picture } = opened;
  const back = button("← All pictures", actions.back);
  const view = element(
    "div",
    { class: "nbp-open", role: "group", "aria-label": `picture ${picture.label}` },
    element(
      "div",
      { class: "nbp-bar" },
      back,
      button("‹", () => actions.step(-1), { "aria-label": "previous picture", title: "Previous (←)" }),
      button("›", () => actions.step(1), { "aria-label": "next picture", title: "Next (→)" }),
      element("span", { class: "nbp-title nbp-clip" }, picture.label),
      element("span", { class: "nbp-space" }),
      button(picture.starred ? "★ Starred" : "☆ Star", actions.star, { "aria-pressed": String(picture.starred) }),
      element("a", { class: "nbp-button", href: full, download: `${picture.name}.png` }, "Save as PNG"),
      button("Delete", actions.remove, { class: "nbp-button nbp-danger" }),
    ),
    remixBar({ ...whereMade(opened, actions.remix), python: opened.python }),
    element(
      "div",
      { class: "nbp-open-body" },
      element("img", {
        class: `nbp-full${crisp(picture)}`,
        src: full,
        alt: `picture ${picture.label}, ${picture.width} by ${picture.height} pixels`,
      }),
      element("div", { class: "nbp-facts" }, facts(opened), values(opened.values)),
    ),
    ...graphParts(opened, graph),
    fold("Metadata", opened.metadata),
  );
  view.addEventListener("keydown", (event) => {
    const act = { Escape: actions.back, ArrowLeft: () => actions.step(-1), ArrowRight: () => actions.step(1) }[
      event.key
    ];
    if (act) act();
  });
  queueMicrotask(() => back.focus({ preventScroll: true }));
  return view;
}

/** What needs the graph of the picture is not offered where there is none. */
const whereMade = ({ graph }: Opened, remix: Remix | undefined): Remix =>
  remix && graph !== "" ? { input: remix.input } : (remix ?? {});

/** Small pictures are shown larger, pixel by pixel rather than blurred. */
export function crisp(picture: Picture): string {
  return picture.width <= SMALL && picture.height <= SMALL ? " nbp-crisp" : "";
}

function facts({ picture }: Opened): HTMLElement {
  const made = new Date(picture.created * 1000);
  const lines: [string, string][] = [
    ["Size", `${picture.width} × ${picture.height}, ${picture.mode}, ${bytes(picture.bytes)}`],
    ["Made", made.toLocaleString()],
    ["Node", picture.node || "none"],
    ["Kind", picture.category + (picture.intermediate ? ", intermediate" : "")],
    ["Run", picture.session || "none"],
    ["Name", picture.name],
  ];
  return element("dl", {}, ...lines.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]));
}

function values(rows: [string, string][]): HTMLElement | null {
  if (!rows.length) return null;
  return table("values of the graph", ["Input", "Value"], rows);
}

/** A small table of texts. */
export function table(label: string, head: string[], rows: string[][]): HTMLElement {
  return element(
    "div",
    { class: "nbp-values", tabindex: 0, role: "region", "aria-label": label },
    element(
      "table",
      { class: "nbp-table" },
      element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((text) => element("td", {}, text))))),
    ),
  );
}

function graphParts(opened: Opened, graph: string): (HTMLElement | null)[] {
  if (!graph) return [element("p", { class: "nbp-empty" }, opened.graph)];
  const drawing = element("img", { class: "nbp-graph", src: graph, alt: "the graph that made the picture" });
  return [
    element("details", { class: "nbp-fold", open: true }, element("summary", {}, "The graph that made it"), drawing),
    fold("As Python", opened.python),
  ];
}

function fold(name: string, text: string): HTMLElement | null {
  return text
    ? element("details", { class: "nbp-fold" }, element("summary", {}, name), element("pre", { tabindex: 0 }, text))
    : null;
}
