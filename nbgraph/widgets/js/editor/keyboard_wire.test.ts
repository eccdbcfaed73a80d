// @vitest-environment jsdom
import { beforeEach, describe, expect, it, vi } from "vitest";

import type { View } from "./actions.ts";
import { ASSIGNABLE, FakeModel } from "./fake.test.ts";
import { KeyboardWire } from "./keyboard_wire.ts";
import { EditorStore } from "./store.ts";

let store: EditorStore;
let model: FakeModel;
let wire: KeyboardWire;
let said: string[];
let search: ReturnType<typeof vi.fn>;
let root: HTMLElement;

const port = (node: string, name: string, side: "source" | "target"): HTMLElement => {
  const made = document.createElement("div");
  made.className = `react-flow__handle nbg-handle ${side}`;
  made.tabIndex = 0;
  Object.assign(made.dataset, { nodeid: node, handleid: name });
  root.append(made);
  return made;
};
const at = (node: string, name: string): HTMLElement =>
  [...root.querySelectorAll<HTMLElement>(".nbg-handle")].find(
    (one) => one.dataset.nodeid === node && one.dataset.handleid === name,
  )!;
const press = (key: string, target: EventTarget | null = document.activeElement, shiftKey = false): boolean =>
  wire.key({ key, shiftKey, target, preventDefault() {}, stopPropagation() {} });

beforeEach(() => {
  model = new FakeModel();
  store = new EditorStore(model);
  store.state.setState({
    schema: { ...store.schema, assignable: ASSIGNABLE },
  });
  root = document.createElement("div");
  const flow = document.createElement("div");
  flow.className = "react-flow";
  root.append(flow);
  document.body.replaceChildren(root);
  port("one", "value", "source");
  port("sum", "b", "target");
  port("ask", "text", "target");
  port("sum", "value", "source");
  port("all", "item", "target");
  said = [];
  search = vi.fn();
  wire = new KeyboardWire(
    { store, root, flow: { fitView: async () => true } } as unknown as View,
    (text) => said.push(text),
    search as any,
  );
});

describe("a wire by keys", () => {
  it("begins at a port, with the focus on the first that fits", async () => {
    expect(press("Enter", at("one", "value"))).toBe(true);
    expect(said[0]).toMatch(/^one value to .* 1 of 3\. Arrows choose, Enter connects/);
    await vi.waitFor(() => expect(document.activeElement?.classList.contains("target")).toBe(true));
  });

  it("goes through what fits in both directions, and connects", async () => {
    press("Enter", at("one", "value"));
    press("ArrowDown");
    press("Tab");
    press("Tab", document.activeElement, true);
    expect(said.at(-1)).toContain("2 of 3");
    const [, target] = / to (\w+ \w+),/.exec(said.at(-1)!)!;
    await vi.waitFor(() => expect(document.activeElement).toBe(at(...(target.split(" ") as [string, string]))));
    press("Enter");
    const [node, field] = target.split(" ");
    expect(model.sent.at(-1)).toMatchObject({
      type: "edit",
      changes: [["input", node, field, { links: [["one", "value"]] }]],
    });
    expect(said.at(-1)).toBe(`Connected one value to ${target}.`);
    expect(press("ArrowDown")).toBe(false);
  });

  it("is let go by Escape, and the focus goes back to where it began", () => {
    const start = at("one", "value");
    press("Enter", start);
    press("Escape");
    expect(document.activeElement).toBe(start);
    expect(model.sent.filter((one) => one.type === "edit")).toEqual([]);
  });

  it("offers nodes to add where nothing fits, or by Space", () => {
    press("Enter", port("ask", "clip", "target"));
    expect(search).toHaveBeenCalledWith(expect.anything(), { node: "ask", name: "clip", side: "target" });
    press("Enter", at("one", "value"));
    press(" ");
    expect(search).toHaveBeenLastCalledWith(expect.anything(), { node: "one", name: "value", side: "source" });
  });

  it("leaves other keys and other places alone", () => {
    expect(press("Enter", root)).toBe(false);
    expect(press("x", at("one", "value"))).toBe(false);
  });
});
