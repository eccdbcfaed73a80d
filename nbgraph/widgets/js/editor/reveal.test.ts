import { expect, it } from "vitest";

import { shiftInto } from "./reveal.ts";

it("what is in view stays, and what is not moves as little as it takes", () => {
  expect(shiftInto(100, 300, 600)).toBe(0);
  expect(shiftInto(500, 700, 600)).toBe(-120);
  expect(shiftInto(-50, 150, 600)).toBe(70);
});

it("of what is larger than the view the end is seen", () => {
  expect(shiftInto(0, 900, 600)).toBe(-320);
  expect(shiftInto(-400, 500, 600)).toBe(80);
});
