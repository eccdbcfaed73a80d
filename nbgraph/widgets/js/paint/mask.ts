// A mask as bytes, one a pixel: 255 is painted anew, 0 is kept. Strokes change it within a rectangle, which they return.

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A place of the brush, in pixels of the mask; `radius` follows the pressure of a pen. */
export interface Dab {
  x: number;
  y: number;
  radius: number;
}

export interface Stroke {
  from: Dab;
  to: Dab;
  /** The share of the radius, 0 to 1, over which the brush fades out towards its edge. */
  feather: number;
  erase: boolean;
}

export const WHITE = 255;

export class Mask {
  constructor(
    readonly width: number,
    readonly height: number,
    readonly data: Uint8Array = new Uint8Array(width * height),
  ) {}

  get all(): Rect {
    return { x: 0, y: 0, width: this.width, height: this.height };
  }

  /** The part of a rectangle that lies on the mask; null where none does. */
  clip(rect: Rect): Rect | null {
    const x = Math.max(0, Math.floor(rect.x));
    const y = Math.max(0, Math.floor(rect.y));
    const width = Math.min(this.width, Math.ceil(rect.x + rect.width)) - x;
    const height = Math.min(this.height, Math.ceil(rect.y + rect.height)) - y;
    return width > 0 && height > 0 ? { x, y, width, height } : null;
  }

  /** What a stroke can change. */
  reach({ from, to }: Stroke): Rect | null {
    const edge = Math.max(from.radius, to.radius) + 1;
    const [left, top] = [Math.min(from.x, to.x) - edge, Math.min(from.y, to.y) - edge];
    const [right, bottom] = [Math.max(from.x, to.x) + edge, Math.max(from.y, to.y) + edge];
    return this.clip({ x: left, y: top, width: right - left, height: bottom - top });
  }

  /**
   * Paint a straight line. The brush sets each pixel to at least (the eraser: at most) its own value there, so a stroke
   * that crosses itself is no stronger, and its feather stays as wide as it is.
   */
  paint(stroke: Stroke): Rect | null {
    const rect = this.reach(stroke);
    if (!rect) return null;
    const { from, to, feather, erase } = stroke;
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length = dx * dx + dy * dy;
    const grows = to.radius - from.radius;
    const { data, width } = this;
    for (let y = rect.y; y < rect.y + rect.height; y++) {
      const py = y + 0.5 - from.y;
      for (let x = rect.x, at = y * width + rect.x; x < rect.x + rect.width; x++, at++) {
        const px = x + 0.5 - from.x;
        let along = length ? (px * dx + py * dy) / length : 0;
        along = along < 0 ? 0 : Math.min(1, along);
        const [ox, oy] = [px - along * dx, py - along * dy];
        const value = brushAt(ox * ox + oy * oy, from.radius + along * grows, feather);
        if (erase) {
          if (data[at] > WHITE - value) data[at] = WHITE - value;
        } else if (data[at] < value) data[at] = value;
      }
    }
    return rect;
  }

  fill(value: number): void {
    this.data.fill(value);
  }

  invert(): void {
    for (let at = 0; at < this.data.length; at++) this.data[at] = WHITE - this.data[at];
  }

  /** The share of the mask that is painted, 0 to 1. */
  share(): number {
    let sum = 0;
    for (const value of this.data) sum += value;
    return sum / (WHITE * this.data.length);
  }

  /** The mask in a frame that is larger (or smaller) by so many pixels on each side; what is new is white. */
  framed(left: number, top: number, right: number, bottom: number): Mask {
    const made = new Mask(this.width + left + right, this.height + top + bottom);
    made.fill(WHITE);
    const [x, width] = [Math.max(0, -left), Math.min(this.width, this.width + right) - Math.max(0, -left)];
    for (let y = Math.max(0, -top); y < Math.min(this.height, this.height + bottom); y++)
      made.data.set(
        this.data.subarray(y * this.width + x, y * this.width + x + width),
        (y + top) * made.width + x + left,
      );
    return made;
  }
}

/** The value of a brush at a squared distance from its middle; its edge is one pixel wide at least, against steps. */
function brushAt(squared: number, radius: number, feather: number): number {
  const outer = radius + 0.5;
  if (squared >= outer * outer) return 0;
  const edge = Math.max(1, radius * feather);
  const inner = outer - edge;
  if (inner > 0 && squared <= inner * inner) return WHITE;
  const share = Math.min(1, (outer - Math.sqrt(squared)) / edge);
  return Math.round(WHITE * (feather > 0 ? share * share * (3 - 2 * share) : share));
}

export function union(one: Rect | null, other: Rect | null): Rect | null {
  if (!one || !other) return one ?? other;
  const [x, y] = [Math.min(one.x, other.x), Math.min(one.y, other.y)];
  const right = Math.max(one.x + one.width, other.x + other.width);
  const bottom = Math.max(one.y + one.height, other.y + other.height);
  return { x, y, width: right - x, height: bottom - y };
}
