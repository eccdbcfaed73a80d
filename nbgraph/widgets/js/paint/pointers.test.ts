// @vitest-environment jsdom
// Mouse, pen and fingers: what is a stroke, how wide it is, and what two fingers do.
import { beforeEach, expect, it, vi } from "vitest";

import { type Gestures, Pointers, type Tool } from "./pointers.ts";

let area: HTMLElement;
let tool: Tool;
let done: string[];
let on: Gestures;

/** jsdom has no pointer events: these are mouse events with what a pointer has besides. */
function point(type: string, x: number, y: number, more: PointerEventInit = {}): void {
  const { pointerId = 1, pointerType = "mouse", pressure = 0, ...mouse } = more;
  const init = { clientX: x, clientY: y, button: type === "pointermove" ? -1 : 0, bubbles: true, ...mouse };
  area.dispatchEvent(Object.assign(new MouseEvent(type, init), { pointerId, pointerType, pressure }));
}

const finger = (id: number): PointerEventInit => ({ pointerId: id, pointerType: "touch" });

beforeEach(() => {
  vi.stubGlobal("requestAnimationFrame", () => 1);
  vi.stubGlobal("cancelAnimationFrame", () => {});
  area = document.createElement("div");
  tool = "brush";
  done = [];
  on = {
    tool: () => tool,
    radius: () => 10,
    toImage: ({ clientX, clientY }) => ({ x: clientX, y: clientY }),
    line: (from, to, erase) =>
      done.push(`${erase ? "erase" : "paint"} ${from.x},${from.y} ${to.x},${to.y} r${to.radius.toFixed(1)}`),
    end: (meant) => done.push(meant ? "end" : "revert"),
    last: null,
    pan: (dx, dy) => done.push(`pan ${dx},${dy}`),
    zoom: (factor) => done.push(`zoom ${factor.toFixed(2)}`),
    hover: () => {},
  };
  new Pointers(area, on);
});

it("what happens between two frames is one line, drawn to its end when the button is let go", () => {
  point("pointerdown", 0, 0);
  point("pointermove", 0.5, 0);
  point("pointermove", 30, 0);
  point("pointermove", 31, 0);
  point("pointerup", 31, 0);
  expect(done).toEqual(["paint 0,0 0,0 r10.0", "paint 0,0 30,0 r10.0", "paint 30,0 31,0 r10.0", "end"]);
});

it("Shift draws a straight line from the last stroke", () => {
  point("pointerdown", 5, 5);
  point("pointerup", 5, 5);
  point("pointerdown", 50, 5, { shiftKey: true });
  expect(done.at(-1)).toBe("paint 5,5 50,5 r10.0");
});

it("the pressure of a pen is the width of the brush, and its other end erases", () => {
  point("pointerdown", 0, 0, { pointerType: "pen", pressure: 0.5, buttons: 1 });
  point("pointerup", 0, 0, { pointerType: "pen" });
  point("pointerdown", 0, 0, { pointerType: "pen", pressure: 1, buttons: 32, button: 5 });
  expect(done).toEqual(["paint 0,0 0,0 r5.8", "end", "erase 0,0 0,0 r10.0"]);
});

it("two fingers zoom and move, and what the first painted a moment before was not meant", () => {
  point("pointerdown", 0, 0, finger(1));
  point("pointerdown", 100, 0, finger(2));
  point("pointermove", 200, 0, finger(2));
  expect(done).toEqual(["paint 0,0 0,0 r10.0", "revert", "pan 50,0", "zoom 2.00"]);
  point("pointerup", 200, 0, finger(2));
  point("pointermove", 40, 40, finger(1));
  expect(done).toHaveLength(4);
});

it("the hand and the middle button move the image, and the frame tool paints nothing", () => {
  point("pointerdown", 0, 0, { button: 1 });
  point("pointermove", 7, 3);
  point("pointerup", 7, 3);
  tool = "hand";
  point("pointerdown", 0, 0);
  point("pointermove", 1, 2);
  point("pointerup", 1, 2);
  tool = "frame";
  point("pointerdown", 0, 0);
  expect(done).toEqual(["pan 7,3", "pan 1,2"]);
});
