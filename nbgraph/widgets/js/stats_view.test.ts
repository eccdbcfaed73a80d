// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { FakeModel, HOSTILE } from "./fake.test.ts";
import { drawing } from "./stats_view/drawing.ts";
import { statsView } from "./stats_view.ts";

const run = (session: string, more: any = {}) => ({
  session,
  label: `picture ${session}`,
  started: 100,
  seconds: 2,
  nodes: 3,
  cached: 1,
  failed: 0,
  ...more,
});

/** The stats of some runs; what is chosen is what the answer says. */
class FakeStats extends FakeModel {
  answer: any = {
    type: "stats",
    runs: [run("b"), run("a", { seconds: 1 })],
    total: 2,
    chosen: ["b"],
    columns: [
      ["node", "Node", true],
      ["seconds", "Seconds", true],
      ["error", "Error", false],
    ],
    plots: [
      ["timeline", "Timeline"],
      ["runs", "Runs"],
    ],
    plot: "timeline",
    figures: [["seconds", "Seconds"]],
    figure: "seconds",
    head: ["Node", "Seconds"],
    rows: [["denoise", "1.2 s"]],
    numbers: [false, true],
    more: 0,
    drawing: '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text>denoise</text></svg>',
  };
  override send(content: any): void {
    super.send(content);
    const told = content.type === "save" ? { type: "saved", path: "/here/stats.csv" } : this.answer;
    this.tell({ ...told, request: content.request });
  }
}

let model: FakeStats;
let el: HTMLElement;
let close: () => void;
(globalThis as any).CSS ??= { escape: (text: string) => text };
const open = async (): Promise<void> => {
  close = statsView.render({ model: model as any, el });
  await vi.waitFor(() => expect(el.querySelectorAll(".nbp-stats-runs tbody tr").length).toBe(model.answer.runs.length));
};
const rows = () => [...el.querySelectorAll<HTMLElement>(".nbp-stats-runs tbody tr")];
const asked = () => model.sent.map(({ request, ...rest }) => rest).slice(1);

beforeEach(() => {
  model = new FakeStats();
  el = document.createElement("div");
  document.body.append(el);
});
afterEach(() => {
  close();
  el.remove();
});

it("shows runs with their share of the longest, the plot, and the nodes of those that are chosen", async () => {
  await open();
  expect(rows().map((row) => row.querySelector<HTMLElement>(".nbp-stats-bar")!.style.width)).toEqual(["100%", "50%"]);
  expect(rows()[0].classList.contains("nbp-chosen")).toBe(true);
  expect(el.querySelector(".nbp-plot svg text")!.textContent).toBe("denoise");
  expect(el.querySelector(".nbp-stats-nodes tbody")!.textContent).toBe("denoise1.2 s");
});

it("asks for what is clicked: a run alone, one more, another plot, other columns", async () => {
  await open();
  rows()[1].click();
  rows()[1].querySelector<HTMLInputElement>("input")!.click();
  [...el.querySelectorAll<HTMLElement>(".nbp-tab")][1].click();
  el.querySelector<HTMLInputElement>(".nbp-ticks input")!.click();
  expect(asked()).toEqual([
    { type: "choose", runs: ["a"] },
    { type: "choose", runs: ["b", "a"] },
    { type: "choose", plot: "runs" },
    { type: "choose", columns: ["seconds"] },
  ]);
});

it("says where a file was saved, and why a plot was not drawn", async () => {
  await open();
  [...el.querySelectorAll<HTMLElement>("button")].find((one) => one.textContent === "CSV")!.click();
  await vi.waitFor(() => expect(el.querySelector(".nbp-told")!.textContent).toBe("saved as /here/stats.csv"));
  model.answer = { ...model.answer, drawing: undefined, problem: "two runs can be compared" };
  model.tell({ type: "changed" });
  await vi.waitFor(() => expect(el.querySelector("[role=alert]")!.textContent).toBe("two runs can be compared"));
  expect(el.querySelector(".nbp-plot svg")).toBeNull();
});

it("says what will be here where nothing was run", async () => {
  model.answer = { ...model.answer, runs: [], total: 0, chosen: [], rows: [], drawing: "" };
  await open();
  await vi.waitFor(() => expect(el.querySelector(".nbp-empty")!.className).toBe("nbp-empty"));
  expect(el.textContent).toContain("No run yet");
});

it("shows every text as text, and takes of a plot only what plots are made of", async () => {
  model.answer = { ...model.answer, runs: [run("x", { label: HOSTILE })], rows: [[HOSTILE, HOSTILE]] };
  await open();
  expect(el.querySelectorAll("img, script").length).toBe(0);
  const svg = drawing(
    `<svg xmlns="http://www.w3.org/2000/svg" onload="globalThis.planted=1"><script>1</script><style>*{}</style>
     <g onclick="1" style="fill: url(http://x/y)"><a href="javascript:1"><text>x</text></a>
     <use href="http://x/#y"/><use href="#own"/><foreignObject><p>x</p></foreignObject></g></svg>`,
  )!;
  expect(svg.querySelectorAll("script, style, a, foreignObject").length).toBe(0);
  expect([...svg.querySelectorAll("use")].map((one) => one.getAttribute("href"))).toEqual([null, "#own"]);
  expect(svg.querySelector("g")!.getAttribute("style")).toBe("fill: none");
  expect(svg.outerHTML).not.toMatch(/onload|onclick|javascript/);
  expect(drawing("no svg <b>")).toBeNull();
  expect((globalThis as any).planted).toBeUndefined();
});
