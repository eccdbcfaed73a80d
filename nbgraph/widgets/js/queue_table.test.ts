// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { FakeModel, HOSTILE } from "./fake.test.ts";
import { queueTable, timeText } from "./queue_table.ts";

const run = (more: any = {}) => ({
  session: "s1",
  number: 1,
  status: "pending",
  label: "picture",
  submitted: 100,
  started: null,
  ended: null,
  error: "",
  mine: true,
  ...more,
});

/** A queue that answers with its runs. */
class FakeQueue extends FakeModel {
  runs: any[] = [run()];
  refusal = "";
  override send(content: any): void {
    super.send(content);
    const live = (status: string) => this.runs.filter((one) => one.status === status).length;
    const answer = this.refusal
      ? { type: "refused", message: this.refusal }
      : {
          type: "runs",
          runs: this.runs,
          waiting: live("pending"),
          running: live("in_progress"),
          ended: 0,
          paused: content.type === "pause",
        };
    this.tell({ ...answer, request: content.request });
  }
}

let model: FakeQueue;
let el: HTMLElement;
let close: () => void;
(globalThis as any).CSS ??= { escape: (text: string) => text };
const button = (name: string) =>
  [...el.querySelectorAll("button")].find((one) => (one.getAttribute("aria-label") ?? one.textContent) === name)!;
const open = () => (close = queueTable.render({ model: model as any, el }));

beforeEach(() => {
  model = new FakeQueue();
  el = document.createElement("div");
  document.body.append(el);
});
afterEach(() => {
  close();
  el.remove();
});

it("lists the runs, and again when something changed", async () => {
  open();
  await vi.waitFor(() => expect(el.querySelectorAll("tbody tr").length).toBe(1));
  model.runs = [run(), run({ session: "s2", number: 2, status: "in_progress", started: 101 })];
  model.tell({ type: "changed" });
  await vi.waitFor(() => expect(el.querySelectorAll("tbody tr").length).toBe(2));
  expect(el.textContent).toContain("1 running, 1 waiting, 0 ended");
});

it("asks for what its buttons say", async () => {
  open();
  await vi.waitFor(() => expect(button("move to the front: run 1")).toBeDefined());
  button("move to the front: run 1").click();
  button("Pause").click();
  await vi.waitFor(() => expect(button("Resume")).toBeDefined());
  expect(model.sent.slice(1).map(({ type, session }) => [type, session])).toEqual([
    ["prepend", "s1"],
    ["pause", undefined],
  ]);
});

it("offers nothing for a run of another kernel, and shows a refusal", async () => {
  model.runs = [run({ mine: false })];
  open();
  await vi.waitFor(() => expect(el.querySelectorAll("tbody tr").length).toBe(1));
  expect(el.querySelectorAll("tbody button").length).toBe(0);
  model.refusal = HOSTILE;
  button("Cancel all").click();
  await vi.waitFor(() => expect(el.querySelector(".nbp-problem")!.textContent).toBe(HOSTILE));
});

it("shows every text as text", async () => {
  model.runs = [run({ label: HOSTILE, error: HOSTILE, status: "failed" })];
  open();
  await vi.waitFor(() => expect(el.querySelector(".nbp-queue-error")!.textContent).toBe(HOSTILE));
  expect(el.querySelectorAll("img, script").length).toBe(0);
  expect((globalThis as any).planted).toBeUndefined();
});

it("says how long a run waits, takes or took", () => {
  expect(timeText(run() as any, 104)).toBe("since 4 s");
  expect(timeText(run({ status: "in_progress", started: 101 }) as any, 104)).toBe("3.0 s");
  expect(timeText(run({ status: "completed", started: 101, ended: 101.5 }) as any)).toBe("500 ms");
});
