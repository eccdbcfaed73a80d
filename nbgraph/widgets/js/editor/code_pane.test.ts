import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { CodeText } from "./code_text.ts";
import { FakeModel } from "./fake.test.ts";
import { OTHERS, offers } from "./model_search.ts";
import { piecesOf } from "./python_words.ts";
import { EditorStore } from "./store.ts";

describe("code in colours", () => {
  it("is the code, whatever it holds", () => {
    for (const code of ["", "a = Noise(seed=7)  # 'x'\n", 'x = """open\nand', "'it\\'s' + \"#\"", "é = 1.5e3"])
      expect(
        piecesOf(code)
          .map(([, piece]) => piece)
          .join(""),
      ).toBe(code);
  });
  it("knows a text from a comment", () => {
    expect(piecesOf("a = '#' # b").filter(([kind]) => kind)).toEqual([
      ["input", "a"],
      ["string", "'#'"],
      ["comment", "# b"],
    ]);
  });
});

describe("the code beside the canvas", () => {
  let model: FakeModel;
  let store: EditorStore;
  let code: CodeText;
  let end: () => void;
  const answer = async (part: object): Promise<void> => {
    model.tell({ type: "code", request: model.sent.at(-1).request, ...part });
    await vi.advanceTimersByTimeAsync(0);
  };
  const changed = (revision: number): void =>
    model.tell({
      type: "patch",
      revision,
      changes: [["input", "one", "value", { value: revision }]],
      author: "python",
      problems: {},
      varying: {},
      library: {},
      undo: 1,
      redo: 0,
    });
  beforeEach(async () => {
    vi.useFakeTimers();
    model = new FakeModel();
    store = new EditorStore(model);
    code = new CodeText(store);
    end = code.follow();
    await answer({ text: "one = Integer()", mark: "a" });
  });
  afterEach(() => {
    end();
    vi.useRealTimers();
  });
  it("follows the graph while nothing is typed", async () => {
    expect(code.state.text).toBe("one = Integer()");
    changed(4);
    await vi.advanceTimersByTimeAsync(250);
    await answer({ text: "one = Integer(value=4)", mark: "b" });
    expect(code.state.text).toBe("one = Integer(value=4)");
  });
  it("sends what is typed after a pause, keeps it as it was typed, and shows the line that is wrong", async () => {
    code.type("one = Integer(valu=5)");
    code.type("one = Integer(value=5");
    expect(model.sent.at(-1).text).toBeUndefined();
    await vi.advanceTimersByTimeAsync(450);
    expect(model.sent.at(-1)).toMatchObject({ type: "code", text: "one = Integer(value=5", base: "a" });
    await answer({ text: "one = Integer()", mark: "a", error: "'(' was never closed", line: 1 });
    expect(code.state).toMatchObject({ error: "'(' was never closed", line: 1, text: "one = Integer(value=5" });
    code.type("one = Integer(value=5)  # mine");
    store.flush();
    changed(4);
    await answer({ text: "one = Integer(value=5)", mark: "c" });
    expect(code.state).toMatchObject({ error: "", text: "one = Integer(value=5)  # mine" });
    await vi.advanceTimersByTimeAsync(250);
    await answer({ text: "one = Integer(value=5)", mark: "c" });
    expect(code.state.text).toBe("one = Integer(value=5)  # mine");
  });
  it("asks which is kept where the graph changed under what is typed", async () => {
    code.type("one = Integer(value=6)");
    store.flush();
    await answer({ text: "one = Integer(value=9)", mark: "d", stale: true });
    expect(code.state).toMatchObject({ stale: true, text: "one = Integer(value=6)" });
    code.drawAnyway();
    expect(model.sent.at(-1)).toMatchObject({ text: "one = Integer(value=6)", base: "d" });
    await answer({ text: "one = Integer(value=6)", mark: "e" });
    expect(code.state.stale).toBe(false);
    code.type("x");
    store.flush();
    await answer({ text: "one = Integer(value=7)", mark: "f", stale: true });
    code.showNewest();
    expect(code.state).toMatchObject({ stale: false, text: "one = Integer(value=7)" });
  });
});

describe("the models of a picker", () => {
  const models = [
    { name: "emoji", kind: "folder", family: "" },
    { name: "loras/ink wash.safetensors", kind: "lora", family: "stable-diffusion 1.5" },
    { name: "vae/sharp.safetensors", kind: "vae", family: "" },
  ];
  const titles = (text: string, kinds = ["lora"], optional = false): string[] =>
    offers({ models, kinds, text, optional }).map((one) => one.title);
  it("are those that fit, and then the others", () => {
    expect(titles("")).toEqual(["loras/ink wash.safetensors", "emoji", "vae/sharp.safetensors"]);
    expect(offers({ models, kinds: ["lora"], text: "", optional: false }).at(-1)).toMatchObject({ group: OTHERS });
  });
  it("are found by name, kind and family, or typed", () => {
    expect(titles("1.5 wash")).toEqual(["loras/ink wash.safetensors", "1.5 wash"]);
    expect(titles("/models/own.safetensors")).toEqual(["/models/own.safetensors"]);
    expect(titles("emoji", ["folder"])).toEqual(["emoji"]);
    expect(titles("", ["lora"], true)[0]).toBe("none");
  });
});
