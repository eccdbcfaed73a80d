// @vitest-environment jsdom
// The paint view on a kernel that is a list: what keys and buttons do, what is sent, and what survives.
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { FakeModel, HOSTILE } from "./fake.test.ts";
import { PaintView } from "./paint.ts";

const PAUSE = 700;
let number = 0;

class PaintModel extends FakeModel {
  files: ArrayBuffer[] = [];

  constructor(private readonly id = `model${number++}`) {
    super();
  }
  get = (name?: string): unknown => ({ _id: this.id, _extends: true, _use: "" })[name ?? ""];
  send = (content: any, _callbacks?: unknown, buffers?: ArrayBuffer[]): void => {
    this.sent.push(content);
    if (buffers?.[0]) this.files.push(buffers[0]);
  };
  /** Answer the last request of a kind. */
  answer(type: string, content: object, buffers: DataView[] = []): void {
    const asked = this.sent.findLast((one) => one.type === type);
    this.tell({ ...content, request: asked.request }, buffers);
  }
  ready(content = "content", width = 40, height = 30): void {
    const facts = { type: "paint", width, height, pads: [0, 0, 0, 0], content, mask: "", problem: "", earlier: null };
    this.answer("ready", facts, [new DataView(new ArrayBuffer(1))]);
  }
}

const views: PaintView[] = [];
/** Wait for what follows, by itself, from what was done: files are made beside. */
const soon = (check: () => void): Promise<void> => vi.waitFor(check, { interval: 2, timeout: 4000 });

async function opened(model = new PaintModel(), content = `content${number++}`): Promise<[PaintView, PaintModel]> {
  const view = new PaintView(model as any);
  views.push(view);
  document.body.append(view.root);
  model.ready(content);
  await soon(() => expect(button(view, "Fill").disabled).toBe(false));
  return [view, model];
}

const area = (view: PaintView): HTMLElement => view.root.querySelector(".nbm-area")!;
const press = (view: PaintView, key: string, more = {}): void => {
  area(view).dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
};
const lift = (view: PaintView, key: string): void => void area(view).dispatchEvent(new KeyboardEvent("keyup", { key }));
const text = (view: PaintView): string => view.root.querySelector(".nbm-foot")!.textContent ?? "";
const button = (view: PaintView, name: string): HTMLButtonElement =>
  [...view.root.querySelectorAll("button")].find((one) => (one.ariaLabel ?? one.textContent) === name)!;

/** The person pauses; wait until the page has sent so many files. */
async function pause(model: PaintModel, files: number): Promise<void> {
  vi.advanceTimersByTime(PAUSE);
  await soon(() => expect(model.files).toHaveLength(files));
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  globalThis.URL.createObjectURL = () => "blob:image";
  globalThis.URL.revokeObjectURL = () => {};
  HTMLCanvasElement.prototype.getContext = () => null;
});
afterEach(() => {
  for (const view of views.splice(0)) view.close();
  document.body.replaceChildren();
  vi.useRealTimers();
});

it("is painted by keys, and sends one file a pause", async () => {
  const [view, model] = await opened();
  expect(text(view)).toContain("nothing painted");
  press(view, " ");
  for (let step = 0; step < 5; step++) press(view, "ArrowRight");
  lift(view, " ");
  expect(model.files).toHaveLength(0);
  await pause(model, 1);
  expect(model.sent.at(-1)).toMatchObject({ type: "save", pads: [0, 0, 0, 0] });
  model.answer("save", { type: "saved", mask: "m" });
  await soon(() => expect(text(view)).toMatch(/% painted.*saved$/));
});

it("keeps what is not saved where the kernel refuses it, and says why as text", async () => {
  const [view, model] = await opened();
  button(view, "Fill").click();
  await pause(model, 1);
  model.answer("save", { type: "refused", message: HOSTILE });
  await soon(() => expect(view.root.querySelector("[role=alert]")!.textContent).toBe(HOSTILE));
  expect((globalThis as any).planted).toBeUndefined();
  expect(text(view)).toContain("not saved yet");
  button(view, "Invert").click();
  await pause(model, 2);
});

it("undo and redo go over strokes, fill, clear, invert and frames", async () => {
  const [view] = await opened();
  for (const name of ["Fill", "Invert", "Invert", "Clear"]) button(view, name).click();
  for (const wanted of ["100 %", "nothing", "100 %", "nothing"]) {
    press(view, "z", { ctrlKey: true });
    expect(text(view)).toContain(wanted);
  }
  expect(button(view, "Undo").disabled).toBe(true);
  press(view, "y", { ctrlKey: true });
  expect(text(view)).toContain("100 %");
});

it("two views show one mask, and the second goes on when the first is gone", async () => {
  const [first] = await opened(new PaintModel("shared"), "shared");
  const other = new PaintModel("shared");
  const second = new PaintView(other as any);
  views.push(second);
  button(first, "Fill").click();
  expect(text(second)).toContain("100 %");
  first.close();
  views.splice(0, 1);
  button(second, "Clear").click();
  await pause(other, 1);
  expect(other.sent.at(-1)).toMatchObject({ type: "save" });
});

it("a kernel that was restarted offers what was painted on this page", async () => {
  const [view, gone] = await opened(new PaintModel(), "photo");
  button(view, "Fill").click();
  await pause(gone, 1);
  const [again, model] = await opened(new PaintModel(), "photo");
  expect(text(again)).toContain("nothing painted");
  button(again, "Continue with it").click();
  await pause(model, 1);
  expect(text(again)).toContain("100 %");
  expect(model.sent.at(-1)).toMatchObject({ type: "save" });
});

it("a frame that is extended is sent with the mask of its size", async () => {
  const [view, model] = await opened();
  const handle = view.root.querySelector<HTMLElement>("[aria-label='extend the frame to the top']")!;
  handle.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp", shiftKey: true, bubbles: true }));
  await pause(model, 1);
  expect(model.sent.at(-1)).toMatchObject({ type: "save", pads: [0, 64, 0, 0] });
  expect(new DataView(model.files[0]).getUint32(20)).toBe(30 + 64);
  expect(text(view)).toContain("40 × 30 → 40 × 94");
});
