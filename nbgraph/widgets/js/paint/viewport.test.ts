import { expect, it } from "vitest";

import { Viewport } from "./viewport.ts";

it("an image of any shape is fitted into the view", () => {
  for (const image of [
    { width: 1, height: 1 },
    { width: 5000, height: 300 },
    { width: 3, height: 4000 },
  ]) {
    const port = new Viewport({ width: 700, height: 500 }, image);
    expect(port.x).toBeGreaterThanOrEqual(0);
    expect(port.y).toBeGreaterThanOrEqual(0);
    expect(port.x * 2 + image.width * port.scale).toBeCloseTo(700);
  }
});

it("what lies under the pointer stays there when one zooms", () => {
  const port = new Viewport({ width: 700, height: 500 }, { width: 2048, height: 2048 });
  const at = { x: 300, y: 220 };
  const before = port.toImage(at);
  port.zoom(7, at);
  expect(port.toImage(at).x).toBeCloseTo(before.x);
  expect(port.toImage(at).y).toBeCloseTo(before.y);
});

it("an image cannot be moved out of view, and a place of it can be brought into view", () => {
  const port = new Viewport({ width: 700, height: 500 }, { width: 100, height: 100 });
  port.pan(-1e6, 1e6);
  expect(port.x + 100 * port.scale).toBeGreaterThan(0);
  expect(port.y).toBeLessThan(500);
  port.zoom(20, { x: 0, y: 0 });
  port.show({ x: 100, y: 100 });
  expect(port.x + 100 * port.scale).toBeLessThanOrEqual(700);
  expect(port.y + 100 * port.scale).toBeLessThanOrEqual(500);
});
