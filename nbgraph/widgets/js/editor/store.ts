// One store for each model on the page, shared by its views: the document, what follows from it, and the run.
import { createStore } from "zustand/vanilla";

import type { Model } from "../model.ts";
import { type Change, merged } from "./changes.ts";
import { apply, emptyDocument, type GraphDocument } from "./document.ts";
import type { Derived, NodeRun, Reason, Snapshot, Template, Told } from "./protocol.ts";
import { afterCached, afterPictures, afterRun } from "./run_state.ts";
import type { Schema } from "./schema.ts";
import { type EditorState, initialState, type Toast } from "./state.ts";

interface Pending {
  changes: Change[];
  group: string;
  request: number;
}

const TOAST_MILLISECONDS = 6000;
const RETRIES = 5;
const LOST = "the kernel was restarted or ended; run the cell again for a new canvas";

export class EditorStore {
  /** What components draw; actions below are what changes it. */
  readonly state = createStore<EditorState>(initialState);
  /** Fields that hold text which was not sent yet; each sends its own when called. */
  readonly drafts = new Set<() => void>();

  private confirmed: GraphDocument = emptyDocument();
  private revision = 0;
  private queue: Pending[] = [];
  private sent: Pending | null = null;
  private retries = 0;
  private requests = 0;
  private waiting = new Map<number, (reply: [Told, DataView[]]) => void>();
  private whenSent: (() => void)[] = [];
  private drawn = true;
  private explainTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly model: Model) {
    this.open(model.get("_document") as Snapshot);
    model.on("msg:custom", (told: Told, buffers?: DataView[]) => this.take(told, buffers ?? []));
    model.on("comm_live_update", () => void this.lookForKernel());
    model.on("change:_document", () => this.open(model.get("_document") as Snapshot));
    model.send({ type: "ready", request: 0, revision: this.revision, path: this.path });
  }

  private get now(): EditorState {
    return this.state.getState();
  }
  get document(): GraphDocument {
    return this.now.document;
  }
  get schema(): Schema {
    return this.now.schema;
  }
  get runs(): Record<string, NodeRun> {
    return this.now.runs;
  }
  get run(): EditorState["run"] {
    return this.now.run;
  }
  get reasons(): Record<string, Reason> {
    return this.now.reasons;
  }
  get thumbnails(): Record<string, string> {
    return this.now.thumbnails;
  }
  get refused(): Record<string, string> {
    return this.now.refused;
  }
  get toasts(): Toast[] {
    return this.now.toasts;
  }
  get models(): string[] {
    return this.now.models;
  }
  get templates(): Template[] {
    return this.now.templates;
  }
  get readOnly(): string {
    return this.now.readOnly;
  }
  get path(): string[] {
    return this.now.path;
  }
  get canRun(): boolean {
    return this.now.canRun;
  }
  get live(): boolean {
    return this.now.live;
  }
  get lost(): boolean {
    return this.now.lost;
  }
  /** Whether the page has a kernel that may still answer; an exported page has none. */
  get isWaiting(): boolean {
    return !this.lost && Boolean(this.model.widget_manager?.kernel);
  }

  private set(part: Partial<EditorState>): void {
    this.state.setState(part);
  }

  /** Make changes at once on the page, and in the kernel as soon as it has answered the edit before. */
  edit(changes: Change[], group = ""): void {
    if (!changes.length || this.readOnly || this.lost) return;
    const refused = { ...this.refused };
    for (const [kind, id, name] of changes) if (kind === "input") delete refused[`${id}.${name}`];
    const last = this.queue.at(-1);
    if (last && group && last.group === group) last.changes = merged([...last.changes, ...changes]);
    else this.queue.push({ changes, group, request: 0 });
    this.drawn = false;
    this.set({ refused, document: apply(this.document, changes) });
    this.pump();
  }

  undo = (): void => this.afterEdits({ type: "undo" });
  redo = (): void => this.afterEdits({ type: "redo" });
  cancel = (): void => {
    this.set({ run: { ...this.run, status: "cancelling" } });
    void this.ask({ type: "cancel" });
  };

  runAll(targets: string[] | null, front = false): void {
    this.afterEdits({ type: "run", targets, front });
  }

  /** Send what was typed and not sent yet. */
  flush(): void {
    for (const send of [...this.drafts]) send();
  }

  /** Ask the kernel; the promise holds its answer, "refused" included (which is also shown). */
  async ask(content: Record<string, unknown>, buffers?: ArrayBuffer[]): Promise<Told> {
    return (await this.fetch(content, buffers))[0];
  }

  /** Ask the kernel for something that comes with bytes. */
  fetch(content: Record<string, unknown>, buffers?: ArrayBuffer[]): Promise<[Told, DataView[]]> {
    const request = ++this.requests;
    if (this.lost) return Promise.resolve([{ type: "refused", request, message: LOST }, []]);
    return new Promise((resolve) => {
      this.waiting.set(request, resolve);
      this.model.send({ ...content, request }, undefined, buffers);
    });
  }

  toast(text: string, kind: Toast["kind"] = "notice"): void {
    const id = ++this.requests;
    this.set({ toasts: [...this.toasts.filter((one) => one.text !== text).slice(-2), { id, text, kind }] });
    setTimeout(() => this.dismiss(id), TOAST_MILLISECONDS);
  }

  dismiss(id: number): void {
    this.set({ toasts: this.toasts.filter((one) => one.id !== id) });
  }

  /** Show a result of a node in full size, or none. */
  showLarge(large: EditorState["large"]): void {
    this.set({ large });
  }

  /** Show the paint view for a mask, or close it. */
  showPaint(painting: EditorState["painting"]): void {
    this.set({ painting });
  }

  /** Show the folded inputs and outputs of a node, or fold them again. */
  unfold(id: string, open: boolean): void {
    this.set({ unfolded: { ...this.now.unfolded, [id]: open } });
  }

  /** The person saves, or is about to: the drawing that is saved with the notebook should be of what is on the page. */
  draw = (): void => {
    this.flush();
    if (this.drawn) return;
    this.drawn = true;
    this.afterEdits({ type: "draw" });
  };

  /** Jupyter says that the connection of some model is another; a kernel that was restarted knows none of them. */
  private async lookForKernel(): Promise<void> {
    const own = String(this.model.get("_id"));
    const found = await Promise.resolve(this.model.widget_manager?.get_model(own)).catch(() => undefined);
    if (this.lost || found?.comm_live !== false) return;
    const status = this.run.status === "running" ? "interrupted" : this.run.status;
    const run = { ...this.run, status, waitsFor: "", waiting: 0 };
    this.set({ lost: true, live: false, canRun: false, readOnly: this.readOnly || LOST, run });
  }

  private afterEdits(content: Record<string, unknown>): void {
    if (this.lost) return;
    this.flush();
    void this.askAfterEdits(content);
  }

  /** Ask the kernel as soon as it has answered all edits. */
  askAfterEdits(content: Record<string, unknown>): Promise<Told> {
    if (!this.sent && !this.queue.length) return this.ask(content);
    return new Promise((resolve) => this.whenSent.push(() => void this.ask(content).then(resolve)));
  }

  private pump(): void {
    if (this.sent) return;
    if (!this.queue.length) {
      for (const ask of this.whenSent.splice(0)) ask();
      return;
    }
    const next = this.queue.shift()!;
    next.request = ++this.requests;
    this.sent = next;
    const { changes, group, request } = next;
    this.model.send({ type: "edit", base: this.revision, changes, group, request });
  }

  private take(told: Told, buffers: DataView[]): void {
    if (told.type === "document") this.takeDocument(told);
    else if (told.type === "types") this.takeTypes(told);
    else if (told.type === "patch") this.takePatch(told);
    else if (told.type === "done") this.takeDone(told, buffers);
    else if (told.type === "refused") this.takeRefusal(told);
    else if (told.type === "run") this.set(afterRun(this.now, told, buffers));
    else if (told.type === "ran") this.explainSoon(50);
    else if (told.type === "models") this.set({ shelf: told.models });
    else if (told.type === "pictures") this.set(afterPictures(this.now, told, buffers));
    if (!("request" in told) || !told.request) return;
    this.waiting.get(told.request)?.([told, buffers]);
    this.waiting.delete(told.request);
  }

  private open(snapshot: Snapshot): void {
    if (!snapshot?.changes) return;
    this.revision = snapshot.revision;
    this.confirmed = apply(emptyDocument(), snapshot.changes);
    const types = { ...this.schema.types, ...snapshot.types };
    this.set({
      schema: { ...this.schema, types, library: {}, varying: {} },
      problems: {},
      readOnly: snapshot.readOnly,
      path: snapshot.path,
    });
    this.set({ ...this.derived(snapshot), document: this.rebased() });
  }

  private takeDocument(told: Extract<Told, { type: "document" }>): void {
    this.set({
      live: true,
      schema: { ...this.schema, types: told.types, assignable: told.assignable },
      models: told.models,
      templates: told.templates ?? [],
      canRun: told.canRun,
      reasons: {},
      expected: "",
      ...(told.marks && { marks: told.marks }),
    });
    if (told.document) {
      if (told.document.path.join("/") !== this.path.join("/")) {
        this.queue = [];
        this.sent = null;
      }
      this.open(told.document);
    }
    this.explainSoon(50);
  }

  private takeTypes({ types, assignable }: Extract<Told, { type: "types" }>): void {
    this.set({ schema: { ...this.schema, types, assignable } });
  }

  private takePatch(told: Extract<Told, { type: "patch" }>): void {
    this.revision = told.revision;
    this.drawn = false;
    this.confirmed = apply(this.confirmed, told.changes);
    this.set({ ...this.derived(told), document: this.rebased(), edited: editedBy(told.changes, this.now.edited) });
    this.explainSoon(300);
  }

  private derived(told: Derived): Partial<EditorState> {
    const { schema } = this;
    const [varying, library] = [put(schema.varying, told.varying), put(schema.library, told.library)];
    const same = varying === schema.varying && library === schema.library;
    return {
      problems: put(this.now.problems, told.problems),
      schema: same ? schema : { ...schema, varying, library },
      depths: { undo: told.undo, redo: told.redo },
    };
  }

  /** The confirmed document with the edits that are on their way. */
  private rebased(): GraphDocument {
    const pending = [...(this.sent ? [this.sent] : []), ...this.queue];
    return apply(
      this.confirmed,
      pending.flatMap((one) => one.changes),
    );
  }

  private takeDone(told: Extract<Told, { type: "done" }>, buffers: DataView[]): void {
    if (told.reasons) this.set({ reasons: put(this.reasons, told.reasons), expected: told.expected ?? "" });
    if (told.cached) this.set(afterCached(this.now, told.cached, buffers));
    if (this.sent?.request === told.request) this.sentDone();
  }

  private sentDone(): void {
    this.sent = null;
    this.retries = 0;
    this.set({ document: this.rebased() });
    this.pump();
  }

  private takeRefusal(told: Extract<Told, { type: "refused" }>): void {
    const mine = this.sent?.request === told.request;
    if (mine && told.stale && this.retries++ < RETRIES) {
      this.queue.unshift(this.sent!);
      this.sent = null;
      this.pump();
      return;
    }
    if (mine) this.sentDone();
    const refused = { ...this.refused };
    for (const { node, field, message } of told.problems ?? [])
      if (node && field) refused[`${node}.${field}`] = message;
    this.set({ refused });
    this.toast(told.message, "refusal");
  }

  private explainSoon(milliseconds: number): void {
    if (!this.canRun) return;
    clearTimeout(this.explainTimer);
    this.explainTimer = setTimeout(() => void this.ask({ type: "explain" }), milliseconds);
  }
}

function editedBy(changes: Change[], before: Record<string, true>): Record<string, true> {
  const ids = changes.filter(([kind]) => kind !== "layout" && kind !== "note").map(([, id]) => id);
  return ids.every((id) => before[id]) ? before : { ...before, ...Object.fromEntries(ids.map((id) => [id, true])) };
}

function put<Value>(before: Record<string, Value>, changes: Record<string, Value | null>): Record<string, Value> {
  if (!Object.keys(changes).length) return before;
  const after = { ...before };
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) delete after[key];
    else after[key] = value;
  }
  return after;
}
