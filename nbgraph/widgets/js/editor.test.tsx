// @vitest-environment jsdom
import { afterEach, describe, expect, it, vi } from "vitest";

import { FakeModel } from "./editor/fake.test.ts";

vi.stubGlobal(
  "ResizeObserver",
  class {
    observe() {}
    unobserve() {}
    disconnect() {}
  },
);
vi.stubGlobal(
  "DOMMatrixReadOnly",
  class {
    m22 = 1;
  },
);
Object.defineProperties(HTMLElement.prototype, { offsetWidth: { get: () => 900 }, offsetHeight: { get: () => 600 } });
(SVGElement.prototype as any).getBBox = () => ({ x: 0, y: 0, width: 0, height: 0 });

const { editor } = await import("./editor.tsx");
const settled = (check: () => void) => vi.waitFor(check, { timeout: 5000, interval: 20 });

afterEach(() => document.body.replaceChildren());

describe("the widget", () => {
  it("draws the nodes, keeps keys from the notebook, and cleans up", async () => {
    const el = document.createElement("div");
    document.body.append(el);
    const clean = editor.render({ model: new FakeModel(), el });
    await settled(() => expect(el.textContent).toContain("Integer"));
    const heard = vi.fn();
    document.body.addEventListener("keydown", heard);
    const field = el.querySelector<HTMLElement>("input[aria-label='one value']")!;
    field.focus();
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "x", bubbles: true }));
    expect(heard).not.toHaveBeenCalled();
    expect(field.getAttribute("data-lm-suppress-shortcuts")).toBe("true");
    clean();
    await settled(() => expect(el.textContent).toBe(""));
  });
  it("shows the same document in two views of one model", async () => {
    const model = new FakeModel();
    const views = [document.createElement("div"), document.createElement("div")];
    document.body.append(...views);
    const cleans = views.map((el) => editor.render({ model, el }));
    model.tell({
      type: "patch",
      revision: 4,
      changes: [["input", "one", "value", { value: 77 }]],
      author: "python",
      problems: {},
      varying: {},
      library: {},
      undo: 1,
      redo: 0,
    });
    const values = () => views.map((el) => el.querySelector<HTMLInputElement>("input[aria-label='one value']")?.value);
    await settled(() => expect(values()).toEqual(["77", "77"]));
    expect(model.sent.filter((one) => one.type === "ready")).toHaveLength(1);
    for (const clean of cleans) clean();
  });
  it("keeps what is typed to itself, and sends it once, before a run", async () => {
    const model = new FakeModel();
    const el = document.createElement("div");
    document.body.append(el);
    const clean = editor.render({ model, el });
    await settled(() => expect(el.querySelector("textarea")).not.toBeNull());
    const area = el.querySelector<HTMLTextAreaElement>("textarea[aria-label='ask text']")!;
    const write = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value")!.set!;
    const edits = () => model.sent.filter((one) => one.type === "edit");
    for (const text of ["a", "an", "an apple"]) {
      write.call(area, text);
      area.dispatchEvent(new Event("input", { bubbles: true }));
    }
    expect(area.value).toBe("an apple");
    expect(edits()).toEqual([]);
    area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true }));
    expect(edits().map((one) => one.changes)).toEqual([[["input", "ask", "text", { value: "an apple" }]]]);
    clean();
  });
  it("shows markup in titles as text", async () => {
    const model = new FakeModel();
    const el = document.createElement("div");
    document.body.append(el);
    const clean = editor.render({ model, el });
    model.tell({
      type: "patch",
      revision: 4,
      changes: [["node", "<img src=x>", "", { type: "integer" }]],
      author: "python",
      problems: {},
      varying: {},
      library: {},
      undo: 1,
      redo: 0,
    });
    await settled(() => expect(el.textContent).toContain("<img src=x>"));
    expect(el.querySelector("img")).toBeNull();
    clean();
  });
});
