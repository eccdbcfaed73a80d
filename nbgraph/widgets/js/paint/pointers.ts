// Mouse, pen and fingers on the view: strokes, moving and zooming. What happened between two frames is taken together.
import type { Dab } from "./mask.ts";
import type { Point } from "./viewport.ts";

export type Tool = "brush" | "eraser" | "hand" | "frame";

export interface Gestures {
  tool(): Tool;
  radius(): number;
  /** The place of the image under the pointer. */
  toImage(event: PointerEvent): Point;
  /** A part of a stroke. */
  line(from: Dab, to: Dab, erase: boolean): void;
  /** The stroke has ended; `meant` is false where it was the first of two fingers. */
  end(meant: boolean): void;
  /** The place where the last stroke ended, from which Shift draws a straight line. */
  last: Dab | null;
  pan(dx: number, dy: number): void;
  zoom(factor: number, at: PointerEvent | Point): void;
  hover(at: Point | null): void;
}

/** Milliseconds in which a second finger says that the first was not meant to paint. */
const TWO_FINGERS = 250;
const ERASER_BUTTON = 32;
/** Dabs lie this share of the radius apart at least; a large brush needs few. */
const SPACING = 0.12;
const MIDDLE = 1;

export class Pointers {
  private readonly fingers = new Map<number, PointerEvent>();
  private stroke: { id: number; from: Dab; began: number; erase: boolean } | null = null;
  private panning: number | null = null;
  private waiting: PointerEvent[] = [];
  private frame = 0;

  constructor(
    private readonly area: HTMLElement,
    private readonly on: Gestures,
  ) {
    area.addEventListener("pointerdown", this.down);
    area.addEventListener("pointermove", this.move);
    area.addEventListener("pointerup", this.up);
    area.addEventListener("pointercancel", this.up);
    area.addEventListener("pointerleave", () => this.on.hover(null));
  }

  close(): void {
    cancelAnimationFrame(this.frame);
  }

  get isPainting(): boolean {
    return this.stroke !== null;
  }

  private down = (event: PointerEvent): void => {
    this.area.setPointerCapture?.(event.pointerId);
    if (event.pointerType === "touch") {
      this.fingers.set(event.pointerId, event);
      if (this.fingers.size > 1) return this.leaveStroke();
    }
    if (event.button === MIDDLE || this.on.tool() === "hand") {
      event.preventDefault();
      this.panning = event.pointerId;
      this.fingers.set(event.pointerId, event);
      return;
    }
    const isEraser = event.pointerType === "pen" && (event.buttons & ERASER_BUTTON) !== 0;
    if ((event.button !== 0 && !isEraser) || this.on.tool() === "frame" || this.stroke) return;
    const dab = this.dab(event);
    const erase = isEraser || this.on.tool() === "eraser";
    this.on.line(event.shiftKey && this.on.last ? this.on.last : dab, dab, erase);
    this.stroke = { id: event.pointerId, from: dab, began: event.timeStamp, erase };
  };

  private move = (event: PointerEvent): void => {
    if (event.pointerType !== "touch") this.on.hover(this.on.toImage(event));
    if (this.stroke?.id === event.pointerId) {
      const all = event.getCoalescedEvents?.() ?? [];
      this.waiting.push(...(all.length ? all : [event]));
      if (!this.frame) this.frame = requestAnimationFrame(() => this.drawWaiting());
      return;
    }
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    if (this.panning === event.pointerId) this.on.pan(event.clientX - before.clientX, event.clientY - before.clientY);
    else if (this.fingers.size === 2) this.pinch(before, event);
    this.fingers.set(event.pointerId, event);
  };

  private up = (event: PointerEvent): void => {
    this.fingers.delete(event.pointerId);
    if (this.panning === event.pointerId) this.panning = null;
    if (this.stroke?.id !== event.pointerId) return;
    this.drawWaiting();
    this.on.last = this.stroke.from;
    this.stroke = null;
    this.on.end(true);
  };

  /** A second finger: what the first has painted a moment ago was not meant. */
  private leaveStroke(): void {
    if (!this.stroke) return;
    const meant = performance.now() - this.stroke.began > TWO_FINGERS;
    this.drawWaiting();
    this.stroke = null;
    this.on.end(meant);
  }

  private drawWaiting(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const events = this.waiting.splice(0);
    const { stroke } = this;
    if (!stroke) return;
    events.forEach((event, place) => {
      const dab = this.dab(event);
      const far = Math.hypot(dab.x - stroke.from.x, dab.y - stroke.from.y);
      if (far < Math.max(0.5, dab.radius * SPACING) && place < events.length - 1) return;
      this.on.line(stroke.from, dab, stroke.erase);
      stroke.from = dab;
    });
  }

  private pinch(before: PointerEvent, now: PointerEvent): void {
    const other = [...this.fingers.values()].find((one) => one.pointerId !== now.pointerId)!;
    const away = (event: PointerEvent): number =>
      Math.hypot(event.clientX - other.clientX, event.clientY - other.clientY);
    // Each finger moves the middle between the two by half of its own way.
    this.on.pan((now.clientX - before.clientX) / 2, (now.clientY - before.clientY) / 2);
    const middle = { x: (now.clientX + other.clientX) / 2, y: (now.clientY + other.clientY) / 2 };
    if (away(before) > 1) this.on.zoom(away(now) / away(before), middle);
  }

  private dab(event: PointerEvent): Dab {
    const pressed = event.pointerType === "pen" && event.pressure > 0 ? 0.15 + 0.85 * event.pressure : 1;
    return { ...this.on.toImage(event), radius: Math.max(0.5, this.on.radius() * pressed) };
  }
}
