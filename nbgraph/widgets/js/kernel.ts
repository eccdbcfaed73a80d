// Whether the kernel of a widget still answers, and where it kept what is drawn: for all widgets alike.
import type { Kernel, Model, RawModel } from "./model.ts";

/** Milliseconds without an answer after which one looks whether the kernel still knows the widget. */
const ANSWER = 2500;
const OPEN = 5000;
const TARGET = "nbgraph.open_document";

/** How a drawing is kept in the studio, as autosave.py tells it. */
export interface Saved {
  id: string;
  name: string;
  version: number | null;
  isSaved: boolean;
  problem: string;
  notice: string;
  /** What opens the drawing in the next kernel; empty where it ends with this one. */
  call: string;
}

export interface LinkState {
  /** The kernel that made the widget is gone, for good. */
  lost: boolean;
  /** A request has waited for a while. */
  silent: boolean;
  saved: Saved | null;
}

export class KernelLink {
  state: LinkState = { lost: false, silent: false, saved: null };
  /** The model for the widget to use: what it sends is watched for an answer. */
  readonly model: Model;
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking = false;

  constructor(private readonly inner: Model) {
    const snapshot = inner.get("_document") as { saved?: Saved | null } | undefined;
    this.state = { ...this.state, saved: snapshot?.saved ?? null };
    this.model = {
      get: (name) => inner.get(name),
      on: (event, callback) => inner.on(event, callback),
      off: (event, callback) => inner.off(event, callback),
      get widget_manager() {
        return inner.widget_manager;
      },
      send: (content, callbacks, buffers) => {
        inner.send(content, callbacks, buffers);
        this.sent();
      },
    };
    inner.on("msg:custom", (content: any) => this.receive(content));
    inner.on("comm_live_update", () => void this.look(true));
    void this.look(false);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  private set(part: Partial<LinkState>): void {
    this.state = { ...this.state, ...part };
    for (const listener of [...this.listeners]) listener();
  }

  private receive(content: any): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.state.silent) this.set({ silent: false });
    if (content?.saved !== undefined) this.set({ saved: content.saved });
    if (content?.type === "saved") this.set({ saved: content as Saved });
  }

  private sent(): void {
    if (!this.state.lost && this.timer === undefined) this.timer = setTimeout(() => void this.check(), ANSWER);
  }

  /** A request has had no answer. A busy kernel answers late; one that does not know the widget never will. */
  private async check(): Promise<void> {
    this.timer = undefined;
    if (this.state.lost) return;
    this.set({ silent: true });
    const kernel = this.inner.widget_manager?.kernel;
    if (!kernel || this.asking) return;
    this.asking = true;
    try {
      const reply = await kernel.requestCommInfo({ target_name: "jupyter.widget" });
      if (reply.content.status === "ok" && !(this.id in reply.content.comms)) await this.lose();
      else if (this.state.silent) this.sent();
    } catch {
      // The kernel went while it was asked; Jupyter says so by an event, or the next request asks again.
    } finally {
      this.asking = false;
    }
  }

  private get id(): string {
    return String(this.inner.get("_id"));
  }

  private async raw(): Promise<RawModel | undefined> {
    return Promise.resolve(this.inner.widget_manager?.get_model(this.id)).catch(() => undefined);
  }

  /** Let everything that shows this model know, as Jupyter does for a kernel that was restarted on this page. */
  private async lose(): Promise<void> {
    const raw = await this.raw();
    if (raw) raw.comm_live = false;
    this.set({ lost: true, silent: false });
  }

  /** Look whether Jupyter has given the widget up; where no kernel is known, only after it said that one went. */
  private async look(wasTold: boolean): Promise<void> {
    // Exported pages show widgets without any kernel; only hosts that have kernels can lose one.
    if (this.state.lost || (!wasTold && this.inner.widget_manager?.kernel === undefined)) return;
    if ((await this.raw())?.comm_live === false) this.set({ lost: true, silent: false });
  }
}

const links = new WeakMap<object, KernelLink>();

/** The link of a model, one for all its views; the model it gives out leads back to it. */
export function linkOf(model: Model): KernelLink {
  const found = links.get(model) ?? new KernelLink(model);
  links.set(model, found);
  links.set(found.model, found);
  return found;
}

/** Let the kernel that runs now open a document on a canvas: its model, or null where no studio there has it. */
export async function openDocument(model: Model, document: string): Promise<Model | null> {
  const kernel = model.widget_manager?.kernel;
  if (!kernel) return null;
  const id = await answerOf(kernel, document).catch(() => null);
  // The kernel has sent the new model before its answer.
  const found = id ? await model.widget_manager?.get_model(id) : null;
  return found ? linkOf(found as unknown as Model).model : null;
}

function answerOf(kernel: Kernel, document: string): Promise<string | null> {
  const comm = kernel.createComm(TARGET);
  return new Promise((resolve) => {
    const end = (id: string | null): void => {
      clearTimeout(timer);
      resolve(id);
    };
    const timer = setTimeout(() => end(null), OPEN);
    comm.onMsg = (message) => end(String(message.content.data.model ?? "") || null);
    comm.onClose = () => end(null);
    comm.open({ document });
  });
}
