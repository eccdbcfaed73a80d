// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { attribute, element } from "./dom.ts";
import { FakeModel, HOSTILE } from "./fake.test.ts";
import { headLine, type NodeState, nodeMeta, type RunState } from "./run_text.ts";
import { runView } from "./run_view.ts";

const state = (more: Partial<RunState> = {}): RunState => ({
  status: "running",
  seconds: 4,
  left: 6,
  fraction: 0.4,
  done: 2,
  cached: 1,
  node: "slow",
  step: 3,
  steps: 10,
  message: "",
  error: "",
  results: [],
  waits_for: "",
  ...more,
});
const node = (more: Partial<NodeState> = {}): NodeState => ({
  id: "slow",
  title: "Slow",
  status: "running",
  runs: 0,
  of: 1,
  cached: 0,
  seconds: 0,
  error: "",
  warning: "",
  ...more,
});
const message = (more: any = {}) => ({
  type: "run",
  state: state(),
  nodes: [node()],
  whole: true,
  pictures: [],
  preview: false,
  hasPreview: false,
  problem: "",
  ...more,
});
const bytes = () => new DataView(new ArrayBuffer(4));

let model: FakeModel;
let el: HTMLElement;
let close: () => void;
const revoked: string[] = [];
let made = 0;

beforeEach(() => {
  URL.createObjectURL = () => `blob:${++made}`;
  URL.revokeObjectURL = (url: string) => void revoked.push(url);
  model = new FakeModel();
  el = document.createElement("div");
  document.body.append(el);
  close = runView.render({ model: model as any, el });
});
afterEach(() => {
  close();
  el.remove();
  vi.useRealTimers();
});
const find = (selector: string) => el.querySelector<HTMLElement>(selector)!;

describe("the run view", () => {
  it("asks for everything, and shows nothing before it is told", () => {
    expect(model.sent).toEqual([{ type: "ready" }]);
    expect(find(".nbp-run").classList.contains("nbp-hidden")).toBe(true);
  });

  it("asks again until it is answered, as a first question may wait for the end of the cell", () => {
    vi.useFakeTimers();
    close();
    model.sent.length = 0;
    close = runView.render({ model: model as any, el });
    vi.advanceTimersByTime(400);
    expect(model.sent).toHaveLength(1);
    vi.advanceTimersByTime(200);
    expect(model.sent).toEqual([{ type: "ready" }, { type: "ready" }]);
    model.tell(message({ whole: false }));
    vi.advanceTimersByTime(1000);
    expect(model.sent).toHaveLength(3);
    model.tell(message());
    vi.advanceTimersByTime(60_000);
    expect(model.sent).toHaveLength(3);
  });

  it("no longer asks once it is closed, or after six times", () => {
    vi.useFakeTimers();
    close();
    model.sent.length = 0;
    close = runView.render({ model: model as any, el });
    vi.advanceTimersByTime(600_000);
    expect(model.sent).toHaveLength(6);
    model.sent.length = 0;
    close();
    close = runView.render({ model: model as any, el });
    close();
    vi.advanceTimersByTime(600_000);
    expect(model.sent).toHaveLength(1);
  });

  it("shows the nodes, the step of the running one, and what is left", () => {
    vi.useFakeTimers();
    model.tell(message({ nodes: [node({ id: "one", status: "cached", runs: 1, cached: 1 }), node()] }));
    expect([...el.querySelectorAll(".nbp-run-node")].map((row) => row.getAttribute("data-status"))).toEqual([
      "cached",
      "running",
    ]);
    expect(find(".nbp-run-node[data-node=slow] [role=progressbar]").getAttribute("aria-valuenow")).toBe("3");
    expect(find(".nbp-head-line").textContent).toBe("2 done, 1 cached · 4.0 s · about 6 s left");
  });

  it("keeps a node's row when a later message changes it", () => {
    model.tell(message());
    model.tell(
      message({
        whole: false,
        nodes: [node({ status: "done", runs: 1, seconds: 1.5 })],
        state: state({ status: "completed", left: null, fraction: 1 }),
      }),
    );
    expect(el.querySelectorAll(".nbp-run-node").length).toBe(1);
    expect(find(".nbp-run-meta").textContent).toBe("1.5 s");
    expect(find("button").classList.contains("nbp-hidden")).toBe(true);
  });

  it("shows pictures and the preview, and lets their addresses go", () => {
    model.tell(message({ pictures: ["a"], preview: true, hasPreview: true }), [bytes(), bytes()]);
    expect(el.querySelectorAll("img").length).toBe(2);
    model.tell(message({ whole: false, nodes: [], preview: true }));
    expect(el.querySelectorAll("img").length).toBe(1);
    const before = revoked.length;
    close();
    expect(revoked.length).toBe(before + 1);
    expect(model.listening).toBe(0);
    close = () => {};
  });

  it("shows what the run gave once it has ended", () => {
    model.tell(message());
    expect(find(".nbp-run-results").children.length).toBe(0);
    model.tell(
      message({ whole: false, nodes: [], state: state({ status: "completed", results: ["sum.value = 3", HOSTILE] }) }),
    );
    expect([...find(".nbp-run-results").children].map((line) => line.textContent)).toEqual(["sum.value = 3", HOSTILE]);
    expect(el.querySelectorAll("script, .nbp-run-results img").length).toBe(0);
  });

  it("cancels once, and says so", () => {
    model.tell(message());
    find("button").click();
    expect(model.sent.at(-1)).toEqual({ type: "cancel" });
    expect(find(".nbp-pill").textContent).toBe("cancelling …");
    expect((find("button") as HTMLButtonElement).disabled).toBe(true);
  });

  it("shows every text as text", () => {
    model.tell(
      message({
        problem: HOSTILE,
        state: state({ node: HOSTILE, message: HOSTILE }),
        nodes: [node({ id: HOSTILE, title: HOSTILE, error: HOSTILE, warning: HOSTILE })],
      }),
    );
    expect(el.querySelectorAll("script, .nbp-run-node img").length).toBe(0);
    expect(find(".nbp-run-error").textContent).toBe(HOSTILE);
    expect((globalThis as any).planted).toBeUndefined();
  });
});

describe("the pictures of a form", () => {
  it("stay in a strip when another run begins, and come back by a click", () => {
    close();
    model.get = (name?: string) => name === "compact";
    close = runView.render({ model: model as any, el });
    model.tell(message({ pictures: ["a"] }), [bytes()]);
    expect(find(".nbp-history").classList.contains("nbp-hidden")).toBe(true);
    model.tell(message({ pictures: ["b"] }), [bytes()]);
    const strip = [...el.querySelectorAll<HTMLElement>(".nbp-history button")];
    expect(strip.map((one) => one.getAttribute("aria-pressed"))).toEqual(["true", "false"]);
    const older = strip[1].querySelector("img")!.src;
    strip[1].click();
    expect(find(".nbp-run-pictures").querySelector("img")!.src).toBe(older);
    model.tell(message({ pictures: ["a"] }), [bytes()]);
    expect(el.querySelectorAll(".nbp-history button").length).toBe(2);
  });
});

describe("texts", () => {
  it("counts on between messages, and never below a second left", () => {
    expect(headLine(state(), 20)).toBe("2 done, 1 cached · 24.0 s · about 1 s left");
    expect(headLine(state({ status: "pending", left: null }), 5)).toBe("waiting for its turn · 4.0 s");
  });
  it("counts repeated nodes", () => {
    expect(nodeMeta(node({ status: "done", runs: 3, of: 8, seconds: 2 }))).toBe("3/8 · 2.0 s");
    expect(nodeMeta(node({ status: "skipped" }))).toBe("not run");
  });
});

describe("the builder of elements", () => {
  it("writes children as text and refuses attributes that hold code", () => {
    expect(element("p", {}, HOSTILE).children.length).toBe(0);
    expect(() => attribute(document.createElement("p"), "onclick", "planted=1")).toThrow("code");
  });
});
