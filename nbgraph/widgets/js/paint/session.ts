// What is painted, once for all views of one widget: the mask in its frame, its history, and its way to the kernel.
import { Asker, type Content } from "../asker.ts";
import type { Model } from "../model.ts";
import { type Framed, History, type Pads } from "./history.ts";
import { Mask, type Rect, type Stroke } from "./mask.ts";
import { decode, encode } from "./png.ts";

/** Milliseconds without a stroke after which the mask is sent. */
const PAUSE = 600;
/** Masks that this page holds for images whose kernel is gone. */
const KEPT = 4;

interface Kept extends Framed {
  from: Session;
}

/** What was painted on this page, by the content of the image: a kernel that was restarted finds it here. */
const kept = new Map<string, Kept>();
const sessions = new Map<string, Session>();

/** What the views show besides the mask. */
export interface Status {
  ready: boolean;
  /** What went wrong, or "". */
  problem: string;
  saving: "" | "unsaved" | "saving" | "saved";
  /** When the mask was painted that the person can continue with, in seconds; null if there is none. */
  earlier: number | null;
  /** The name of the mask that was taken for good. */
  used: string;
}

export interface Used {
  mask: string;
  image: string;
}

/** A view of the session. `changed` comes with what of the mask is another; null: all of it, or the frame. */
export interface Listener {
  changed(rect: Rect | null): void;
  told(): void;
}

export class Session {
  mask = new Mask(1, 1);
  pads: Pads = [0, 0, 0, 0];
  image: DataView | null = null;
  status: Status = { ready: false, problem: "", saving: "", earlier: null, used: "" };
  readonly history = new History();
  private content = "";
  /** The models of the views; the one that is asked hears no more once its view is gone. */
  private readonly models: Model[] = [];
  private asker: Asker | null = null;
  private readonly listeners = new Set<Listener>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private painting = false;
  private sending: Promise<void> = Promise.resolve();
  private changes = 0;
  private counted = { changes: -1, mask: this.mask, share: 0 };
  private saved = 0;

  attach(model: Model): void {
    this.models.push(model);
    if (this.asker) return;
    this.asker = new Asker(model, (news) => void this.hear(news));
    if (!this.status.ready) void this.load();
  }

  /** A view is gone; returns whether it was the last. What it has not sent is sent now. */
  detach(model: Model): boolean {
    const [asked] = this.models;
    this.models.splice(this.models.indexOf(model), 1);
    if (asked !== model) return false;
    if (!this.models.length) {
      this.flush();
      return true;
    }
    this.asker?.close();
    this.asker = null;
    // An answer that was on its way is lost with the view.
    this.sending = Promise.resolve();
    this.attach(this.models.pop()!);
    if (this.saved !== this.changes) this.touch();
    return false;
  }

  /** The share of the mask that is painted, 0 to 1; it is counted anew once strokes have ended. */
  get share(): number {
    if (this.counted.changes !== this.changes || this.counted.mask !== this.mask)
      this.counted = { changes: this.changes, mask: this.mask, share: this.mask.share() };
    return this.counted.share;
  }

  /** The size of the image, without the frame that was put around it. */
  get imageSize(): { width: number; height: number } {
    const [left, top, right, bottom] = this.pads;
    return { width: this.mask.width - left - right, height: this.mask.height - top - bottom };
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** A part of a stroke; the stroke ends with `commit`. */
  paint(stroke: Stroke): void {
    const rect = this.mask.reach(stroke);
    if (!rect) return;
    this.painting = true;
    this.history.keep(this.mask, rect);
    this.mask.paint(stroke);
    this.show(rect);
  }

  /** End a stroke. */
  commit(): void {
    this.painting = false;
    if (this.history.commit()) this.touch();
  }

  /** Take a stroke back that was not meant: a second finger came down. */
  revert(): void {
    this.painting = false;
    this.show(this.history.revert(this.mask));
  }

  fill(value: number): void {
    this.history.keep(this.mask, this.mask.all);
    this.mask.fill(value);
    this.commit();
    this.show(null);
  }

  invert(): void {
    this.history.invert(this.mask);
    this.touch();
    this.show(null);
  }

  undo(redo = false): void {
    // Within a stroke there is nothing to undo yet but the stroke itself.
    if (this.painting) return this.revert();
    const now = this.history.undo({ mask: this.mask, pads: this.pads }, redo);
    if (!now) return;
    [this.mask, this.pads] = [now.mask, now.pads];
    this.touch();
    this.show(now.rect && now.rect.width * now.rect.height < this.mask.data.length ? now.rect : null);
  }

  /** Put a frame around the image that is larger by so many pixels on each side. */
  extend(pads: Pads): void {
    if (pads.every((pad, side) => pad === this.pads[side])) return;
    const [left, top, right, bottom] = pads.map((pad, side) => pad - this.pads[side]);
    this.history.frame({ mask: this.mask, pads: this.pads });
    [this.mask, this.pads] = [this.mask.framed(left, top, right, bottom), pads];
    this.touch();
    this.show(null);
  }

  /** Keep the mask for good; resolves to its name and that of its image, or to null where it was refused. */
  async use(): Promise<Used | null> {
    this.commit();
    clearTimeout(this.timer);
    await this.sending;
    const reply = await this.send("use");
    if (!reply) return null;
    this.tell({ used: String(reply.mask) });
    return { mask: String(reply.mask), image: String(reply.image) };
  }

  /** Continue with the mask that was painted on this image before. */
  async takeEarlier(): Promise<void> {
    const here = this.before;
    if (here) return this.replace({ mask: copyOf(here.mask), pads: [...here.pads] });
    const reply = await this.ask({ type: "earlier" });
    if (!reply) return;
    this.replace({ mask: await decode(reply[1][0]), pads: reply[0].pads as Pads }, false);
  }

  dismissEarlier(): void {
    kept.delete(this.content);
    this.tell({ earlier: null });
  }

  /** Send what is not sent yet; the page may be about to go. */
  flush(): void {
    if (this.timer === undefined) return;
    clearTimeout(this.timer);
    void this.save();
  }

  private get before(): Kept | undefined {
    const found = kept.get(this.content);
    return found && found.from !== this && found.mask.share() > 0 ? found : undefined;
  }

  private replace(now: Framed, isNew = true): void {
    this.history.frame({ mask: this.mask, pads: this.pads });
    [this.mask, this.pads] = [now.mask, now.pads];
    this.tell({ earlier: null });
    if (isNew) this.touch();
    this.show(null);
  }

  private async load(): Promise<void> {
    const reply = await this.ask({ type: "ready" });
    if (!reply) return;
    const [content, [image, mask]] = reply;
    this.content = String(content.content);
    this.image = image;
    this.pads = content.pads as Pads;
    const [left, top, right, bottom] = this.pads;
    this.mask = mask
      ? await decode(mask)
      : new Mask(Number(content.width) + left + right, Number(content.height) + top + bottom);
    const here = mask ? undefined : this.before;
    const earlier = here ? Date.now() / 1000 : (content.earlier as number | null);
    this.tell({ ready: true, problem: String(content.problem), earlier });
    this.show(null);
  }

  /** Another page has painted on this widget. What was painted here and not sent yet comes after it. */
  private async hear(news: Content): Promise<void> {
    if (this.status.saving === "unsaved" || this.status.saving === "saving" || news.from === this.from) return;
    const reply = await this.ask({ type: "ready" });
    if (!reply?.[1][1] || this.painting) return;
    const mask = await decode(reply[1][1]);
    this.history.frame({ mask: this.mask, pads: this.pads });
    [this.mask, this.pads] = [mask, reply[0].pads as Pads];
    this.show(null);
  }

  /** Distinguishes the pages of one widget. */
  private readonly from = Math.floor(Math.random() * 2 ** 40);

  private touch(): void {
    this.changes++;
    this.keepHere();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.save(), PAUSE);
    this.tell({ saving: "unsaved", earlier: null, used: "" });
  }

  private keepHere(): void {
    kept.delete(this.content);
    kept.set(this.content, { mask: this.mask, pads: this.pads, from: this });
    for (const [content] of kept) if (kept.size > KEPT) kept.delete(content);
  }

  private save(): Promise<void> {
    this.timer = undefined;
    if (this.painting) return this.sending; // the end of the stroke sends it
    this.sending = this.sending.then(async () => {
      if (this.saved === this.changes) return;
      this.tell({ saving: "saving" });
      const sent = this.changes;
      if (!(await this.send("save"))) return;
      this.saved = sent;
      if (this.saved === this.changes) this.tell({ saving: "saved" });
    });
    return this.sending;
  }

  private async send(type: "save" | "use"): Promise<Content | null> {
    const sent = this.changes;
    const pads = [...this.pads];
    const reply = await this.ask({ type, pads, page: this.from }, [await encode(this.mask)]);
    if (!reply) {
      this.tell({ saving: "unsaved" });
      return null;
    }
    if (type === "use") this.saved = sent;
    return reply[0];
  }

  private async ask(question: Content, buffers: ArrayBuffer[] = []): Promise<[Content, DataView[]] | null> {
    try {
      const reply = await this.asker!.ask(question, buffers);
      if (this.status.problem) this.tell({ problem: "" });
      return reply;
    } catch (error) {
      this.tell({ problem: (error as Error).message });
      return null;
    }
  }

  private show(rect: Rect | null): void {
    for (const listener of [...this.listeners]) listener.changed(rect);
  }

  private tell(part: Partial<Status>): void {
    this.status = { ...this.status, ...part };
    for (const listener of [...this.listeners]) listener.told();
  }
}

const copyOf = (mask: Mask): Mask => new Mask(mask.width, mask.height, mask.data.slice());

/** Views of one widget share what is painted: each has a model of its own, and the id of the widget is the same. */
export function sessionOf(model: Model): Session {
  const id = String(model.get("_id"));
  const found = sessions.get(id) ?? new Session();
  sessions.set(id, found);
  found.attach(model);
  return found;
}

export function leaveSession(model: Model, session: Session): void {
  const id = String(model.get("_id"));
  if (session.detach(model) && sessions.get(id) === session) sessions.delete(id);
}
