// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";

import { Choice } from "./choice.ts";
import { listenToGrid } from "./keys.ts";
import type { Picture } from "./protocol.ts";

const picture = (name: string, starred = false): Picture => ({
  name,
  starred,
  label: name,
  width: 8,
  height: 8,
  mode: "RGB",
  category: "general",
  intermediate: false,
  node: "",
  session: "",
  created: 0,
  bytes: 1,
});
const [first, second] = [
  ["a", "b", "c", "d"],
  ["e", "f"],
].map((names) => names.map((name) => picture(name)));

describe("what is ticked", () => {
  it("survives another page, and says how many are not shown", () => {
    const choice = new Choice();
    choice.toggle(first[0]);
    choice.toggle(second[1]);
    expect(choice.names).toEqual(["a", "f"]);
    expect([choice.outside(first), choice.outside(second), choice.outside([])]).toEqual([1, 1, 2]);
  });

  it("is a range from the one that was ticked last, in both directions", () => {
    const choice = new Choice();
    choice.toggle(first[1]);
    choice.range(first, first[3]);
    expect(choice.names).toEqual(["b", "c", "d"]);
    choice.range(first, first[0]);
    expect(new Set(choice.names)).toEqual(new Set(["a", "b", "c", "d"]));
    choice.range(second, second[0]);
    expect(choice.has("e")).toBe(true);
    expect(choice.has("f")).toBe(false);
  });

  it("is all of a page, and then none of it", () => {
    const choice = new Choice();
    choice.toggle(second[0]);
    choice.togglePage(first);
    expect(choice.size).toBe(5);
    choice.togglePage(first);
    expect(choice.names).toEqual(["e"]);
  });

  it("knows the stars of pictures on other pages", () => {
    const choice = new Choice();
    choice.toggle(picture("a", true));
    expect(choice.allStarred).toBe(true);
    choice.star(["a"], false);
    expect(choice.allStarred).toBe(false);
    choice.renew([picture("a", true)]);
    expect(choice.allStarred).toBe(true);
  });
});

describe("keys among tiles", () => {
  /** Seven tiles, three beside each other. */
  const grid = () => {
    const root = document.createElement("div");
    for (let number = 0; number < 7; number++) {
      const tile = document.createElement("div");
      tile.className = "nbp-tile";
      Object.defineProperty(tile, "offsetTop", { value: Math.floor(number / 3) * 100 });
      const thumb = document.createElement("button");
      thumb.className = "nbp-thumb";
      tile.append(thumb);
      root.append(tile);
    }
    document.body.replaceChildren(root);
    const actions = { choose: vi.fn(), choosePage: vi.fn(), turn: vi.fn() };
    listenToGrid(root, actions);
    const thumbs = [...root.querySelectorAll<HTMLElement>(".nbp-thumb")];
    const press = (key: string, more = {}): number => {
      document.activeElement?.dispatchEvent(
        new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }),
      );
      return thumbs.indexOf(document.activeElement as HTMLElement);
    };
    return { actions, thumbs, press };
  };

  it("move by tiles, rows and ends", () => {
    const { thumbs, press } = grid();
    thumbs[1].focus();
    expect(press("ArrowRight")).toBe(2);
    expect(press("ArrowDown")).toBe(5);
    expect(press("ArrowDown")).toBe(6);
    expect(press("ArrowUp")).toBe(3);
    expect(press("End")).toBe(6);
    expect(press("Home")).toBe(0);
  });

  it("turn the page at its ends", () => {
    const { thumbs, press, actions } = grid();
    thumbs[6].focus();
    press("ArrowRight");
    thumbs[0].focus();
    press("ArrowUp");
    expect(actions.turn.mock.calls).toEqual([[1], [-1]]);
  });

  it("tick with Space, a range with Shift, and the page with Ctrl+A", () => {
    const { thumbs, press, actions } = grid();
    thumbs[1].focus();
    press(" ");
    press("ArrowRight", { shiftKey: true });
    press("a", { ctrlKey: true });
    expect(actions.choose.mock.calls).toEqual([
      [1, false],
      [2, true],
    ]);
    expect(actions.choosePage).toHaveBeenCalledTimes(1);
  });
});
