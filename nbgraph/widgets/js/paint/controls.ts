// The toolbar of the paint view: tools, size and feather, what is done to the whole mask, zoom.
import { attribute, element, write } from "../dom.ts";
import { button } from "../paging.ts";
import type { Tool } from "./pointers.ts";
import { type Sign, sign } from "./signs.ts";

export const SIZE = { least: 1, most: 1024 };
const STEPS = 100;

export interface Actions {
  tool(name: Tool): void;
  size(pixels: number): void;
  feather(share: number): void;
  undo(): void;
  redo(): void;
  fill(): void;
  clear(): void;
  invert(): void;
  zoom(factor: number): void;
  fit(): void;
  bare(): void;
  help(): void;
  use(): void;
  leave?(): void;
}

/** What the toolbar shows. */
export interface Shown {
  tool: Tool;
  size: number;
  feather: number;
  canUndo: boolean;
  canRedo: boolean;
  bare: boolean;
  scale: number;
  ready: boolean;
}

const TOOLS: [Tool, string][] = [
  ["brush", "Brush (B): white is painted anew"],
  ["eraser", "Eraser (E): black is kept"],
  ["hand", "Hand (H): move the image"],
  ["frame", "Frame (F): extend the image at its edges"],
];

export class Controls {
  readonly root: HTMLElement;
  private readonly tools = new Map<Tool, HTMLButtonElement>();
  private readonly undo = this.icon("undo", "Undo (Ctrl+Z)", () => this.act.undo());
  private readonly redo = this.icon("redo", "Redo (Ctrl+Y)", () => this.act.redo());
  private readonly bare = this.icon("mask", "Show the mask itself (M)", () => this.act.bare());
  private readonly zoom = button("100 %", () => this.act.fit(), {
    class: "nbp-button nbp-number nbm-zoom",
    title: "Fit into view (0)",
  });
  private readonly size: Slider;
  private readonly feather: Slider;
  private readonly fill = button("Fill", () => this.act.fill(), { title: "Paint everything (G)" });
  private readonly clear = button("Clear", () => this.act.clear(), { title: "Keep everything (Delete)" });
  private readonly invert = button("Invert", () => this.act.invert(), { title: "Invert (I)" });
  private readonly use: HTMLButtonElement;

  constructor(
    private readonly act: Actions,
    extends_: boolean,
    useLabel: string,
  ) {
    for (const [tool, title] of TOOLS)
      if (extends_ || tool !== "frame")
        this.tools.set(
          tool,
          this.icon(tool, title, () => act.tool(tool)),
        );
    this.size = new Slider("Size", "px", (share) => act.size(sizeOf(share)));
    this.feather = new Slider("Feather", "%", (share) => act.feather(share));
    this.use = button(useLabel, () => act.use(), { class: "nbp-button nbp-main", title: "Ctrl+Enter" });
    this.root = element(
      "div",
      { class: "nbp-bar nbm-tools", role: "toolbar", "aria-label": "paint tools" },
      group("tool", ...this.tools.values()),
      this.size.root,
      this.feather.root,
      group("steps", this.undo, this.redo),
      group("whole mask", this.fill, this.clear, this.invert),
      group(
        "view",
        this.icon("minus", "Zoom out (−)", () => act.zoom(1 / 1.25)),
        this.zoom,
        this.icon("plus", "Zoom in (+)", () => act.zoom(1.25)),
      ),
      this.bare,
      button("?", () => act.help(), { title: "Keys (?)", "aria-label": "keys", class: "nbp-button nbm-icon" }),
      element(
        "div",
        { class: "nbm-ends" },
        act.leave && button("Close", () => act.leave?.(), { title: "Close (Esc); what is painted is kept" }),
        this.use,
      ),
    );
  }

  show(shown: Shown): void {
    for (const [tool, made] of this.tools) attribute(made, "aria-pressed", String(tool === shown.tool));
    attribute(this.bare, "aria-pressed", String(shown.bare));
    this.undo.disabled = !shown.canUndo;
    this.redo.disabled = !shown.canRedo;
    for (const one of [this.fill, this.clear, this.invert, this.use]) one.disabled = !shown.ready;
    this.size.show(shareOf(shown.size), String(Math.round(shown.size)));
    this.feather.show(shown.feather, String(Math.round(shown.feather * 100)));
    write(this.zoom, `${shown.scale < 0.1 ? (shown.scale * 100).toFixed(1) : Math.round(shown.scale * 100)} %`);
  }

  private icon(name: Sign, title: string, act: () => void): HTMLButtonElement {
    const made = button("", act, { class: "nbp-button nbm-icon", title, "aria-label": title.replace(/ \(.*/, "") });
    made.append(sign(name));
    return made;
  }
}

/** A slider with its label and value; its places are shares, 0 to 1. */
class Slider {
  readonly root: HTMLElement;
  private readonly range: HTMLInputElement;
  private readonly value = element("output", { class: "nbp-number" });

  constructor(
    private readonly label: string,
    private readonly unit: string,
    set: (share: number) => void,
  ) {
    this.range = element("input", {
      type: "range",
      min: 0,
      max: STEPS,
      step: 1,
      "aria-label": label.toLowerCase(),
      on: { input: () => set(Number(this.range.value) / STEPS) },
    });
    this.root = element("label", { class: "nbm-slider" }, element("span", {}, label), this.range, this.value);
  }

  show(share: number, text: string): void {
    // A place that shows the value already stays: the value of one place may be that of the next one too.
    if (Math.abs(Number(this.range.value) / STEPS - share) > 0.5 / STEPS) this.range.value = String(share * STEPS);
    attribute(this.range, "aria-valuetext", `${text} ${this.unit === "px" ? "pixels" : "percent"}`);
    attribute(this.root, "title", `${this.label}: ${text} ${this.unit}`);
    write(this.value, text);
  }
}

const group = (label: string, ...children: HTMLElement[]): HTMLElement =>
  element("div", { class: "nbm-group", role: "group", "aria-label": label }, ...children);

/** Sizes grow evenly to the eye: each place of the slider is as many percent larger than the one before. */
const sizeOf = (share: number): number => SIZE.least * (SIZE.most / SIZE.least) ** share;
const shareOf = (size: number): number => Math.log(size / SIZE.least) / Math.log(SIZE.most / SIZE.least);
