import { beforeEach, describe, expect, it } from "vitest";

import type { View } from "./actions.ts";
import { FakeModel } from "./fake.test.ts";
import { takeFile } from "./files.ts";
import { EditorStore } from "./store.ts";

let model: FakeModel;
let store: EditorStore;
let view: View;
const CHANGES = [
  ["node", "one", "", { type: "integer" }],
  ["input", "one", "value", { value: 9 }],
];
const file = (name: string, type: string): File => new File(["bytes"], name, { type });
/** Answer the request that was sent last, and let those who wait for it go on. */
const answer = async (content: object): Promise<void> => {
  model.tell({ ...content, request: model.sent.at(-1).request });
  await new Promise((resolve) => setTimeout(resolve));
};

beforeEach(() => {
  model = new FakeModel();
  store = new EditorStore(model);
  const root = { clientWidth: 900, clientHeight: 500 };
  view = { store, root, select: () => {}, look: () => {} } as unknown as View;
});

describe("a file that is dropped", () => {
  it("puts its graph beside what is there, and says what was read", async () => {
    const taken = takeFile(view, file("apple.png", "image/png"), { x: 100, y: 50 });
    await new Promise((resolve) => setTimeout(resolve));
    expect(model.sent.at(-1)).toMatchObject({ type: "file", name: "apple.png" });
    const template = { name: "apple.png", description: "", changes: CHANGES };
    await answer({ type: "file", template, report: "read a picture of nbgraph" });
    await taken;
    expect(store.document.nodes.get("one_2")?.inputs.value).toEqual({ value: 9 });
    expect(store.document.nodes.get("one")?.inputs.value).toEqual({ value: 1 });
    expect(store.toasts[0].text).toBe("apple.png: read a picture of nbgraph");
  });

  it("is an image node where a picture holds no graph, and the reason is shown", async () => {
    const taken = takeFile(view, file("photo.jpg", "image/jpeg"), { x: 0, y: 0 });
    await new Promise((resolve) => setTimeout(resolve));
    await answer({ type: "refused", message: "it holds no recipe" });
    expect(model.sent.at(-1)).toMatchObject({ type: "upload" });
    await answer({ type: "uploaded", name: "f".repeat(32) });
    await taken;
    expect(store.document.nodes.get("image")?.inputs.image).toEqual({ value: { image_name: "f".repeat(32) } });
    expect(store.toasts[0]).toMatchObject({ text: "it holds no recipe", kind: "refusal" });
  });

  it("changes nothing where it is neither", async () => {
    const taken = takeFile(view, file("notes.txt", "text/plain"), { x: 0, y: 0 });
    await new Promise((resolve) => setTimeout(resolve));
    await answer({ type: "refused", message: "it holds no recipe" });
    await taken;
    expect(model.sent.filter((one) => one.type === "edit")).toEqual([]);
  });
});
