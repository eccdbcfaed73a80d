// The stats: runs with their times, one plot, and the nodes of the runs that are ticked. Its kernel side is stats_view.py.
import "./panel.css";
import "./stats_view.css";

import type { Content } from "./asker.ts";
import { attribute, element, fill, write } from "./dom.ts";
import type { Model, Widget } from "./model.ts";
import { mounted } from "./mounted.ts";
import { button, Questions } from "./paging.ts";
import { drawing } from "./stats_view/drawing.ts";
import { nodesTable } from "./stats_view/nodes.ts";
import type { Stats } from "./stats_view/protocol.ts";
import { runRow } from "./stats_view/runs.ts";
import { count } from "./units.ts";

/** Plots of one figure of the table, which is chosen beside them. */
const OF_A_FIGURE = ["types", "runs"];

class StatsCard {
  readonly root: HTMLElement;
  private readonly questions: Questions;
  private stats: Stats | null = null;
  private asked = 0;

  private readonly line = element("span", { class: "nbp-soft nbp-number" }, "Waiting for the kernel…");
  private readonly told = element("span", { class: "nbp-told", role: "status" });
  private readonly columns = element("div", { class: "nbp-ticks", role: "group", "aria-label": "columns" });
  private readonly file = element("input", {
    class: "nbp-input",
    value: "stats",
    "aria-label": "name of the file",
    title: "A file of this name is written where the notebook's kernel runs",
  });
  private readonly runs = element("tbody");
  private readonly runList = element(
    "div",
    { class: "nbp-scroll nbp-stats-runs", tabindex: 0, role: "region", "aria-label": "runs" },
    element(
      "table",
      { class: "nbp-table", "aria-label": "runs" },
      element(
        "thead",
        { class: "nbp-unseen" },
        element(
          "tr",
          {},
          ...["Chosen", "Run", "Share of the longest", "Time", "Nodes", "Started"].map((name) =>
            element("th", { scope: "col" }, name),
          ),
        ),
      ),
      this.runs,
    ),
  );
  private readonly plots = element("div", { class: "nbp-tabs", role: "group", "aria-label": "plot" });
  private readonly figures = element("select", {
    class: "nbp-input",
    "aria-label": "figure",
    on: { change: () => this.choose({ figure: this.figures.value }) },
  });
  private readonly plot = element("div", { class: "nbp-plot", role: "img" });
  private readonly problem = element("p", { class: "nbp-empty nbp-hidden", role: "alert" });
  private readonly nodes = element("div", {
    class: "nbp-scroll nbp-stats-nodes",
    tabindex: 0,
    role: "region",
    "aria-label": "nodes of the chosen runs",
  });
  private readonly empty = element(
    "p",
    { class: "nbp-empty nbp-hidden" },
    "No run yet. Times, memory and cache use of every node appear here as soon as one has ended.",
  );
  private readonly body: HTMLElement;

  constructor(model: Model) {
    this.questions = new Questions(model, () => void this.ask({ type: "show" }));
    const save = (what: string): HTMLButtonElement => button(what.toUpperCase(), () => void this.save(what));
    const menu = (name: string, ...parts: HTMLElement[]): HTMLElement =>
      element(
        "details",
        { class: "nbp-menu" },
        element("summary", { class: "nbp-button" }, name),
        element("div", { class: "nbp-drop" }, ...parts),
      );
    this.body = element(
      "div",
      { class: "nbp-hidden" },
      this.runList,
      element("div", { class: "nbp-bar nbp-stats-plots" }, this.plots, this.figures),
      this.problem,
      this.plot,
      this.nodes,
    );
    this.root = element(
      "section",
      { class: "nbp nbp-card nbp-stats", "aria-label": "stats" },
      element(
        "div",
        { class: "nbp-bar" },
        element("span", { class: "nbp-title" }, "Stats"),
        this.line,
        this.told,
        element("span", { class: "nbp-space" }),
        menu("Columns", this.columns),
        menu(
          "Save",
          element("label", {}, "File", this.file),
          element("div", { class: "nbp-pair" }, save("csv"), save("png")),
        ),
      ),
      this.empty,
      this.body,
      this.questions.problem,
    );
    void this.ask({ type: "show" });
  }

  close(): void {
    this.questions.close();
  }

  private choose(choice: Content): void {
    void this.ask({ type: "choose", ...choice });
  }

  private async ask(question: Content): Promise<void> {
    const order = ++this.asked;
    const reply = await this.questions.ask(question);
    if (reply && order === this.asked) this.draw(reply[0] as Stats);
  }

  private async save(what: string): Promise<void> {
    write(this.told, "");
    const reply = await this.questions.ask({ type: "save", what, file: this.file.value });
    if (reply) write(this.told, `saved as ${reply[0].path}`);
  }

  private draw(stats: Stats): void {
    this.stats = stats;
    const none = stats.runs.length === 0;
    this.empty.classList.toggle("nbp-hidden", !none);
    this.body.classList.toggle("nbp-hidden", none);
    write(this.line, none ? "" : `${count(stats.total, "run")}, ${stats.chosen.length} shown`);
    const focused = this.focused();
    this.drawRuns(stats);
    this.drawChoices(stats);
    fill(this.nodes, ...nodesTable(stats));
    const label = stats.plots.find(([plot]) => plot === stats.plot)?.[1] ?? "";
    fill(this.plot, stats.drawing ? drawing(stats.drawing) : null);
    attribute(this.plot, "aria-label", `plot: ${label}`);
    this.plot.classList.toggle("nbp-hidden", !stats.drawing);
    write(this.problem, stats.problem ?? "");
    this.problem.classList.toggle("nbp-hidden", !stats.problem);
    if (focused) this.root.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  private drawRuns(stats: Stats): void {
    const longest = Math.max(...stats.runs.map((run) => run.seconds), 1e-9);
    const chosen = new Set(stats.chosen);
    fill(
      this.runs,
      ...stats.runs.map((run) =>
        runRow(run, longest, chosen.has(run.session), {
          only: () => this.choose({ runs: [run.session] }),
          toggle: (on) => this.choose({ runs: this.with(run.session, on) }),
        }),
      ),
    );
  }

  private drawChoices(stats: Stats): void {
    fill(
      this.plots,
      ...stats.plots.map(([plot, name]) =>
        button(name, () => this.choose({ plot }), {
          class: "nbp-tab",
          "aria-pressed": String(plot === stats.plot),
          "data-key": `plot ${plot}`,
        }),
      ),
    );
    fill(
      this.figures,
      ...stats.figures.map(([name, label]) =>
        element("option", { value: name, selected: name === stats.figure }, label),
      ),
    );
    this.figures.classList.toggle("nbp-hidden", !OF_A_FIGURE.includes(stats.plot));
    fill(
      this.columns,
      ...stats.columns.map(([name, label, on]) => {
        const tick = element("input", {
          type: "checkbox",
          "data-key": `column ${name}`,
          on: { change: () => this.choose({ columns: this.columnsWith(name, tick.checked) }) },
        });
        tick.checked = on;
        return element("label", {}, tick, label);
      }),
    );
  }

  private with(session: string, on: boolean): string[] {
    const others = (this.stats?.chosen ?? []).filter((one) => one !== session);
    return on ? [...others, session] : others;
  }

  private columnsWith(name: string, on: boolean): string[] {
    const shown = (this.stats?.columns ?? []).filter(([one, , is]) => (one === name ? on : is));
    return shown.map(([one]) => one);
  }

  /** What has the focus is drawn anew, and gets it back. */
  private focused(): string | undefined {
    const active = (this.root.getRootNode() as Document | ShadowRoot).activeElement as HTMLElement | null;
    return active && this.root.contains(active) ? active.dataset.key : undefined;
  }
}

export const statsView: Widget = { render: ({ model, el }) => mounted(new StatsCard(model), el) };
