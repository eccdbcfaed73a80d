// Draws the mask over the image: in colour, or as it is. Only what has changed and is in view is drawn.
import type { Mask, Rect } from "./mask.ts";
import type { Viewport } from "./viewport.ts";

/** As painted.py has them, for readers without a kernel. */
const TINT: [number, number, number] = [232, 62, 98];
const SHARE = 0.55;
/** Below this scale a pixel of the view is the mean of four of the mask, so that edges have no steps. */
const SMALL = 0.75;

const word = (red: number, green: number, blue: number, alpha: number): number =>
  ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
/** Stripes in the view, so that a mask is seen on an image of its own colour too. */
const STRIPES = { every: 12, wide: 4 };
const BRIGHT = 0.72;
const coloured = Uint32Array.from({ length: 256 }, (_, value) => word(...TINT, Math.round(value * SHARE)));
const striped = Uint32Array.from({ length: 256 }, (_, value) => word(255, 150, 170, Math.round(value * BRIGHT)));
const plain = Uint32Array.from({ length: 256 }, (_, value) => word(value, value, value, 255));

export class Overlay {
  readonly canvas = document.createElement("canvas");
  /** Show the mask itself, black and white, in place of the image under it. */
  bare = false;
  private readonly context: CanvasRenderingContext2D | null;

  constructor() {
    // Its pixels are written by the processor: a canvas of the graphics card would be read back for each of them.
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
  }

  /** `ratio` is the number of pixels of the screen in one of the page. */
  resize(width: number, height: number, ratio: number): void {
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
  }

  /** Draw a rectangle of the mask, or all of it. */
  draw(mask: Mask, port: Viewport, ratio: number, rect: Rect | null): void {
    const { context, canvas } = this;
    if (!context) return;
    const [scale, left, top] = [port.scale * ratio, port.x * ratio, port.y * ratio];
    const seen = rect ? port.toView(rect) : { x: 0, y: 0, width: canvas.width / ratio, height: canvas.height / ratio };
    const x = Math.max(0, Math.floor(seen.x * ratio));
    const y = Math.max(0, Math.floor(seen.y * ratio));
    const width = Math.min(canvas.width, Math.ceil((seen.x + seen.width) * ratio)) - x;
    const height = Math.min(canvas.height, Math.ceil((seen.y + seen.height) * ratio)) - y;
    if (width <= 0 || height <= 0) return;
    const image = context.createImageData(width, height);
    const words = new Uint32Array(image.data.buffer);
    const [colours, stripes] = this.bare ? [plain, plain] : [coloured, striped];
    const soft = scale < SMALL;
    const columns = places(x, width, left, scale, mask.width, soft);
    const lines = places(y, height, top, scale, mask.height, soft);
    const { data } = mask;
    for (let row = 0, at = 0; row < height; row++) {
      const [first, second] = [lines[2 * row] * mask.width, lines[2 * row + 1] * mask.width];
      if (first < 0) {
        at += width;
        continue;
      }
      for (let column = 0; column < width; column++, at++) {
        const [one, two] = [columns[2 * column], columns[2 * column + 1]];
        if (one < 0) continue;
        const value = soft
          ? (data[first + one] + data[first + two] + data[second + one] + data[second + two]) >> 2
          : data[first + one];
        words[at] = ((x + column + y + row) % STRIPES.every < STRIPES.wide ? stripes : colours)[value];
      }
    }
    context.putImageData(image, x, y);
  }
}

/** For each pixel of the view two places on the mask, a quarter of it to either side; -1 outside the mask. */
function places(start: number, count: number, offset: number, scale: number, size: number, soft: boolean): Int32Array {
  const found = new Int32Array(2 * count);
  const aside = soft ? 0.25 : 0;
  for (let at = 0; at < count; at++) {
    const middle = start + at + 0.5 - offset;
    if (middle < 0 || middle >= size * scale) found[2 * at] = found[2 * at + 1] = -1;
    else {
      found[2 * at] = Math.min(size - 1, Math.max(0, Math.floor((middle - aside) / scale)));
      found[2 * at + 1] = Math.min(size - 1, Math.floor((middle + aside) / scale));
    }
  }
  return found;
}
