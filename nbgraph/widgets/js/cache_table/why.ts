// "What would run now": the nodes of a graph, whether each would run, and because of what.
import { element, fill, write } from "../dom.ts";
import { count } from "../units.ts";
import type { Why } from "./protocol.ts";

export class WouldRun {
  readonly root: HTMLDetailsElement;
  private readonly choice = element("select", {
    class: "nbp-input",
    "aria-label": "graph",
    on: { change: () => this.ask(this.choice.value) },
  });
  private readonly line = element("span", { class: "nbp-soft", role: "status", "aria-live": "polite" });
  private readonly body = element("tbody");

  constructor(private readonly ask: (graph: string) => void) {
    const head = ["Now", "Node", "Type", "Because"].map((text) => element("th", { scope: "col" }, text));
    const table = element("table", { class: "nbp-table" }, element("thead", {}, element("tr", {}, ...head)), this.body);
    this.root = element(
      "details",
      { class: "nbp-why" },
      element("summary", {}, "What would run now"),
      element("div", { class: "nbp-bar" }, this.choice, this.line),
      element("div", { class: "nbp-scroll", tabindex: 0, role: "region", "aria-label": "what would run now" }, table),
    );
    this.root.addEventListener("toggle", () => this.refresh());
  }

  /** Ask again, if it is open. */
  refresh(): void {
    if (this.root.open) this.ask("");
  }

  /** The graph that is asked about. */
  get graph(): string {
    return this.choice.value;
  }

  show(why: Why): void {
    fill(
      this.choice,
      ...why.graphs.map(([id, label]) => element("option", { value: id, selected: id === why.graph }, label)),
    );
    const running = why.reasons.filter(([, , runs]) => runs).length;
    const more = why.total > why.reasons.length ? ` of the first ${why.reasons.length}` : "";
    write(
      this.line,
      why.problem ||
        (why.graphs.length
          ? `${count(running, "node")}${more} would run, ${why.reasons.length - running} would not`
          : "Run a graph, or say studio.cache.why(graph)."),
    );
    fill(
      this.body,
      ...why.reasons.map(([node, type, runs, because]) =>
        element(
          "tr",
          {},
          element("td", { class: runs ? "nbp-runs" : "nbp-rests" }, runs ? "▶ runs" : "↺ cached"),
          element("th", { scope: "row" }, node),
          element("td", { class: "nbp-soft" }, type),
          element("td", {}, because),
        ),
      ),
    );
  }
}
