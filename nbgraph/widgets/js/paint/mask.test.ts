import { describe, expect, it } from "vitest";

import { Mask, type Stroke } from "./mask.ts";

const stroke = (x: number, y: number, radius: number, more: Partial<Stroke> = {}): Stroke => ({
  from: { x, y, radius },
  to: { x, y, radius },
  feather: 0,
  erase: false,
  ...more,
});
const at = (mask: Mask, x: number, y: number): number => mask.data[y * mask.width + x];

describe("a brush", () => {
  it("paints white within its radius, and nothing beyond it", () => {
    const mask = new Mask(64, 48);
    expect(mask.paint(stroke(20, 20, 8))).toEqual({ x: 11, y: 11, width: 18, height: 18 });
    for (let y = 0; y < 48; y++)
      for (let x = 0; x < 64; x++) {
        const far = Math.hypot(x + 0.5 - 20, y + 0.5 - 20);
        if (far <= 7.5) expect(at(mask, x, y)).toBe(255);
        if (far >= 8.5) expect(at(mask, x, y)).toBe(0);
      }
  });

  it("fades over its feather alone, and a second stroke makes it no stronger", () => {
    const mask = new Mask(64, 64);
    mask.paint(stroke(32, 32, 20, { feather: 0.5 }));
    const before = mask.data.slice();
    expect(at(mask, 32, 32)).toBe(255);
    expect(at(mask, 32 + 15, 32)).toBeGreaterThan(20);
    expect(at(mask, 32 + 15, 32)).toBeLessThan(235);
    mask.paint(stroke(32, 32, 20, { feather: 0.5 }));
    expect(mask.data).toEqual(before);
  });

  it("draws a line without gaps, as wide as the pressure at its ends says", () => {
    const mask = new Mask(100, 40);
    mask.paint({ from: { x: 10, y: 20, radius: 3 }, to: { x: 90, y: 20, radius: 12 }, feather: 0, erase: false });
    for (let x = 10; x < 90; x++) expect(at(mask, x, 20)).toBe(255);
    expect(at(mask, 12, 25)).toBe(0);
    expect(at(mask, 88, 25)).toBe(255);
  });

  it("erases as it paints", () => {
    const mask = new Mask(32, 32);
    mask.fill(255);
    mask.paint(stroke(16, 16, 6, { erase: true }));
    expect([at(mask, 16, 16), at(mask, 2, 2)]).toEqual([0, 255]);
  });

  it("paints one pixel at size 1, on images of any shape, and nothing outside", () => {
    const one = new Mask(1, 1);
    one.paint(stroke(0.5, 0.5, 0.5));
    expect([...one.data]).toEqual([255]);
    const wide = new Mask(500, 3);
    wide.paint(stroke(499.5, 1.5, 0.5));
    expect(wide.data.reduce((sum, value) => sum + (value ? 1 : 0), 0)).toBe(1);
    expect(wide.paint(stroke(-900, 1, 20))).toBeNull();
    expect(wide.paint(stroke(250, 1, 5000))).toEqual(wide.all);
  });
});

describe("a frame", () => {
  it("is white where it is new, and gives back the mask where it shrinks again", () => {
    const mask = new Mask(16, 8);
    mask.paint(stroke(3, 3, 2));
    const larger = mask.framed(8, 0, 0, 16);
    expect([larger.width, larger.height]).toEqual([24, 24]);
    expect([at(larger, 0, 0), at(larger, 9, 20), at(larger, 23, 0)]).toEqual([255, 255, 0]);
    expect(larger.framed(-8, 0, 0, -16).data).toEqual(mask.data);
  });
});
