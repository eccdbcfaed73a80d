import { describe, expect, it } from "vitest";

import { History, type Pads } from "./history.ts";
import { Mask } from "./mask.ts";

const PADS: Pads = [0, 0, 0, 0];
const same = (mask: Mask, data: Uint8Array): boolean => mask.data.every((value, at) => value === data[at]);

function dab(history: History, mask: Mask, x: number, y: number, radius = 10): void {
  const stroke = { from: { x, y, radius }, to: { x: x + 7, y, radius }, feather: 0.5, erase: false };
  history.keep(mask, mask.reach(stroke)!);
  mask.paint(stroke);
  history.commit();
}

describe("undo", () => {
  it("gives back every state before, and redo every state after", () => {
    const mask = new Mask(300, 170);
    const history = new History();
    const states = [mask.data.slice()];
    for (let step = 0; step < 12; step++) {
      if (step === 5) history.invert(mask);
      else dab(history, mask, (step * 53) % 300, (step * 31) % 170);
      states.push(mask.data.slice());
    }
    for (let step = 11; step >= 0; step--) {
      history.undo({ mask, pads: PADS });
      expect(same(mask, states[step])).toBe(true);
    }
    expect(history.canUndo).toBe(false);
    for (let step = 1; step <= 12; step++) {
      history.undo({ mask, pads: PADS }, true);
      expect(same(mask, states[step])).toBe(true);
    }
    expect(history.canRedo).toBe(false);
  });

  it("takes back a stroke that was not meant", () => {
    const mask = new Mask(64, 64);
    const history = new History();
    history.keep(mask, mask.all);
    mask.fill(255);
    history.revert(mask);
    expect(mask.share()).toBe(0);
    expect(history.canUndo).toBe(false);
  });

  it("goes back over a frame", () => {
    const small = new Mask(64, 64);
    const history = new History();
    dab(history, small, 20, 20);
    const before = small.data.slice();
    history.frame({ mask: small, pads: PADS });
    const large = small.framed(8, 8, 8, 8);
    dab(history, large, 60, 60);
    history.undo({ mask: large, pads: [8, 8, 8, 8] });
    const back = history.undo({ mask: large, pads: [8, 8, 8, 8] })!;
    expect(back.pads).toEqual(PADS);
    expect(same(back.mask, before)).toBe(true);
    history.undo(back);
    expect(small.share()).toBe(0);
  });

  it("is bounded in memory over a thousand steps, and the newest can always be undone", () => {
    const mask = new Mask(512, 512);
    const history = new History(2 ** 20);
    for (let step = 0; step < 1100; step++) dab(history, mask, (step * 97) % 512, (step * 61) % 512);
    expect(history.bytes).toBeLessThanOrEqual(2 ** 20);
    expect(history.steps).toBeGreaterThan(10);
    const tiny = new History(1);
    dab(tiny, mask, 100, 100, 200);
    expect(tiny.canUndo).toBe(true);
    const many = new History();
    const small = new Mask(8, 8);
    for (let step = 0; step < 1100; step++) many.invert(small);
    expect(many.steps).toBe(1000);
  });
});
