// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { FakeModel, HOSTILE } from "./fake.test.ts";
import type { Model } from "./model.ts";
import { placeClass } from "./remix_bar.ts";
import { runRemix } from "./run_remix.ts";

class RemixModel extends FakeModel {
  override get = (name?: string): unknown => (name === "_id" ? "own" : undefined);
}

let model: RemixModel;
let close: () => void;

beforeEach(() => {
  model = new RemixModel();
  close = runRemix.start(model as Model);
});
afterEach(() => {
  close();
  document.body.replaceChildren();
});

/** Show a run, as a cell does. */
function show(run: string): HTMLElement {
  const card = document.createElement("div");
  card.className = "nbgraph-run";
  const place = document.createElement("div");
  place.className = placeClass("own");
  place.dataset.run = run;
  card.append(place);
  document.body.append(card);
  return card;
}
const asked = (): any => model.sent.at(-1);
const offer = (ways: string[], python = "code"): void =>
  model.tell({ type: "offers", ways, python, request: asked().request });
const names = (card: HTMLElement): (string | null)[] =>
  [...card.querySelectorAll("button")].map((one) => one.textContent);

it("puts buttons into a run that is shown, for what the kernel says can be made of it", async () => {
  const card = show("first");
  await vi.waitFor(() => expect(asked()).toMatchObject({ type: "offers", run: "first" }));
  offer(["canvas", "again"]);
  await vi.waitFor(() => expect(names(card)).toEqual(["Open on canvas", "Another seed", "Copy as Python"]));
  card.querySelectorAll("button")[1].click();
  expect(asked()).toMatchObject({ type: "again", run: "first" });
});

it("shows nothing but the reason in a run that the kernel does not keep, as text", async () => {
  const card = show(HOSTILE);
  await vi.waitFor(() => expect(asked()).toMatchObject({ type: "offers", run: HOSTILE }));
  model.tell({ type: "refused", message: HOSTILE, request: asked().request });
  await Promise.resolve();
  expect(names(card)).toEqual([]);
  expect(card.querySelector("script")).toBe(null);
});

it("leaves runs of other kernels alone, and those that were taken off the page", async () => {
  const card = show("first");
  const other = show("other");
  other.firstElementChild!.className = placeClass("another");
  await vi.waitFor(() => expect(asked()).toMatchObject({ type: "offers", run: "first" }));
  offer(["canvas"]);
  await vi.waitFor(() => expect(names(card)).toHaveLength(2));
  expect(names(other)).toEqual([]);
  const listening = model.listening;
  card.remove();
  await vi.waitFor(() => expect(model.listening).toBe(listening - 1));
});

it("keeps what was opened below a run while its cell is out of view", async () => {
  const cell = document.createElement("div");
  cell.className = "jp-Cell";
  const card = show("first");
  document.body.append(cell);
  cell.append(card);
  await vi.waitFor(() => expect(asked()).toMatchObject({ type: "offers" }));
  offer(["canvas"]);
  await vi.waitFor(() => expect(names(card)).toHaveLength(2));
  const below = cell.querySelector(".nbr-below");
  cell.remove();
  document.body.append(document.createElement("p"));
  await Promise.resolve();
  document.body.append(cell);
  await Promise.resolve();
  expect(cell.querySelector(".nbr-below")).toBe(below);
  expect(names(card)).toHaveLength(2);
});

it("takes the buttons away when it ends", async () => {
  const card = show("first");
  await vi.waitFor(() => expect(asked()).toMatchObject({ type: "offers" }));
  offer(["canvas"]);
  await vi.waitFor(() => expect(names(card)).toHaveLength(2));
  close();
  expect(names(card)).toEqual([]);
  expect(document.querySelector(".nbr-below")).toBe(null);
});
