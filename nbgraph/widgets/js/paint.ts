// The paint widget: a mask is painted on an image by brush. Its kernel side is paint.py.
import "./panel.css";
import "./paint.css";

import { element, fill, write } from "./dom.ts";
import { linkOf } from "./kernel.ts";
import type { Model, Widget } from "./model.ts";
import { mounted } from "./mounted.ts";
import { button } from "./paging.ts";
import { Controls, SIZE } from "./paint/controls.ts";
import { KEYS, type Keyboard, keyDown, keyUp } from "./paint/keys.ts";
import { type Dab, type Rect, WHITE } from "./paint/mask.ts";
import { Pointers, type Tool } from "./paint/pointers.ts";
import { leaveSession, type Session, sessionOf, type Used } from "./paint/session.ts";
import { Stage } from "./paint/stage.ts";

const SAVING = { "": "", unsaved: "not saved yet", saving: "saving…", saved: "saved" };
const FIRST_SIZE = 0.08;
/** Pixels of a wheel that double or halve the scale. */
const WHEEL = 400;

/** What shows the view in a place of its own: it takes the mask, and closes the view. */
export interface PaintHost {
  used(used: Used): void;
  leave(): void;
}

export class PaintView {
  readonly root: HTMLElement;
  private readonly session: Session;
  private readonly stage: Stage;
  private readonly controls: Controls;
  private readonly pointers: Pointers;
  private readonly stop: () => void;
  private tool: Tool = "brush";
  private feather = 0;
  private size = 32;
  private down = false;
  private last: Dab | null = null;
  private framed = "";
  private active = false;

  private readonly where = element("span", { class: "nbp-number", role: "status" });
  private readonly share = element("span", { class: "nbp-number nbp-soft" });
  private readonly saved = element("span", { class: "nbp-soft" });
  private readonly problem = element("p", { class: "nbp-problem nbp-hidden", role: "alert" });
  private readonly earlier = element("div", { class: "nbm-earlier nbp-hidden" });
  private readonly help = element(
    "dl",
    { class: "nbm-keys nbp-hidden", "aria-label": "keys" },
    ...KEYS.map(([keys, what]) =>
      element("div", {}, element("dt", {}, element("kbd", {}, keys)), element("dd", {}, what)),
    ),
  );

  constructor(
    private readonly model: Model,
    private readonly host?: PaintHost,
  ) {
    this.session = sessionOf(model);
    const extends_ = model.get("_extends") !== false;
    this.stage = new Stage(this.session, "mask on the image: arrows move the brush, Space paints, ? lists the keys", {
      extend: (pads) => {
        this.stage.endPreview();
        this.session.extend(pads);
        this.stage.draw();
      },
    });
    const act = {
      ...this.keyboard(),
      size: (pixels: number) => this.setSize(pixels),
      feather: (share: number) => this.setFeather(share),
      leave: host ? () => this.leave() : undefined,
      tool: (tool: Tool) => this.choose(tool),
    };
    this.controls = new Controls(act, extends_, String(model.get("_use") ?? "") || (host ? "Use mask" : "Keep mask"));
    this.pointers = new Pointers(this.stage.area, this.gestures());
    this.root = element(
      "section",
      { class: "nbp nbp-card nbm", "aria-label": "paint a mask" },
      this.controls.root,
      this.earlier,
      element("div", { class: "nbm-stage" }, this.stage.area, this.stage.handles),
      this.help,
      element(
        "div",
        { class: "nbp-bar nbm-foot" },
        element("span", { class: "nbm-legend nbm-white" }, "white: painted anew"),
        element("span", { class: "nbm-legend nbm-black" }, "black: kept"),
        this.share,
        element("span", { class: "nbp-space" }),
        this.where,
        this.saved,
      ),
      this.problem,
    );
    this.listen();
    this.stage.fitted = () => this.told();
    this.stop = this.session.listen({ changed: (rect) => this.changed(rect), told: () => this.told() });
    this.changed(null);
    this.told();
  }

  focus(): void {
    this.stage.area.focus({ preventScroll: true });
  }

  close(): void {
    this.stop();
    leaveSession(this.model, this.session);
    this.pointers.close();
    this.stage.close();
  }

  private listen(): void {
    const { area } = this.stage;
    const keyboard = this.keyboard();
    area.addEventListener("keydown", (event) => {
      // Once the arrows are pressed the brush is where the keys have it, and not where the mouse is.
      if (keyDown(event, keyboard)) {
        event.preventDefault();
        event.stopPropagation();
      }
    });
    area.addEventListener("keyup", (event) => keyUp(event, keyboard));
    area.addEventListener("blur", () => {
      this.lift();
      this.active = false;
    });
    area.addEventListener("pointerdown", () => {
      this.active = true;
    });
    // The wheel scrolls the notebook, unless the person works here.
    area.addEventListener(
      "wheel",
      (event) => {
        if (!this.active && !event.ctrlKey) return;
        event.preventDefault();
        this.zoom(2 ** (-event.deltaY / WHEEL), { x: event.clientX, y: event.clientY });
      },
      { passive: false },
    );
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.host) this.leave();
    });
    area.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  private gestures(): ConstructorParameters<typeof Pointers>[1] {
    const view = this;
    return {
      tool: () => this.tool,
      radius: () => this.size / 2,
      toImage: (event) => this.stage.toImage(event),
      line: (from, to, erase) => {
        if (this.session.status.ready) this.session.paint({ from, to, feather: this.feather, erase });
      },
      end: (meant) => (meant ? this.session.commit() : this.session.revert()),
      get last() {
        return view.last;
      },
      set last(dab) {
        view.last = dab;
      },
      pan: (dx, dy) => {
        this.stage.port.pan(dx, dy);
        this.stage.draw();
      },
      zoom: (factor, at) => this.zoom(factor, at),
      hover: (at) => {
        if (this.down) return;
        this.stage.moveBrush(at && this.tool !== "hand" && this.tool !== "frame" ? at : null);
      },
    };
  }

  private keyboard(): Keyboard {
    const { session } = this;
    return {
      move: (dx, dy, fine) => this.move(dx, dy, fine),
      press: (down) => (down ? this.lower() : this.lift()),
      toggleDown: () => (this.down ? this.lift() : this.lower()),
      size: (factor) => this.setSize(this.size * factor),
      feather: (by) => this.setFeather(this.feather + by),
      tool: (tool) => this.choose(tool),
      undo: () => session.undo(),
      redo: () => session.undo(true),
      fill: () => session.fill(WHITE),
      clear: () => session.fill(0),
      invert: () => session.invert(),
      zoom: (factor) => this.zoom(factor),
      fit: () => {
        this.stage.port.fit();
        this.redraw();
      },
      actualSize: () => this.zoom(1 / this.stage.port.scale),
      bare: () => {
        this.stage.overlay.bare = !this.stage.overlay.bare;
        this.redraw();
      },
      help: () => this.help.classList.toggle("nbp-hidden"),
      use: () => void this.use(),
      leave: () => (this.down ? this.lift() : this.leave()),
    };
  }

  /** Where the brush is; it begins in the middle of what is in view. */
  private get brush(): { x: number; y: number } {
    const { mask } = this.session;
    const at = this.stage.brush ?? this.stage.port.toImage(this.stage.place());
    return { x: Math.min(mask.width, Math.max(0, at.x)), y: Math.min(mask.height, Math.max(0, at.y)) };
  }

  private move(dx: number, dy: number, fine: boolean): void {
    const { mask } = this.session;
    const step = fine ? 1 : Math.max(1, Math.round(this.size / 4));
    const from = this.brush;
    const to = {
      x: Math.min(mask.width, Math.max(0, from.x + dx * step)),
      y: Math.min(mask.height, Math.max(0, from.y + dy * step)),
    };
    if (this.tool === "hand") {
      this.stage.port.pan(-dx * 40, -dy * 40);
      return this.redraw();
    }
    if (this.down) this.line(from, to);
    this.stage.moveBrush(to);
    this.stage.port.show(to);
    this.redraw();
    write(this.where, `brush at ${Math.round(to.x)}, ${Math.round(to.y)}`);
  }

  private line(from: { x: number; y: number }, to: { x: number; y: number }): void {
    const radius = Math.max(0.5, this.size / 2);
    const stroke = { from: { ...from, radius }, to: { ...to, radius }, feather: this.feather };
    if (this.session.status.ready) this.session.paint({ ...stroke, erase: this.tool === "eraser" });
  }

  private lower(): void {
    if (this.down || this.pointers.isPainting || this.tool === "hand" || this.tool === "frame") return;
    this.down = true;
    const at = this.brush;
    this.stage.moveBrush(at);
    this.line(at, at);
  }

  private lift(): void {
    if (!this.down) return;
    this.down = false;
    this.session.commit();
  }

  private choose(tool: Tool): void {
    this.lift();
    this.tool = tool;
    this.stage.area.dataset.tool = tool;
    this.stage.showFrame(tool === "frame");
    this.stage.moveBrush(null);
    this.told();
  }

  private setSize(pixels: number): void {
    this.size = Math.min(SIZE.most, Math.max(SIZE.least, pixels));
    this.stage.radius = this.size / 2;
    if (this.stage.brush) this.stage.moveBrush(this.stage.brush);
    this.told();
  }

  private setFeather(share: number): void {
    this.feather = Math.min(1, Math.max(0, Math.round(share * 100) / 100));
    this.told();
  }

  private zoom(factor: number, at?: { x: number; y: number }): void {
    const point = at && "clientX" in at ? undefined : at;
    this.stage.port.zoom(factor, this.stage.place(point));
    this.redraw();
  }

  private redraw(): void {
    this.stage.draw();
    this.told();
  }

  private changed(rect: Rect | null): void {
    const { mask, pads, status } = this.session;
    const shape = `${mask.width} ${mask.height} ${pads} ${status.ready}`;
    if (shape === this.framed) return this.stage.draw(rect);
    const isFirst = !this.framed.endsWith("true");
    this.framed = shape;
    if (isFirst && status.ready)
      this.setSize(Math.max(4, Math.min(128, Math.max(mask.width, mask.height) * FIRST_SIZE)));
    this.stage.reset(true);
    this.told();
  }

  private told(): void {
    const { status, history, mask, pads } = this.session;
    const { width, height } = this.session.imageSize;
    const framed = pads.some(Boolean) ? ` → ${mask.width} × ${mask.height}` : "";
    this.controls.show({
      tool: this.tool,
      size: this.size,
      feather: this.feather,
      canUndo: history.canUndo,
      canRedo: history.canRedo,
      bare: this.stage.overlay.bare,
      scale: this.stage.port.scale,
      ready: status.ready,
    });
    if (!status.ready) write(this.share, status.problem ? "" : "Waiting for the kernel…");
    else write(this.share, `${percent(this.session.share)} · ${width} × ${height}${framed}`);
    write(this.saved, status.used ? `kept as ${status.used.slice(0, 8)}` : SAVING[status.saving]);
    write(this.problem, status.problem);
    this.problem.classList.toggle("nbp-hidden", !status.problem);
    this.offer(status.earlier);
  }

  private offer(when: number | null): void {
    const was = !this.earlier.classList.contains("nbp-hidden");
    if (was === (when !== null)) return;
    this.earlier.classList.toggle("nbp-hidden", when === null);
    if (when === null) return fill(this.earlier);
    fill(
      this.earlier,
      element("span", {}, `A mask was painted on this image ${ago(when)}.`),
      button("Continue with it", () => void this.session.takeEarlier(), { class: "nbp-button nbp-main" }),
      button("Begin anew", () => this.session.dismissEarlier()),
    );
  }

  private async use(): Promise<void> {
    this.lift();
    const used = await this.session.use();
    if (used) this.host?.used(used);
  }

  private leave(): void {
    if (this.host) this.host.leave();
    else this.stage.area.blur();
  }
}

function percent(share: number): string {
  const value = share * 100;
  if (!value) return "nothing painted";
  return `${value < 0.1 ? "less than 0.1" : value < 10 ? value.toFixed(1) : Math.round(value)} % painted`;
}

function ago(seconds: number): string {
  const minutes = Math.round((Date.now() / 1000 - seconds) / 60);
  if (minutes < 2) return "a moment ago";
  return minutes < 120
    ? `${minutes} minutes ago`
    : `on ${new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" })}`;
}

/** Show the widget in an element; `host` takes the mask where it is for something. Returns what ends it. */
export function showPaint(model: Model, el: HTMLElement, host?: PaintHost): () => void {
  const view = new PaintView(linkOf(model).model, host);
  const close = mounted(view, el);
  if (host) view.focus();
  return close;
}

export const paint: Widget = { render: ({ model, el }) => showPaint(model, el) };
