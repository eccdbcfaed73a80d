// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Asker } from "./asker.ts";
import { cacheTable } from "./cache_table.ts";
import { gallery } from "./gallery.ts";
import type { Model } from "./model.ts";
import { age, bytes, count, seconds } from "./units.ts";

const HOSTILE = "<img src=x onerror=alert(1)>";
const settled = (check: () => void) => vi.waitFor(check, { timeout: 3000, interval: 10 });

/** A kernel that answers with what it was given for a type of question. */
class FakeKernel implements Model {
  sent: any[] = [];
  answers: Record<string, (question: any) => [any, DataView[]?]> = {};
  listeners: ((content: any, buffers?: DataView[]) => void)[] = [];
  traits: Record<string, unknown> = {};

  get(name: string): unknown {
    return this.traits[name];
  }
  on(_: string, listener: any): void {
    this.listeners.push(listener);
  }
  off(_: string, listener: any): void {
    this.listeners = this.listeners.filter((each) => each !== listener);
  }
  send(question: any): void {
    this.sent.push(question);
    const answer = this.answers[question.type];
    if (!answer) return;
    const [content, buffers] = answer(question);
    queueMicrotask(() => this.tell({ ...content, request: question.request }, buffers));
  }
  tell(content: any, buffers?: DataView[]): void {
    for (const listener of [...this.listeners]) listener(content, buffers);
  }
  asked(type: string): any[] {
    return this.sent.filter((question) => question.type === type);
  }
}

const picture = (name: string, more = {}) => ({
  name,
  label: `label of ${name}`,
  width: 64,
  height: 64,
  mode: "RGB",
  category: "general",
  starred: false,
  intermediate: false,
  node: name,
  session: "s",
  created: 0,
  bytes: 10,
  ...more,
});
const entry = (key: string, more = {}) => ({
  key,
  node: `node ${key}`,
  type: "add",
  created: 0,
  hits: 1,
  bytes: 2048,
  seconds: 0.5,
  resources: [],
  picture: "",
  output: "{}",
  ...more,
});
const status = { size: 2, bytes: 100, hits: 3, misses: 1, on: true, maxEntries: 10, maxBytes: 2 ** 30 };
const bytesOf = () => new DataView(new ArrayBuffer(4));

function shown(
  widget: typeof gallery,
  kernel: FakeKernel,
): { el: HTMLElement; clean: () => void; button: (name: string) => HTMLButtonElement } {
  const el = document.createElement("div");
  document.body.append(el);
  const clean = widget.render({ model: kernel, el });
  const button = (name: string) =>
    [...el.querySelectorAll("button")].find(
      (each) => each.textContent === name || each.getAttribute("aria-label") === name,
    )!;
  return { el, clean, button };
}

let made = 0;
let released = 0;
beforeEach(() => {
  made = released = 0;
  vi.stubGlobal(
    "URL",
    Object.assign(URL, { createObjectURL: () => `blob:${++made}`, revokeObjectURL: () => released++ }),
  );
});
afterEach(() => document.body.replaceChildren());

describe("asking", () => {
  it("hears only answers to its own questions, and refusals as errors", async () => {
    const kernel = new FakeKernel();
    const one = new Asker(kernel, () => {});
    const two = new Asker(kernel, () => {});
    const first = one.ask({ type: "a" });
    const second = two.ask({ type: "b" });
    kernel.tell({ type: "done", request: kernel.sent[0].request, value: 1 });
    kernel.tell({ type: "refused", request: kernel.sent[1].request, message: "no" });
    expect((await first)[0].value).toBe(1);
    await expect(second).rejects.toThrow("no");
    one.close();
    two.close();
    expect(kernel.listeners).toHaveLength(0);
  });

  it("repeats its first question until it is answered, but none that changes something", () => {
    vi.useFakeTimers();
    const said = (type: string): number => {
      const kernel = new FakeKernel();
      const asker = new Asker(kernel, () => {});
      void asker.ask({ type });
      vi.advanceTimersByTime(20_000);
      asker.close();
      return kernel.sent.length;
    };
    const times = ["list", "offers", "ready", "show", "delete", "use"].map(said);
    vi.useRealTimers();
    expect(times).toEqual([6, 6, 6, 6, 1, 1]);
  });
});

describe("the gallery", () => {
  const kernelWith = (pictures: any[]) => {
    const kernel = new FakeKernel();
    kernel.answers.list = () => [
      { type: "page", page: 0, pages: 1, total: pictures.length, pictures },
      pictures.map(bytesOf),
    ];
    return kernel;
  };

  it("shows names as text, and lets go of listeners and pictures at its end", async () => {
    const kernel = kernelWith([picture("one", { label: HOSTILE, node: HOSTILE })]);
    const { el, clean } = shown(gallery, kernel);
    await settled(() => expect(el.textContent).toContain(HOSTILE));
    expect(el.querySelectorAll("img")).toHaveLength(1);
    clean();
    expect(el.childElementCount).toBe(0);
    expect(kernel.listeners).toHaveLength(0);
    expect(released).toBe(made);
  });

  it("asks before it deletes, and deletes what was ticked", async () => {
    const kernel = kernelWith([picture("one"), picture("two")]);
    kernel.answers.doomed = () => [{ type: "doomed", entries: [{ node: "n", type: "t", seconds: 1 }], total: 1 }];
    kernel.answers.delete = () => [{ type: "deleted", count: 1, entries: 1 }];
    const { el, button } = shown(gallery, kernel);
    await settled(() => expect(el.querySelectorAll(".nbp-tile")).toHaveLength(2));
    expect(button("Delete").disabled).toBe(true);
    el.querySelector<HTMLInputElement>(".nbp-tick")!.click();
    button("Delete 1").click();
    await settled(() =>
      expect(el.querySelector("[role=alertdialog]")?.textContent).toContain("1 cached result names it"),
    );
    expect(kernel.asked("delete")).toHaveLength(0);
    el.querySelector<HTMLButtonElement>("[role=alertdialog] .nbp-danger")!.click();
    await settled(() =>
      expect(el.querySelector(".nbp-told")!.textContent).toBe("1 picture and 1 cached result deleted"),
    );
    expect(kernel.asked("delete")[0].names).toEqual(["one"]);
  });

  it("compares two that are ticked, and no other number", async () => {
    const kernel = kernelWith([picture("one"), picture("two"), picture("three")]);
    kernel.answers.compare = () => [
      { type: "compared", pictures: [picture("one"), picture("two")], differences: [["noise.seed", "1", HOSTILE]] },
      [bytesOf(), bytesOf()],
    ];
    const { el, button } = shown(gallery, kernel);
    await settled(() => expect(el.querySelectorAll(".nbp-tick")).toHaveLength(3));
    const ticks = el.querySelectorAll<HTMLInputElement>(".nbp-tick");
    ticks[0].click();
    expect(button("Compare").disabled).toBe(true);
    ticks[1].click();
    button("Compare").click();
    await settled(() => expect(el.querySelector("input[type=range]")).not.toBeNull());
    expect(el.textContent).toContain(HOSTILE);
    expect(kernel.asked("compare")[0].names).toEqual(["one", "two"]);
  });

  it("keeps the focus where it was when news come, and shows refusals", async () => {
    const kernel = kernelWith([picture("one"), picture("two")]);
    const { el, button } = shown(gallery, kernel);
    await settled(() => expect(el.querySelectorAll(".nbp-thumb")).toHaveLength(2));
    el.querySelectorAll<HTMLElement>(".nbp-thumb")[1].focus();
    kernel.tell({ type: "changed" });
    await settled(() => expect(kernel.asked("list")).toHaveLength(2));
    await settled(() => expect((document.activeElement as HTMLElement).dataset.key).toBe("open two"));
    kernel.answers.open = () => [{ type: "refused", message: HOSTILE }];
    button(`open label of one, ${age(0)}`).click();
    await settled(() => expect(el.querySelector("[role=alert]")!.textContent).toBe(HOSTILE));
  });
});

describe("the table of the cache", () => {
  const kernelWith = (entries: any[]) => {
    const kernel = new FakeKernel();
    kernel.answers.list = () => [
      {
        type: "page",
        page: 0,
        pages: 1,
        total: entries.length,
        types: ["add", HOSTILE],
        entries,
        pictures: [],
        status,
      },
      [],
    ];
    kernel.answers.forget = () => [{ type: "done", count: 1, status }];
    return kernel;
  };

  it("sorts by a heading, the other way when it is chosen again", async () => {
    const kernel = kernelWith([entry("a", { node: HOSTILE })]);
    const { el, button, clean } = shown(cacheTable, kernel);
    await settled(() => expect(el.querySelector("tbody th")?.textContent).toBe(HOSTILE));
    expect(el.querySelector("img")).toBeNull();
    button("Node").click();
    button("Node").click();
    expect(kernel.asked("list").map((question) => [question.sort, question.descending])).toEqual([
      ["created", true],
      ["node", false],
      ["node", true],
    ]);
    clean();
    expect(kernel.listeners).toHaveLength(0);
  });

  it("forgets what is ticked, alone", async () => {
    const kernel = kernelWith([entry("a"), entry("b")]);
    const { el, button } = shown(cacheTable, kernel);
    await settled(() => expect(el.querySelectorAll("tbody input")).toHaveLength(2));
    el.querySelectorAll<HTMLInputElement>("tbody input")[1].click();
    button("Forget 1").click();
    await settled(() => expect(el.querySelector(".nbp-told")!.textContent).toBe("1 entry forgotten"));
    expect(kernel.asked("forget")[0]).toMatchObject({ keys: ["b"], downstream: false });
  });

  it("shows hits and misses as they are told", async () => {
    const kernel = kernelWith([entry("a")]);
    const { el } = shown(cacheTable, kernel);
    kernel.tell({ type: "changed", status: { ...status, hits: 30, misses: 10, on: false } });
    await settled(() => expect(kernel.asked("list")).toHaveLength(2));
    kernel.tell({ type: "changed", status: { ...status, hits: 31, misses: 10, on: false } });
    expect(el.querySelector(".nbp-status")!.textContent).toContain("31 hits (76 %)");
    expect(el.querySelector<HTMLInputElement>("[role=switch]")!.checked).toBe(false);
  });
});

describe("units", () => {
  it("are what people read", () => {
    expect([bytes(12), bytes(2048), bytes(5 * 2 ** 30)]).toEqual(["12 B", "2.0 KB", "5.0 GB"]);
    expect([0, 0.012, 0.25, 0.9996, 2.34, 59.97, 119.7, 125].map(seconds)).toEqual([
      "< 1 ms",
      "12 ms",
      "250 ms",
      "1.0 s",
      "2.3 s",
      "1 min 0 s",
      "2 min 0 s",
      "2 min 5 s",
    ]);
    expect([age(100, 100), age(0, 600), age(0, 7200)]).toEqual(["0 s ago", "10 min ago", "2 h ago"]);
    expect([count(1, "hit"), count(0, "entry", "entries")]).toEqual(["1 hit", "0 entries"]);
  });
});
