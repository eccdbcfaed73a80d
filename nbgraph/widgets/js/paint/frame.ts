// The frame around the image: handles on its edges extend it, by the mouse or by arrows, in steps of 8 pixels.
import { attribute, element } from "../dom.ts";
import type { Pads } from "./history.ts";
import type { Rect } from "./mask.ts";

const STEP = 8;
const FAR = 64;
const MOST = 4096;
const SIDES = ["left", "top", "right", "bottom"] as const;
/** By side: the keys that extend it, and the axis on which it is dragged, with its sign. */
const OUT: Record<(typeof SIDES)[number], [grow: string, shrink: string, axis: "clientX" | "clientY", sign: number]> = {
  left: ["ArrowLeft", "ArrowRight", "clientX", -1],
  top: ["ArrowUp", "ArrowDown", "clientY", -1],
  right: ["ArrowRight", "ArrowLeft", "clientX", 1],
  bottom: ["ArrowDown", "ArrowUp", "clientY", 1],
};

export interface FrameHost {
  pads(): Pads;
  scale(): number;
  /** The frame is dragged, and has not this size yet. */
  preview(pads: Pads): void;
  extend(pads: Pads): void;
}

export class FrameHandles {
  readonly root = element("div", { class: "nbm-frame" });
  private readonly handles: HTMLElement[];

  constructor(private readonly host: FrameHost) {
    this.handles = SIDES.map((side, place) => this.handle(side, place));
    this.root.append(...this.handles);
  }

  /** Draw the frame at a place of the view. */
  place({ x, y, width, height }: Rect, pads: Pads): void {
    Object.assign(this.root.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
    this.handles.forEach((handle, place) => {
      attribute(handle, "aria-valuenow", pads[place]);
      attribute(handle, "aria-valuetext", `${pads[place]} pixels`);
      attribute(handle, "data-pad", pads[place] ? `+${pads[place]}` : null);
    });
  }

  private handle(side: (typeof SIDES)[number], place: number): HTMLElement {
    const [grow, shrink, axis, sign] = OUT[side];
    let start: { at: number; pad: number } | null = null;
    const dragged = (event: PointerEvent): Pads => {
      const by = ((event[axis] - start!.at) * sign) / this.host.scale();
      return changed(this.host.pads(), place, start!.pad + by);
    };
    const made = element("div", {
      class: `nbm-handle nbm-${side}`,
      role: "slider",
      tabindex: 0,
      "aria-label": `extend the frame to the ${side}`,
      "aria-valuemin": 0,
      "aria-valuemax": MOST,
      "aria-valuenow": 0,
      "aria-orientation": axis === "clientX" ? "horizontal" : "vertical",
      title: `extend to the ${side}: drag, or arrows`,
      on: {
        pointerdown: (event: PointerEvent) => {
          event.stopPropagation();
          made.setPointerCapture?.(event.pointerId);
          start = { at: event[axis], pad: this.host.pads()[place] };
        },
        pointermove: (event: PointerEvent) => start && this.host.preview(dragged(event)),
        pointerup: (event: PointerEvent) => {
          if (!start) return;
          const pads = dragged(event);
          start = null;
          this.host.extend(pads);
        },
        pointercancel: () => {
          start = null;
          this.host.preview(this.host.pads());
        },
        keydown: (event: KeyboardEvent) => {
          const by = event.key === grow ? 1 : event.key === shrink ? -1 : 0;
          if (!by) return;
          event.preventDefault();
          event.stopPropagation();
          const pad = this.host.pads()[place] + by * (event.shiftKey ? FAR : STEP);
          this.host.extend(changed(this.host.pads(), place, pad));
        },
      },
    });
    return made;
  }
}

function changed(pads: Pads, place: number, pad: number): Pads {
  const made: Pads = [...pads];
  made[place] = Math.min(MOST, Math.max(0, Math.round(pad / STEP) * STEP));
  return made;
}
