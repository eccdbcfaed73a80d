// Where the image lies in the view: at a scale, with its upper left corner at a place, both in pixels of the page.
import type { Rect } from "./mask.ts";

export interface Point {
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

const MAX_SCALE = 32;
/** Pixels of the page that stay free around an image that is fitted into the view. */
const MARGIN = 14;
/** Pixels of an image that stay in view, however far it is moved. */
const SEEN = 32;

export class Viewport {
  scale = 1;
  x = 0;
  y = 0;

  constructor(
    public view: Size,
    public image: Size,
  ) {
    this.fit();
  }

  get fitting(): number {
    const [width, height] = [this.view.width - 2 * MARGIN, this.view.height - 2 * MARGIN];
    const scale = Math.min(width / this.image.width, height / this.image.height);
    return Math.min(MAX_SCALE, Math.max(scale, 1e-3));
  }

  fit(): void {
    this.scale = this.fitting;
    this.x = (this.view.width - this.image.width * this.scale) / 2;
    this.y = (this.view.height - this.image.height * this.scale) / 2;
  }

  /** Zoom by a factor; what lies under a point of the view stays there. */
  zoom(factor: number, at: Point): void {
    const scale = Math.min(MAX_SCALE, Math.max(Math.min(this.fitting / 2, 1), this.scale * factor));
    const grown = scale / this.scale;
    this.scale = scale;
    this.x = at.x - (at.x - this.x) * grown;
    this.y = at.y - (at.y - this.y) * grown;
    this.pan(0, 0);
  }

  pan(dx: number, dy: number): void {
    const [width, height] = [this.image.width * this.scale, this.image.height * this.scale];
    const [seenX, seenY] = [Math.min(SEEN, width), Math.min(SEEN, height)];
    this.x = Math.min(this.view.width - seenX, Math.max(seenX - width, this.x + dx));
    this.y = Math.min(this.view.height - seenY, Math.max(seenY - height, this.y + dy));
  }

  /** Bring a place of the image into view. */
  show({ x, y }: Point): void {
    const [left, top] = [this.x + x * this.scale, this.y + y * this.scale];
    const { width, height } = this.view;
    this.pan(
      left < MARGIN ? MARGIN - left : left > width - MARGIN ? width - MARGIN - left : 0,
      top < MARGIN ? MARGIN - top : top > height - MARGIN ? height - MARGIN - top : 0,
    );
  }

  /** The place of the image under a point of the view. */
  toImage({ x, y }: Point): Point {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  /** The part of the view that a rectangle of the image covers, and one pixel around it. */
  toView({ x, y, width, height }: Rect): Rect {
    const [left, top] = [Math.floor(this.x + x * this.scale) - 1, Math.floor(this.y + y * this.scale) - 1];
    const [right, bottom] = [this.x + (x + width) * this.scale, this.y + (y + height) * this.scale];
    return { x: left, y: top, width: Math.ceil(right) + 1 - left, height: Math.ceil(bottom) + 1 - top };
  }
}
