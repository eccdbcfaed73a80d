// Boxes that float above the canvas.
import type { Size } from "./opening.ts";

/** Where a box stands so that it lies within the canvas, for a point of the screen. */
export function inside(
  canvas: Element,
  { x, y }: { x: number; y: number },
  { width, height }: Size,
): { left: number; top: number } {
  const box = canvas.getBoundingClientRect();
  return {
    left: Math.max(4, Math.min(x - box.left, box.width - width)),
    top: Math.max(4, Math.min(y - box.top, box.height - height)),
  };
}
