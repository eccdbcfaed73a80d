// Two pictures under a slider, side by side, or as their difference, with what was set differently.
import { attribute, element, fill } from "../dom.ts";
import { crisp, table } from "./picture.ts";
import type { Compared } from "./protocol.ts";

type Mode = "slider" | "beside" | "difference";
const MODES: [Mode, string][] = [
  ["slider", "Slider"],
  ["beside", "Side by side"],
  ["difference", "Difference"],
];

/** The view of two pictures at these addresses; without `back` it has no way back to others. */
export function compareView(compared: Compared, urls: [string, string], back?: () => void): HTMLElement {
  const stage = element("div", { class: "nbp-stage" });
  const names = compared.pictures.map((picture, place) => `${"AB"[place]}: ${picture.label}`);
  const show = (mode: Mode): void => {
    for (const [place, button] of buttons.entries())
      attribute(button, "aria-pressed", String(MODES[place][0] === mode));
    const images = urls.map((src, place) =>
      element("img", {
        src,
        class: crisp(compared.pictures[place]).trim(),
        alt: `picture ${names[place]}`,
        draggable: "false",
      }),
    );
    fill(
      stage,
      ...(mode === "slider" ? slider(images, names) : mode === "beside" ? beside(images, names) : [difference(images)]),
    );
  };
  const buttons = MODES.map(([mode, text]) =>
    element("button", { class: "nbp-button", type: "button", on: { click: () => show(mode) } }, text),
  );
  const view = element(
    "div",
    { class: "nbp-open", role: "group", "aria-label": "two pictures compared" },
    element(
      "div",
      { class: "nbp-bar" },
      back ? element("button", { class: "nbp-button", type: "button", on: { click: back } }, "← All pictures") : null,
      element("span", { class: "nbp-title" }, "Compare"),
      element("span", { class: "nbp-space" }),
      ...buttons,
    ),
    stage,
    compared.differences.length
      ? table("what was set differently", ["Input", "A", "B"], compared.differences)
      : element("p", { class: "nbp-empty" }, "No input is known that was set differently for them."),
  );
  if (back) {
    view.addEventListener("keydown", (event) => {
      if (event.key === "Escape") back();
    });
  }
  show("slider");
  if (back) queueMicrotask(() => buttons[0].focus({ preventScroll: true }));
  return view;
}

function slider(images: HTMLImageElement[], names: string[]): HTMLElement[] {
  const [under, over] = images;
  const line = element("div", { class: "nbp-cut" });
  const range = element("input", {
    type: "range",
    min: 0,
    max: 100,
    value: 50,
    class: "nbp-range",
    "aria-label": "how much of A is seen, in percent",
  });
  const move = (): void => {
    over.style.clipPath = `inset(0 0 0 ${range.value}%)`;
    line.style.left = `${range.value}%`;
  };
  range.addEventListener("input", move);
  const pile = element("div", { class: "nbp-pile" }, under, over, line);
  const drag = (event: PointerEvent): void => {
    if (event.type === "pointerdown") pile.setPointerCapture(event.pointerId);
    if (event.buttons !== 1) return;
    event.preventDefault();
    const box = pile.getBoundingClientRect();
    range.value = String(Math.min(100, Math.max(0, ((event.clientX - box.left) / box.width) * 100)));
    move();
  };
  pile.addEventListener("pointerdown", drag);
  pile.addEventListener("pointermove", drag);
  move();
  return [
    pile,
    range,
    element("div", { class: "nbp-ends nbp-soft" }, element("span", {}, names[0]), element("span", {}, names[1])),
  ];
}

function beside(images: HTMLImageElement[], names: string[]): HTMLElement[] {
  return images.map((image, place) =>
    element("figure", {}, image, element("figcaption", { class: "nbp-soft" }, names[place])),
  );
}

function difference(images: HTMLImageElement[]): HTMLElement {
  images[1].classList.add("nbp-blend");
  return element("div", { class: "nbp-pile nbp-dark" }, ...images);
}
