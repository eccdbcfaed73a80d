// @vitest-environment jsdom
import { act } from "react";
import { createRoot } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { StoreContext } from "./context.ts";
import { FakeModel } from "./fake.test.ts";
import { LargeView } from "./LargeView.tsx";
import { EditorStore } from "./store.ts";

const RUN = { status: "done", step: 0, steps: 0, runs: 1, cached: 0, seconds: 1, error: "", warning: "" };
const bytes = () => new DataView(new ArrayBuffer(4));
(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;

let made = 0;
beforeEach(() => {
  made = 0;
  vi.stubGlobal("URL", Object.assign(URL, { createObjectURL: () => `blob:${++made}`, revokeObjectURL: () => {} }));
});
afterEach(() => document.body.replaceChildren());

/** A canvas on which `sum` gave the pictures "old" and then "new". */
function canvas() {
  const model = new FakeModel();
  const store = new EditorStore(model);
  for (const image of ["old", "new"])
    model.tell(
      {
        type: "run",
        session: image,
        status: "completed",
        waitsFor: "",
        waiting: 0,
        nodes: { sum: { ...RUN, image } },
        pictures: ["sum"],
        whole: false,
      },
      [bytes()],
    );
  return { model, store };
}

describe("the results of a node", () => {
  it("are known by name, the newest first", () => {
    const { results, names } = canvas().store.state.getState();
    expect(results.sum.map((url) => names[url])).toEqual(["new", "old"]);
  });

  it("are none where a preview comes together with the end of the node", () => {
    const { model, store } = canvas();
    const ended = { type: "run", session: "new", status: "completed", waitsFor: "", waiting: 0, whole: false };
    model.tell({ ...ended, nodes: { one: { ...RUN, image: "" } }, pictures: ["one"] }, [bytes()]);
    expect(store.state.getState().results.one).toBeUndefined();
  });

  it("come from the cache before the graph has run", () => {
    const model = new FakeModel();
    const store = new EditorStore(model);
    const cached = { sum: { ...RUN, status: "cached", cached: 1, image: "kept" } };
    model.tell({ type: "done", request: 0, revision: 3, reasons: {}, cached }, [bytes()]);
    const { runs, pictures, results, names } = store.state.getState();
    expect(runs.sum.status).toBe("cached");
    expect(results.sum).toEqual([pictures.sum]);
    expect(names[pictures.sum]).toBe("kept");
  });
});

describe("a result in full size", () => {
  const open = async () => {
    const { model, store } = canvas();
    const place = document.createElement("div");
    document.body.append(place);
    const [use, canvasOf, back] = [vi.fn(), vi.fn(), vi.fn()];
    const root = createRoot(place);
    await act(async () => {
      root.render(
        <StoreContext value={store}>
          <LargeView takeAsInput={use} openCanvas={canvasOf} back={back} />
        </StoreContext>,
      );
    });
    await act(async () => store.showLarge({ node: "sum", url: store.state.getState().results.sum[0] }));
    const answer = async (content: object, buffers: DataView[] = []) =>
      act(async () => model.tell({ ...content, request: model.sent.at(-1).request }, buffers));
    const button = (name: string) =>
      [...place.querySelectorAll("button")].find(
        (one) => one.textContent?.includes(name) || one.getAttribute("aria-label") === name,
      )!;
    const picture = { name: "new", label: "an apple", width: 64, height: 64, starred: false };
    return { model, store, place, use, canvasOf, back, answer, button, picture };
  };

  it("is asked for by its name, has the focus, and can be saved", async () => {
    const { model, place, answer, picture } = await open();
    expect(model.sent.at(-1)).toMatchObject({ type: "picture", name: "new" });
    expect(document.activeElement?.textContent).toContain("Close");
    await answer({ type: "picture", picture }, [bytes()]);
    expect(place.textContent).toContain("an apple · 64 × 64 · 1 of 2");
    expect(place.querySelector("a")?.download).toBe("new.png");
  });

  it("is starred, and steps through the results by the arrows", async () => {
    const { model, place, answer, button, picture } = await open();
    await answer({ type: "picture", picture }, [bytes()]);
    await act(async () => button("Star").click());
    expect(model.sent.at(-1)).toMatchObject({ type: "star", names: ["new"], starred: true });
    await answer({ type: "done", revision: 3 });
    expect(button("Star").getAttribute("aria-pressed")).toBe("true");
    const press = (key: string) =>
      act(async () => document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })));
    await press("ArrowLeft");
    expect(model.sent.at(-1)).toMatchObject({ type: "picture", name: "old" });
    await act(async () => button("Compare").click());
    expect(model.sent.at(-1)).toMatchObject({ type: "compare", names: ["old", "new"] });
    await act(async () => button("Compare").click());
    await press("ArrowRight");
    expect(place.textContent).toContain("1 of 2");
    await press("Escape");
    expect(place.querySelector("[role=dialog]")).toBeNull();
  });

  it("offers a run with the older seed where seeds that were drawn make the two differ", async () => {
    const { store, place, answer, button, picture } = await open();
    const seed = { name: "seed", type: "int", control: "seed", required: false, optional: true, many: false };
    const type = { title: "Sum", category: "", description: "", inputs: [seed], outputs: [] } as any;
    store.state.setState({ schema: { ...store.schema, types: { ...store.schema.types, sum: type } }, canRun: true });
    store.edit([["node", "sum", "", { type: "sum" }]]);
    await answer({ type: "picture", picture }, [bytes()]);
    await act(async () => button("Compare").click());
    const pictures = [picture, picture];
    const differences = [["sum.seed", "7", "9"]];
    await answer({ type: "compared", pictures, differences }, [bytes(), bytes()]);
    expect(place.textContent).toContain("so they differ in that too");
    await act(async () => button("Run with the seed of A").click());
    expect(store.document.nodes.get("sum")?.inputs.seed).toEqual({ value: 7 });
    expect(place.querySelector("[role=dialog]")).toBeNull();
  });

  it("is compared with the one before it, used as input, and opens its graph", async () => {
    const { model, use, canvasOf, back, answer, button, picture } = await open();
    await answer({ type: "picture", picture }, [bytes()]);
    await act(async () => button("Compare").click());
    expect(model.sent.at(-1)).toMatchObject({ type: "compare", names: ["old", "new"] });
    await act(async () => button("Open its graph").click());
    expect(model.sent.at(-1)).toMatchObject({ type: "canvas", name: "new" });
    await answer({ type: "canvas", model: "other" });
    expect(canvasOf).toHaveBeenCalledWith("other");
    expect(back).toHaveBeenCalledTimes(1);
    expect(use).not.toHaveBeenCalled();
  });
});
