import { beforeEach, describe, expect, it } from "vitest";

import { FakeModel, SNAPSHOT } from "./fake.test.ts";
import { graphJson } from "./graph_json.ts";
import { isStale } from "./stale.ts";
import { EditorStore } from "./store.ts";

let model: FakeModel;
let store: EditorStore;
const seed = (value: number): any => ["input", "one", "value", { value }];
const shown = (): unknown => store.document.nodes.get("one")!.inputs.value;
const derived = { problems: {}, varying: {}, library: {}, undo: 1, redo: 0 };
const patch = (revision: number, value: number) =>
  model.tell({ type: "patch", revision, changes: [seed(value)], author: "python", ...derived });

beforeEach(() => {
  model = new FakeModel();
  store = new EditorStore(model);
});

describe("the store", () => {
  it("shows what was saved before any kernel answers, and asks for the rest", () => {
    expect(shown()).toEqual({ value: 1 });
    expect(model.sent).toEqual([{ type: "ready", request: 0, revision: 3, path: [] }]);
  });
  it("shows an edit at once and sends one at a time, upon the revision the kernel confirmed", () => {
    store.edit([seed(2)]);
    store.edit([seed(3)]);
    expect(shown()).toEqual({ value: 3 });
    expect(model.sent.slice(1)).toEqual([{ type: "edit", base: 3, changes: [seed(2)], group: "", request: 1 }]);
    patch(4, 2);
    model.tell({ type: "done", request: 1, revision: 4 });
    expect(model.sent.at(-1)).toMatchObject({ base: 4, changes: [seed(3)] });
    expect(shown()).toEqual({ value: 3 });
  });
  it("knows which results are of an older graph", () => {
    const run = (session: string) =>
      model.tell({
        type: "run",
        session,
        status: "running",
        waitsFor: "",
        waiting: 0,
        nodes: {},
        pictures: [],
        whole: true,
      });
    run("first");
    const will = { run: 1, cached: 0, because: "a seed is drawn" };
    model.tell({ type: "done", request: 0, revision: 3, reasons: { one: will, sum: will, all: will } });
    const stale = () => ["one", "sum", "all"].filter((id) => isStale(store.state.getState(), id));
    expect(stale()).toEqual([]);
    patch(4, 2);
    expect(stale()).toEqual(["one", "sum"]);
    run("second");
    expect(stale()).toEqual([]);
  });
  it("takes a refused edit back and says why on the field", () => {
    store.edit([seed(-1)]);
    model.tell({
      type: "refused",
      request: 1,
      message: "too small",
      problems: [{ kind: "bad_value", message: "too small", node: "one", field: "value" }],
    });
    expect(shown()).toEqual({ value: 1 });
    expect(store.refused["one.value"]).toBe("too small");
    expect(store.toasts[0].text).toBe("too small");
  });
  it("makes an edit again that came too late for its revision", () => {
    store.edit([seed(5)]);
    patch(4, 9);
    expect(shown()).toEqual({ value: 5 });
    model.tell({ type: "refused", request: 1, message: "stale", stale: true });
    expect(model.sent.at(-1)).toMatchObject({ type: "edit", base: 4, changes: [seed(5)] });
    expect(store.toasts).toEqual([]);
  });
  it("joins what is typed into one field while the kernel is busy", () => {
    store.edit([seed(2)], "one.value");
    for (const value of [3, 4, 5]) store.edit([seed(value)], "one.value");
    model.tell({ type: "done", request: 1, revision: 4 });
    expect(model.sent.filter((one) => one.type === "edit")).toHaveLength(2);
    expect(model.sent.at(-1).changes).toEqual([seed(5)]);
  });
  it("asks for the saved drawing once for what was edited, after its edits have arrived", () => {
    store.draw();
    store.edit([seed(2)]);
    store.draw();
    expect(model.sent.at(-1).type).toBe("edit");
    patch(4, 2);
    model.tell({ type: "done", request: 1, revision: 4 });
    expect(model.sent.filter((one) => one.type === "draw")).toHaveLength(1);
  });
  it("undoes only after its edits have arrived", () => {
    store.edit([seed(2)]);
    store.undo();
    expect(model.sent.at(-1).type).toBe("edit");
    model.tell({ type: "done", request: 1, revision: 4 });
    expect(model.sent.at(-1).type).toBe("undo");
  });
  it("keeps the states of a run by node, and forgets those of the run before", () => {
    const run = { status: "running", step: 1, steps: 4 };
    model.tell({
      type: "run",
      session: "a",
      status: "running",
      waiting: 0,
      nodes: { one: run },
      pictures: [],
      whole: true,
    });
    expect(store.runs.one).toMatchObject(run);
    model.tell({ type: "run", session: "b", status: "running", waiting: 0, nodes: {}, pictures: [], whole: true });
    expect(store.runs.one).toBeUndefined();
  });
  it("takes reasons as differences to what it was told before, and keeps them through a run", () => {
    const reason = { run: 1, cached: 0, because: "seed 1 -> 2" };
    model.tell({ type: "done", request: 9, revision: 3, reasons: { one: reason, sum: reason } });
    model.tell({ type: "run", session: "b", status: "running", waiting: 0, nodes: {}, pictures: [], whole: true });
    model.tell({ type: "done", request: 10, revision: 3, reasons: { sum: null } });
    expect(store.reasons).toEqual({ one: reason });
  });
  it("keeps what a run would cost until it is told anew, and the marks of a comparison", () => {
    const marks = { nodes: { one: "added" }, text: "1 added" };
    model.tell({ type: "document", document: null, types: {}, assignable: {}, models: [], canRun: true, marks });
    model.tell({ type: "done", request: 9, revision: 3, reasons: {}, expected: "about 40 s" });
    expect(store.state.getState()).toMatchObject({ expected: "about 40 s", marks });
    model.tell({ type: "done", request: 10, revision: 4, reasons: {} });
    expect(store.state.getState()).toMatchObject({ expected: "", marks });
  });
  it("changes nothing that is read only", () => {
    model.tell({
      type: "document",
      document: { ...SNAPSHOT, readOnly: "newer" },
      types: {},
      assignable: {},
      models: [],
      canRun: false,
    });
    store.edit([seed(2)]);
    expect(shown()).toEqual({ value: 1 });
  });
  it("says that its kernel is gone, takes no edits that would be lost, and sends nothing more", async () => {
    model.tell({ type: "document", document: null, types: {}, assignable: {}, models: [], canRun: true });
    store.edit([seed(2)]);
    const sent = model.sent.length;
    model.disconnect();
    await new Promise((resolve) => setTimeout(resolve));
    expect([store.lost, store.live, store.canRun]).toEqual([true, false, false]);
    store.edit([seed(9)]);
    store.runAll(null);
    store.undo();
    expect(await store.ask({ type: "explain" })).toMatchObject({ type: "refused" });
    expect(model.sent.length).toBe(sent);
    expect(shown()).toEqual({ value: 2 });
  });
  it("stays as it is when it hears of connections and its own is there", async () => {
    model.comm.comm_live = true;
    const listeners = (model as any).listeners.get("comm_live_update");
    for (const listener of listeners) listener();
    await new Promise((resolve) => setTimeout(resolve));
    expect(store.lost).toBe(false);
  });
  it("writes the graph on the page as a graph file, with what never reached the kernel", () => {
    store.edit([seed(2)]);
    expect(JSON.parse(graphJson(store.document))).toEqual({
      nodes: {
        one: { id: "one", type: "integer", value: 2 },
        sum: { id: "sum", type: "add" },
        ask: { id: "ask", type: "prompt" },
        all: { id: "all", type: "collect" },
      },
      edges: [{ source: { node_id: "one", field: "value" }, destination: { node_id: "sum", field: "a" } }],
      layout: { nodes: { one: { x: 0, y: 0 }, sum: { x: 300, y: 0 } } },
    });
  });
});
