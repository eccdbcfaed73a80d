// One store for each model on the page, shared by its views: the document, what follows from it, and the run.
import type { Model } from "../model.ts";
import { type Change, merged } from "./changes.ts";
import { apply, emptyDocument, type GraphDocument } from "./document.ts";
import type { Derived, NodeRun, Problem, Reason, Snapshot, Told } from "./protocol.ts";
import { emptySchema, type Schema } from "./schema.ts";

interface Pending {
  changes: Change[];
  group: string;
  request: number;
}

export interface Toast {
  id: number;
  text: string;
  kind: "refusal" | "notice";
}

const NO_PROBLEMS: Problem[] = [];
const TOAST_MILLISECONDS = 6000;
const RETRIES = 5;
const LOST = "the kernel was restarted or ended; run the cell again for a new canvas";

export class EditorStore {
  /** The document as the person sees it: what the kernel confirmed, with the edits that are on their way. */
  document: GraphDocument = emptyDocument();
  schema: Schema = emptySchema();
  problems: Record<string, Problem[]> = {};
  models: string[] = [];
  canRun = false;
  readOnly = "";
  path: string[] = [];
  depths = { undo: 0, redo: 0 };
  run = { session: "", status: "", waitsFor: "", waiting: 0 };
  runs: Record<string, NodeRun> = {};
  pictures: Record<string, string> = {};
  thumbnails: Record<string, string> = {};
  newest: string[] = [];
  reasons: Record<string, Reason> = {};
  refused: Record<string, string> = {};
  toasts: Toast[] = [];
  live = false;
  /** The kernel is gone for good: what is shown is all there is of the document. */
  lost = false;

  private confirmed: GraphDocument = emptyDocument();
  private revision = 0;
  private queue: Pending[] = [];
  private sent: Pending | null = null;
  private retries = 0;
  private requests = 0;
  private waiting = new Map<number, (told: Told) => void>();
  private listeners = new Set<() => void>();
  private drawn = true;
  private explainTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly model: Model) {
    this.open(model.get("_document") as Snapshot);
    model.on("msg:custom", (told: Told, buffers?: DataView[]) => this.take(told, buffers ?? []));
    model.on("comm_live_update", () => void this.lookForKernel());
    model.on("change:_document", () => this.open(model.get("_document") as Snapshot));
    model.send({ type: "ready", request: 0, revision: this.revision, path: this.path });
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  problemsOf = (id: string): Problem[] => this.problems[id] ?? NO_PROBLEMS;

  /** Make changes at once on the page, and in the kernel as soon as it has answered the edit before. */
  edit(changes: Change[], group = ""): void {
    if (!changes.length || this.readOnly || this.lost) return;
    for (const [kind, id, name] of changes) if (kind === "input") delete this.refused[`${id}.${name}`];
    this.refused = { ...this.refused };
    const last = this.queue.at(-1);
    if (last && group && last.group === group) last.changes = merged([...last.changes, ...changes]);
    else this.queue.push({ changes, group, request: 0 });
    this.document = apply(this.document, changes);
    this.drawn = false;
    this.pump();
    this.changed();
  }

  undo = (): void => this.afterEdits({ type: "undo" });
  redo = (): void => this.afterEdits({ type: "redo" });
  cancel = (): void => {
    this.run = { ...this.run, status: "cancelling" };
    this.changed();
    void this.ask({ type: "cancel" });
  };

  runAll(targets: string[] | null, front = false): void {
    this.afterEdits({ type: "run", targets, front });
  }

  /** Ask the kernel; the promise holds its answer, "refused" included (which is also shown). */
  ask(content: Record<string, unknown>, buffers?: ArrayBuffer[]): Promise<Told> {
    const request = ++this.requests;
    if (this.lost) return Promise.resolve({ type: "refused", request, message: LOST });
    return new Promise((resolve) => {
      this.waiting.set(request, resolve);
      this.model.send({ ...content, request }, undefined, buffers);
    });
  }

  toast(text: string, kind: Toast["kind"] = "notice"): void {
    const id = ++this.requests;
    this.toasts = [...this.toasts.filter((one) => one.text !== text).slice(-2), { id, text, kind }];
    this.changed();
    setTimeout(() => this.dismiss(id), TOAST_MILLISECONDS);
  }

  dismiss(id: number): void {
    this.toasts = this.toasts.filter((one) => one.id !== id);
    this.changed();
  }

  /** The person saves, or is about to: the drawing that is saved with the notebook should be of what is on the page. */
  draw = (): void => {
    if (this.drawn) return;
    this.drawn = true;
    this.afterEdits({ type: "draw" });
  };

  /** Jupyter says that the connection of some model is another; a kernel that was restarted knows none of them. */
  private async lookForKernel(): Promise<void> {
    const own = String(this.model.get("_id"));
    const found = await Promise.resolve(this.model.widget_manager?.get_model(own)).catch(() => undefined);
    if (this.lost || found?.comm_live !== false) return;
    this.lost = true;
    this.live = this.canRun = false;
    this.readOnly ||= LOST;
    this.run = {
      ...this.run,
      status: this.run.status === "running" ? "interrupted" : this.run.status,
      waitsFor: "",
      waiting: 0,
    };
    this.changed();
  }

  private afterEdits(content: Record<string, unknown>): void {
    if (this.lost) return;
    if (this.sent || this.queue.length) {
      const stop = this.subscribe(() => {
        if (this.sent || this.queue.length) return;
        stop();
        void this.ask(content);
      });
    } else void this.ask(content);
  }

  private pump(): void {
    if (this.sent || !this.queue.length) return;
    const next = this.queue.shift()!;
    next.request = ++this.requests;
    this.sent = next;
    const { changes, group, request } = next;
    this.model.send({ type: "edit", base: this.revision, changes, group, request });
  }

  private take(told: Told, buffers: DataView[]): void {
    if (told.type === "document") this.takeDocument(told);
    else if (told.type === "patch") this.takePatch(told);
    else if (told.type === "done") this.takeDone(told);
    else if (told.type === "refused") this.takeRefusal(told);
    else if (told.type === "run") this.takeRun(told, buffers);
    else if (told.type === "ran") this.explainSoon(50);
    else if (told.type === "pictures") this.takePictures(told, buffers);
    if ("request" in told && told.request) this.answer(told.request, told);
    this.changed();
  }

  private answer(request: number, told: Told): void {
    this.waiting.get(request)?.(told);
    this.waiting.delete(request);
  }

  private open(snapshot: Snapshot): void {
    if (!snapshot?.changes) return;
    this.revision = snapshot.revision;
    this.confirmed = apply(emptyDocument(), snapshot.changes);
    this.schema = { ...this.schema, types: { ...this.schema.types, ...snapshot.types }, library: {}, varying: {} };
    this.problems = {};
    this.readOnly = snapshot.readOnly;
    this.path = snapshot.path;
    this.derive(snapshot);
    this.rebase();
    this.changed();
  }

  private takeDocument(told: Extract<Told, { type: "document" }>): void {
    this.live = true;
    this.schema = { ...this.schema, types: told.types, assignable: told.assignable };
    this.models = told.models;
    this.canRun = told.canRun;
    this.reasons = {};
    if (told.document) {
      if (told.document.path.join("/") !== this.path.join("/")) {
        this.queue = [];
        this.sent = null;
      }
      this.open(told.document);
    }
    this.explainSoon(50);
  }

  private takePatch(told: Extract<Told, { type: "patch" }>): void {
    this.revision = told.revision;
    this.drawn = false;
    this.confirmed = apply(this.confirmed, told.changes);
    this.derive(told);
    this.rebase();
    this.explainSoon(300);
  }

  private derive(told: Derived): void {
    this.problems = put(this.problems, told.problems);
    const [varying, library] = [put(this.schema.varying, told.varying), put(this.schema.library, told.library)];
    if (varying !== this.schema.varying || library !== this.schema.library)
      this.schema = { ...this.schema, varying, library };
    this.depths = { undo: told.undo, redo: told.redo };
  }

  private rebase(): void {
    const pending = [...(this.sent ? [this.sent] : []), ...this.queue];
    this.document = apply(
      this.confirmed,
      pending.flatMap((one) => one.changes),
    );
  }

  private takeDone(told: Extract<Told, { type: "done" }>): void {
    if (told.reasons) this.reasons = put(this.reasons, told.reasons);
    if (this.sent?.request !== told.request) return;
    this.sent = null;
    this.retries = 0;
    this.rebase();
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
    if (mine) {
      this.sent = null;
      this.retries = 0;
      this.rebase();
      this.pump();
    }
    for (const { node, field, message } of told.problems ?? [])
      if (node && field) this.refused = { ...this.refused, [`${node}.${field}`]: message };
    this.toast(told.message, "refusal");
  }

  private takeRun(told: Extract<Told, { type: "run" }>, buffers: DataView[]): void {
    if (told.session !== this.run.session || told.whole) this.runs = {};
    const cancelling =
      this.run.status === "cancelling" && told.status === "running" && told.session === this.run.session;
    this.run = {
      session: told.session,
      status: cancelling ? "cancelling" : told.status,
      waitsFor: told.waitsFor,
      waiting: told.waiting,
    };
    this.runs = { ...this.runs, ...told.nodes };
    const fresh = urls(told.pictures, buffers);
    for (const id of told.pictures) if (this.pictures[id]) URL.revokeObjectURL(this.pictures[id]);
    this.pictures = { ...this.pictures, ...fresh };
  }

  private takePictures(told: Extract<Told, { type: "pictures" }>, buffers: DataView[]): void {
    this.thumbnails = { ...this.thumbnails, ...urls(told.names, buffers) };
    if (told.newest) this.newest = told.names;
  }

  private explainSoon(milliseconds: number): void {
    if (!this.canRun) return;
    clearTimeout(this.explainTimer);
    this.explainTimer = setTimeout(() => void this.ask({ type: "explain" }), milliseconds);
  }

  private changed(): void {
    for (const listener of [...this.listeners]) listener();
  }
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

function urls(names: string[], buffers: DataView[]): Record<string, string> {
  const found = names.map((name, number) => [name, URL.createObjectURL(new Blob([buffers[number] as BlobPart]))]);
  return Object.fromEntries(found);
}
