// The table of the cache: entries on pages, sorted, filtered, forgotten, limited. Its kernel side is cache_table.py.
import "./panel.css";
import "./cache_table.css";

import type { Content } from "./asker.ts";
import { limits } from "./cache_table/limits.ts";
import type { Column, Page, Status, Why } from "./cache_table/protocol.ts";
import { entryRow, heading, type Sort } from "./cache_table/rows.ts";
import { WouldRun } from "./cache_table/why.ts";
import { confirmation } from "./confirm.ts";
import { element, fill, Pictures, write } from "./dom.ts";
import type { Model, Widget } from "./model.ts";
import { mounted } from "./mounted.ts";
import { button, Pager, Questions } from "./paging.ts";
import { bytes, count } from "./units.ts";

const PER_PAGE = 50;
const TYPING = 250;
const ASCENDING_FIRST: Column[] = ["node", "type"];

class TableView {
  readonly root: HTMLElement;
  private readonly questions: Questions;
  private readonly pictures = new Pictures();
  private page: Page | null = null;
  private sort: Sort = { column: "created", descending: true };
  private readonly chosen = new Set<string>();
  private asked = 0;
  private typing: ReturnType<typeof setTimeout> | undefined;

  private readonly power = element("input", {
    type: "checkbox",
    role: "switch",
    "aria-label": "use the cache",
    on: { change: () => this.act({ type: "switch", on: this.power.checked }) },
  });
  private readonly line = element("span", { class: "nbp-soft nbp-number nbp-status" }, "Waiting for the kernel…");
  private readonly search = element("input", {
    type: "search",
    class: "nbp-input",
    placeholder: "Node, input, resource",
    "aria-label": "search entries",
    on: { input: () => this.typed() },
  });
  private readonly kind = element("select", {
    class: "nbp-input",
    "aria-label": "node type",
    on: { change: () => this.load(0) },
  });
  private readonly forget = button("Forget", () => this.forgetChosen(false), {
    title: "Forget these alone: they run again, and what was computed from them is used if they come out the same",
  });
  private readonly downstream = button("Forget downstream", () => this.forgetChosen(true), {
    title: "Forget these, and everything that was computed from them",
  });
  private readonly all = element("input", {
    type: "checkbox",
    "aria-label": "choose all on this page",
    on: { change: () => this.tickAll() },
  });
  private readonly heads = heading(this.all, (column) => this.sortBy(column));
  private readonly body = element("tbody");
  private readonly pager = new Pager(PER_PAGE, (by) => this.load((this.page?.page ?? 0) + by));
  private readonly told = element("span", { class: "nbp-told", role: "status" });
  private readonly question = element("div");
  private readonly limits = limits((changed) => this.act({ type: "limit", ...changed }));
  private readonly why = new WouldRun((graph) => this.explain(graph));

  constructor(model: Model) {
    this.questions = new Questions(model, (content) => this.hear(content));
    const space = () => element("span", { class: "nbp-space" });
    const table = element(
      "table",
      { class: "nbp-table nbp-entries", "aria-label": "cached results" },
      element("thead", {}, this.heads.row),
      this.body,
    );
    this.root = element(
      "section",
      { class: "nbp nbp-card nbp-cache", "aria-label": "cache" },
      element(
        "div",
        { class: "nbp-bar" },
        element("span", { class: "nbp-title" }, "Cache"),
        element("label", { class: "nbp-switch" }, this.power, "on"),
        this.line,
        space(),
        this.limits.root,
        button("Clear", () => this.askToClear(), { class: "nbp-button nbp-danger" }),
      ),
      this.question,
      element("div", { class: "nbp-bar nbp-tools" }, this.search, this.kind, space(), this.forget, this.downstream),
      element("div", { class: "nbp-scroll", tabindex: 0, role: "region", "aria-label": "entries of the cache" }, table),
      element(
        "div",
        { class: "nbp-bar nbp-foot" },
        this.pager.where,
        this.told,
        space(),
        this.pager.back,
        this.pager.on,
      ),
      this.why.root,
      this.questions.problem,
    );
    this.heads.show(this.sort);
    this.load(0);
  }

  close(): void {
    clearTimeout(this.typing);
    this.questions.close();
    this.pictures.clear();
  }

  private hear(content: Content): void {
    this.showStatus(content.status as Status);
    this.load();
    this.why.refresh();
  }

  private typed(): void {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.load(0), TYPING);
  }

  private sortBy(column: Column): void {
    const again = this.sort.column === column;
    this.sort = { column, descending: again ? !this.sort.descending : !ASCENDING_FIRST.includes(column) };
    this.heads.show(this.sort);
    this.load(0);
  }

  private async load(page = this.page?.page ?? 0): Promise<void> {
    const order = ++this.asked;
    const reply = await this.questions.ask({
      type: "list",
      page: Math.max(0, page),
      per_page: PER_PAGE,
      sort: this.sort.column,
      descending: this.sort.descending,
      text: this.search.value,
      node_type: this.kind.value,
    });
    if (!reply || order !== this.asked) return;
    const shown = reply[0] as Page;
    this.page = shown;
    this.pictures.keep(new Set(shown.pictures));
    for (const [place, name] of shown.pictures.entries()) {
      if (!this.pictures.get(name)) this.pictures.put(name, reply[1][place]);
    }
    this.draw(shown);
  }

  private draw(shown: Page): void {
    this.showStatus(shown.status);
    const kind = this.kind.value;
    fill(
      this.kind,
      ...["", ...shown.types].map((type) =>
        element("option", { value: type, selected: type === kind }, type || "All types"),
      ),
    );
    const keys = new Set(shown.entries.map((entry) => entry.key));
    for (const key of this.chosen) if (!keys.has(key)) this.chosen.delete(key);
    const active = (this.root.getRootNode() as Document | ShadowRoot).activeElement as HTMLElement | null;
    const focused = active && this.body.contains(active) ? active.dataset.key : undefined;
    const rows = shown.entries.map((entry) =>
      entryRow(entry, this.pictures.get(entry.picture) ?? "", this.chosen.has(entry.key), (on) => {
        if (on) this.chosen.add(entry.key);
        else this.chosen.delete(entry.key);
        this.showChoice();
      }),
    );
    const empty = this.search.value || kind ? "No entry fits." : "Nothing is cached yet.";
    fill(
      this.body,
      ...(rows.length ? rows : [element("tr", {}, element("td", { colspan: 9, class: "nbp-empty" }, empty))]),
    );
    if (focused) this.body.querySelector<HTMLElement>(`[data-key="${focused}"]`)?.focus();
    this.pager.show(shown, rows.length, count(shown.total, "entry", "entries"), "0 entries");
    this.showChoice();
  }

  private showStatus(status: Status): void {
    const asked = status.hits + status.misses;
    const rate = asked ? ` (${Math.round((100 * status.hits) / asked)} %)` : "";
    write(
      this.line,
      `${bytes(status.bytes)} of ${bytes(status.maxBytes)} · ${count(status.hits, "hit")}${rate} · ${count(status.misses, "miss", "misses")}`,
    );
    this.power.checked = status.on;
    this.limits.show(status);
  }

  private tickAll(): void {
    this.chosen.clear();
    if (this.all.checked) for (const entry of this.page?.entries ?? []) this.chosen.add(entry.key);
    if (this.page) this.draw(this.page);
  }

  private showChoice(): void {
    const number = this.chosen.size;
    this.forget.disabled = this.downstream.disabled = number === 0;
    write(this.forget, number ? `Forget ${number}` : "Forget");
    this.all.checked = number > 0 && number === this.page?.entries.length;
    this.all.indeterminate = number > 0 && !this.all.checked;
  }

  private async act(question: Content): Promise<void> {
    fill(this.question);
    const reply = await this.questions.ask(question);
    await this.load();
    this.why.refresh();
    if (reply)
      write(this.told, reply[0].count === undefined ? "" : `${count(reply[0].count, "entry", "entries")} forgotten`);
  }

  private async forgetChosen(downstream: boolean): Promise<void> {
    const keys = [...this.chosen];
    if (!downstream) return this.act({ type: "forget", keys, downstream });
    const reply = await this.questions.ask({ type: "doomed", keys, downstream });
    if (!reply) return;
    const { nodes, total } = reply[0];
    const what =
      total > keys.length ? "What is ticked, and what was computed from it:" : "Nothing else was computed from them.";
    this.confirm(
      {
        label: "forget downstream",
        ask: `Forget ${count(total, "entry", "entries")}?`,
        what,
        items: nodes,
        total,
        act: "Forget",
      },
      { type: "forget", keys, downstream },
    );
  }

  private askToClear(): void {
    const size = this.page?.status.size ?? 0;
    const what = "Pictures stay; everything is computed anew when it is run again.";
    this.confirm(
      {
        label: "clear the cache",
        ask: `Forget all ${count(size, "entry", "entries")}?`,
        what,
        items: [],
        total: 0,
        act: "Clear",
      },
      { type: "clear" },
    );
  }

  private confirm(question: Parameters<typeof confirmation>[0], then: Content): void {
    const leave = (): void => {
      fill(this.question);
      this.search.focus({ preventScroll: true });
    };
    fill(
      this.question,
      confirmation(question, () => this.act(then).then(() => this.search.focus({ preventScroll: true })), leave),
    );
  }

  private async explain(graph: string): Promise<void> {
    const reply = await this.questions.ask({ type: "why", graph: graph || this.why.graph });
    if (reply) this.why.show(reply[0] as Why & Content);
  }
}

export const cacheTable: Widget = { render: ({ model, el }) => mounted(new TableView(model), el) };
