// Undo and redo of a mask, by the tiles that each step changed. Memory is bounded: the oldest steps are let go.
import type { Mask, Rect } from "./mask.ts";
import { union } from "./mask.ts";

export const TILE = 64;
const MAX_STEPS = 1000;
const MAX_BYTES = 64 * 2 ** 20;
/** What a tile of one value costs: the number, and its place in the map. */
const SMALL = 32;

/** A mask in its frame: how many pixels the frame is larger than the image, on each side. */
export interface Framed {
  mask: Mask;
  pads: Pads;
}

export type Pads = [left: number, top: number, right: number, bottom: number];

type Tile = Uint8Array | number;
type Step =
  | { kind: "tiles"; tiles: Map<number, Tile>; bytes: number }
  | { kind: "invert"; bytes: number }
  | { kind: "frame"; before: Framed; bytes: number };

export class History {
  private done: Step[] = [];
  private undone: Step[] = [];
  private open: Map<number, Tile> | null = null;

  constructor(private readonly maxBytes = MAX_BYTES) {}

  get canUndo(): boolean {
    return this.done.length > 0;
  }
  get canRedo(): boolean {
    return this.undone.length > 0;
  }
  get steps(): number {
    return this.done.length;
  }
  get bytes(): number {
    return [...this.done, ...this.undone].reduce((sum, step) => sum + step.bytes, 0);
  }

  /** Keep what a rectangle holds, before it is changed in the step that is open; one is opened if none is. */
  keep(mask: Mask, rect: Rect): void {
    this.open ??= new Map();
    const columns = Math.ceil(mask.width / TILE);
    for (let y = Math.floor(rect.y / TILE); y * TILE < rect.y + rect.height; y++)
      for (let x = Math.floor(rect.x / TILE); x * TILE < rect.x + rect.width; x++) {
        const place = y * columns + x;
        if (!this.open.has(place)) this.open.set(place, read(mask, place));
      }
  }

  /** End the step that is open; returns whether there was one. */
  commit(): boolean {
    if (!this.open) return false;
    this.push({ kind: "tiles", tiles: this.open, bytes: bytesOf(this.open) });
    this.open = null;
    return true;
  }

  /** Take back the step that is open. */
  revert(mask: Mask): Rect | null {
    if (!this.open) return null;
    const rect = swap(mask, this.open).rect;
    this.open = null;
    return rect;
  }

  invert(mask: Mask): void {
    mask.invert();
    this.push({ kind: "invert", bytes: SMALL });
  }

  /** Another frame took the place of this one. */
  frame(before: Framed): void {
    this.push({ kind: "frame", before, bytes: before.mask.data.length });
  }

  /** Undo a step (or redo one); returns the mask as it is now, and what of it is another, or null. */
  undo(now: Framed, redo = false): (Framed & { rect: Rect | null }) | null {
    const step = (redo ? this.undone : this.done).pop();
    if (!step) return null;
    const back = redo ? this.done : this.undone;
    if (step.kind === "frame") {
      back.push({ kind: "frame", before: now, bytes: now.mask.data.length });
      return { ...step.before, rect: step.before.mask.all };
    }
    if (step.kind === "invert") {
      now.mask.invert();
      back.push(step);
      return { ...now, rect: now.mask.all };
    }
    const { tiles, rect } = swap(now.mask, step.tiles);
    back.push({ kind: "tiles", tiles, bytes: bytesOf(tiles) });
    return { ...now, rect };
  }

  private push(step: Step): void {
    this.undone = [];
    this.done.push(step);
    let { bytes } = this;
    // The newest step stays, however large it is: what was done last can always be undone.
    while (this.done.length > 1 && (this.done.length > MAX_STEPS || bytes > this.maxBytes))
      bytes -= this.done.shift()!.bytes;
  }
}

function place(mask: Mask, number: number): Rect {
  const columns = Math.ceil(mask.width / TILE);
  const [x, y] = [(number % columns) * TILE, Math.floor(number / columns) * TILE];
  return { x, y, width: Math.min(TILE, mask.width - x), height: Math.min(TILE, mask.height - y) };
}

function read(mask: Mask, number: number): Tile {
  const { x, y, width, height } = place(mask, number);
  const tile = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const start = (y + row) * mask.width + x;
    tile.set(mask.data.subarray(start, start + width), row * width);
  }
  const [first] = tile;
  return tile.every((value) => value === first) ? first : tile;
}

function swap(mask: Mask, tiles: Map<number, Tile>): { tiles: Map<number, Tile>; rect: Rect | null } {
  const other = new Map<number, Tile>();
  let changed: Rect | null = null;
  for (const [number, tile] of tiles) {
    other.set(number, read(mask, number));
    const rect = place(mask, number);
    for (let row = 0; row < rect.height; row++) {
      const start = (rect.y + row) * mask.width + rect.x;
      if (typeof tile === "number") mask.data.fill(tile, start, start + rect.width);
      else mask.data.set(tile.subarray(row * rect.width, (row + 1) * rect.width), start);
    }
    changed = union(changed, rect);
  }
  return { tiles: other, rect: changed };
}

const bytesOf = (tiles: Map<number, Tile>): number =>
  [...tiles.values()].reduce<number>((sum, tile) => sum + SMALL + (typeof tile === "number" ? 0 : tile.length), 0);
