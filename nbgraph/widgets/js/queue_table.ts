// The queue: what waits, runs and has ended. Its kernel side is queue_table.py.
import "./panel.css";
import "./queue_table.css";

import { Asker, type Content } from "./asker.ts";
import { element, fill, write } from "./dom.ts";
import type { Model, Widget } from "./model.ts";
import { mounted } from "./mounted.ts";
import { age, seconds } from "./units.ts";

const TICK = 1000;
const WORDS: Record<string, string> = { pending: "waiting", in_progress: "running" };

interface RunRow {
  session: string;
  number: number;
  status: string;
  label: string;
  submitted: number;
  started: number | null;
  ended: number | null;
  error: string;
  mine: boolean;
}

interface Runs {
  runs: RunRow[];
  waiting: number;
  running: number;
  ended: number;
  paused: boolean;
}

/** How long a run took, takes, or waits. */
export function timeText(run: RunRow, now = Date.now() / 1000): string {
  if (run.status === "pending") return `since ${age(run.submitted, now).replace(" ago", "")}`;
  if (run.started === null) return "";
  return seconds(Math.max(0, (run.ended ?? now) - run.started));
}

class QueueView {
  readonly root: HTMLElement;
  private readonly asker: Asker;
  private runs: Runs | null = null;
  private readonly line = element(
    "span",
    { class: "nbp-soft nbp-number", role: "status", "aria-live": "polite" },
    "Waiting for the kernel…",
  );
  private readonly hold = this.button(
    "Pause",
    () => this.ask({ type: this.runs?.paused ? "resume" : "pause" }),
    "Finish what runs, and start nothing new",
  );
  private readonly cancelAll = this.button(
    "Cancel all",
    () => this.ask({ type: "cancel_all" }),
    "Cancel what runs and what waits",
    "nbp-button nbp-danger",
  );
  private readonly clear = this.button(
    "Clear ended",
    () => this.ask({ type: "clear" }),
    "Take those that have ended off this list",
  );
  private readonly body = element("tbody");
  private readonly empty = element("p", { class: "nbp-empty" }, "Nothing was run yet.");
  private readonly problem = element("p", { class: "nbp-problem nbp-hidden", role: "alert" });
  private readonly clock: ReturnType<typeof setInterval>;

  constructor(model: Model) {
    this.asker = new Asker(model, () => void this.ask({ type: "list" }));
    const head = element(
      "tr",
      {},
      ...["Run", "State", "What", "Time"].map((name) => element("th", { scope: "col" }, name)),
      element("th", { scope: "col" }, element("span", { class: "nbp-unseen" }, "Actions")),
    );
    this.root = element(
      "section",
      { class: "nbp nbp-card nbp-queue", "aria-label": "queue" },
      element(
        "div",
        { class: "nbp-bar" },
        element("span", { class: "nbp-title" }, "Queue"),
        this.line,
        element("span", { class: "nbp-space" }),
        this.hold,
        this.clear,
        this.cancelAll,
      ),
      element(
        "div",
        { class: "nbp-scroll", tabindex: 0, role: "region", "aria-label": "runs" },
        element("table", { class: "nbp-table", "aria-label": "runs" }, element("thead", {}, head), this.body),
        this.empty,
      ),
      this.problem,
    );
    this.clock = setInterval(() => this.tick(), TICK);
    void this.ask({ type: "list" });
  }

  close(): void {
    clearInterval(this.clock);
    this.asker.close();
  }

  private button(text: string, act: () => unknown, title: string, kind = "nbp-button"): HTMLButtonElement {
    return element("button", { class: kind, type: "button", title, on: { click: () => void act() } }, text);
  }

  private async ask(question: Content): Promise<void> {
    try {
      const [answer] = await this.asker.ask(question);
      this.complain("");
      this.draw(answer as unknown as Runs);
    } catch (error) {
      this.complain((error as Error).message);
    }
  }

  private complain(text: string): void {
    write(this.problem, text);
    this.problem.classList.toggle("nbp-hidden", !text);
  }

  private draw(runs: Runs): void {
    this.runs = runs;
    const active = (this.root.getRootNode() as Document | ShadowRoot).activeElement as HTMLElement | null;
    const focused = active && this.body.contains(active) ? active.dataset.key : undefined;
    fill(this.body, ...runs.runs.map((run) => this.row(run)));
    if (focused) this.body.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    this.empty.classList.toggle("nbp-hidden", runs.runs.length > 0);
    write(
      this.line,
      `${runs.running} running, ${runs.waiting} waiting, ${runs.ended} ended${runs.paused ? " · paused" : ""}`,
    );
    write(this.hold, runs.paused ? "Resume" : "Pause");
    this.cancelAll.disabled = runs.running + runs.waiting === 0;
    this.clear.disabled = runs.ended === 0;
  }

  private row(run: RunRow): HTMLTableRowElement {
    const act = (type: string, text: string, name: string): HTMLButtonElement => {
      const made = this.button(text, () => this.ask({ type, session: run.session }), name);
      made.setAttribute("aria-label", `${name}: run ${run.number}`);
      made.dataset.key = `${type} ${run.session}`;
      return made;
    };
    const waits = run.mine && run.status === "pending";
    return element(
      "tr",
      { "data-session": run.session, "data-status": run.status },
      element("td", { class: "nbp-number" }, run.number),
      element(
        "td",
        {},
        element("span", { class: "nbp-pill", "data-status": run.status }, WORDS[run.status] ?? run.status),
      ),
      element(
        "td",
        { class: "nbp-queue-label" },
        element("div", { class: "nbp-clip", title: run.label }, run.label || run.session.slice(0, 8)),
        run.error && element("div", { class: "nbp-queue-error" }, run.error),
      ),
      element("td", { class: "nbp-number nbp-soft nbp-time", style: "white-space: nowrap" }, timeText(run)),
      element(
        "td",
        { class: "nbp-queue-acts" },
        waits && act("prepend", "⤒ First", "move to the front"),
        run.mine && (waits || run.status === "in_progress") && act("cancel", "Cancel", "cancel"),
      ),
    );
  }

  private tick(): void {
    for (const run of this.runs?.runs ?? []) {
      if (run.ended !== null) continue;
      const cell = this.body.querySelector(`tr[data-session="${CSS.escape(run.session)}"] .nbp-time`);
      if (cell) write(cell, timeText(run));
    }
  }
}

export const queueTable: Widget = { render: ({ model, el }) => mounted(new QueueView(model), el) };
