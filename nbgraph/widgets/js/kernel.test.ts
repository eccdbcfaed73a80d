// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { KernelLink, linkOf, openDocument } from "./kernel.ts";
import { kernelBanner, withBanner } from "./kernel_banner.ts";
import type { Model } from "./model.ts";

/** A model whose kernel knows some widgets, and answers only when it is told to. */
class LinkedModel implements Model {
  known: Record<string, unknown> = { own: {} };
  raw = { comm_live: true };
  sent: any[] = [];
  asked = 0;
  opened: any = null;
  answer: { model: string } | null = null;
  traits: Record<string, unknown> = { _id: "own" };
  private listeners = new Map<string, ((...values: any[]) => void)[]>();
  widget_manager = {
    get_model: async (id: string) => (id === "new" ? (new LinkedModel() as any) : this.raw),
    kernel: {
      requestCommInfo: async () => {
        this.asked += 1;
        return { content: { status: "ok", comms: this.known } };
      },
      createComm: () => {
        const comm: any = {
          open: (data: unknown) => {
            this.opened = data;
            if (this.answer) comm.onMsg({ content: { data: this.answer } });
            else comm.onClose({});
          },
        };
        return comm;
      },
    },
  };

  get = (name: string): unknown => this.traits[name];
  on(event: string, callback: (...values: any[]) => void): void {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), callback]);
  }
  off(): void {}
  send(content: unknown): void {
    this.sent.push(content);
  }
  tell(event: string, content?: unknown): void {
    for (const listener of this.listeners.get(event) ?? []) listener(content);
  }
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  document.body.replaceChildren();
});

it("hears an answer, and asks nobody", async () => {
  const model = new LinkedModel();
  const link = new KernelLink(model);
  link.model.send({ type: "list" });
  await vi.advanceTimersByTimeAsync(1000);
  model.tell("msg:custom", { type: "page" });
  await vi.advanceTimersByTimeAsync(10_000);
  expect([model.asked, link.state.lost, link.state.silent]).toEqual([0, false, false]);
});

it("waits for a kernel that is busy, and says so until it answers", async () => {
  const model = new LinkedModel();
  const link = new KernelLink(model);
  link.model.send({ type: "list" });
  await vi.advanceTimersByTimeAsync(10_000);
  expect([link.state.lost, link.state.silent]).toEqual([false, true]);
  model.tell("msg:custom", { type: "page" });
  expect(link.state.silent).toBe(false);
});

it("is lost once the kernel does not know the widget any more", async () => {
  const model = new LinkedModel();
  const link = new KernelLink(model);
  model.known = { other: {} };
  link.model.send({ type: "list" });
  await vi.advanceTimersByTimeAsync(3000);
  expect([link.state.lost, model.raw.comm_live]).toEqual([true, false]);
});

it("is lost when Jupyter says so, and not before", async () => {
  const model = new LinkedModel();
  const link = new KernelLink(model);
  model.tell("comm_live_update");
  await vi.advanceTimersByTimeAsync(0);
  expect(link.state.lost).toBe(false);
  model.raw.comm_live = false;
  model.tell("comm_live_update");
  await vi.advanceTimersByTimeAsync(0);
  expect(link.state.lost).toBe(true);
});

it("is not lost on a page that never had a kernel", async () => {
  const model = new LinkedModel();
  model.raw.comm_live = false;
  (model.widget_manager as any).kernel = undefined;
  const link = new KernelLink(model);
  await vi.advanceTimersByTimeAsync(0);
  expect(link.state.lost).toBe(false);
});

it("gives one link for a model, however it is wrapped", () => {
  const model = new LinkedModel();
  expect(linkOf(linkOf(model).model)).toBe(linkOf(model));
});

it("opens a document in the kernel that runs now, where that has it", async () => {
  const model = new LinkedModel();
  expect(await openDocument(model, "d1")).toBeNull();
  model.answer = { model: "" };
  expect(await openDocument(model, "d1")).toBeNull();
  model.answer = { model: "new" };
  expect((await openDocument(model, "d1"))?.get("_id")).toBe("own");
  expect(model.opened).toEqual({ document: "d1" });
});

it("shows a panel's call as text, and takes its clicks away", async () => {
  const model = new LinkedModel();
  model.traits._call = 'studio.form("<img src=x>")';
  const el = document.body.appendChild(document.createElement("div"));
  const panel = {
    render: ({ el: inner }: any) => {
      inner.append("panel");
      return () => {};
    },
  };
  const end = withBanner("form", panel).render({ model, el });
  expect(el.querySelector(".nbk-hidden")).not.toBeNull();
  model.raw.comm_live = false;
  model.tell("comm_live_update");
  await vi.advanceTimersByTimeAsync(0);
  expect(el.querySelector("code")?.textContent).toBe('studio.form("<img src=x>")');
  expect(el.querySelector("img")).toBeNull();
  expect(el.querySelector("[inert]")?.textContent).toBe("panel");
  end();
  expect(el.childNodes).toHaveLength(0);
});

it("asks for an answer when a control beside it is used", async () => {
  const model = new LinkedModel();
  const box = document.body.appendChild(document.createElement("div"));
  box.className = "nbgraph-controls";
  const el = box.appendChild(document.createElement("div"));
  const end = kernelBanner.render({ model, el });
  await vi.advanceTimersByTimeAsync(50);
  box.dispatchEvent(new Event("pointerdown"));
  expect(model.sent).toEqual([{ type: "ping", request: 1 }]);
  end();
  box.dispatchEvent(new Event("pointerdown"));
  expect(model.sent).toHaveLength(1);
});
