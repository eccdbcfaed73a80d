// The run view: one card for one run, live while it runs. Its kernel side is run_view.py.
import "./panel.css";
import "./run_view.css";

import { sayAgain } from "./again.ts";
import { attribute, element, fill, Pictures, write } from "./dom.ts";
import type { Model, Widget } from "./model.ts";
import { mounted } from "./mounted.ts";
import { placeClass } from "./remix_bar.ts";
import { History } from "./run_history.ts";
import { headLine, type NodeState, nodeMeta, type RunMessage, type RunState, statusWord } from "./run_text.ts";

const TICK = 250;
const MARKS: Record<string, string> = {
  done: "✓",
  cached: "↺",
  failed: "✕",
  cancelled: "■",
  running: "▶",
  waiting: "·",
  skipped: "–",
};

const isLive = ({ status }: RunState): boolean => status === "pending" || status === "running";

class RunCard {
  readonly root: HTMLElement;
  private state: RunState | null = null;
  private heard = 0;
  private cancelling = false;
  private rows = new Map<string, HTMLLIElement>();
  private pictures = new Pictures();
  private pill = element("span", { class: "nbp-pill" });
  private line = element("span", { class: "nbp-head-line nbp-number nbp-clip" });
  private cancel = element(
    "button",
    {
      class: "nbp-button nbp-danger",
      type: "button",
      title: "Stop at the next step",
      on: { click: () => this.askToCancel() },
    },
    "Cancel",
  );
  private bar = element("div");
  private track = element(
    "div",
    { class: "nbp-progress", role: "progressbar", "aria-label": "run", "aria-valuemin": 0, "aria-valuemax": 100 },
    this.bar,
  );
  private list = element("ul", { class: "nbp-run-list", tabindex: 0, "aria-label": "nodes of the run" });
  private shown = element("div", { class: "nbp-run-pictures" });
  private results = element("div", { class: "nbp-run-results", "aria-label": "results" });
  private preview = element("img", { class: "nbp-picture", alt: "preview of the picture" });
  private previewFigure = element("figure", {}, this.preview, element("figcaption", {}, "preview"));
  private problem = element("p", { class: "nbp-problem nbp-hidden", role: "alert" });
  /** Holds the place for the buttons of a run that has ended, which run_remix.ts puts there. */
  private remix = element("div");
  private spoken = element("span", { class: "nbp-unseen", role: "status", "aria-live": "polite" });
  private clock: ReturnType<typeof setInterval>;
  private heardOnce: () => void;
  /** A form keeps its last pictures: one looks at a picture to make the next one better. */
  private history: History | null = null;

  constructor(private model: Model) {
    if (model.get("compact") === true) this.history = new History((url) => this.showOnly(url));
    this.root = element(
      "section",
      { class: "nbp nbp-card nbp-run nbp-hidden", "aria-label": "run" },
      element("div", { class: "nbp-bar" }, this.pill, this.line, element("span", { class: "nbp-space" }), this.cancel),
      this.track,
      this.problem,
      element("div", { class: "nbp-run-body" }, this.list, this.shown, this.results, this.history?.root),
      this.remix,
      this.spoken,
    );
    this.clock = setInterval(() => this.tick(), TICK);
    model.on("msg:custom", this.hear);
    this.heardOnce = sayAgain(() => model.send({ type: "ready" }));
  }

  close(): void {
    clearInterval(this.clock);
    this.heardOnce();
    this.model.off("msg:custom", this.hear);
    this.pictures.clear();
    this.history?.close();
  }

  private hear = (content: any, buffers: DataView[] = []): void => {
    // What is new may have come because another page asked; the answer to this one is whole.
    if (content?.whole !== false) this.heardOnce();
    if (content?.type === "run") this.take(content as RunMessage, buffers);
    else if (content?.type === "refused") this.complain(String(content.message));
  };

  private take(message: RunMessage, buffers: DataView[]): void {
    this.complain(message.problem || (message.state?.error ?? ""));
    this.state = message.state;
    this.heard = Date.now();
    attribute(this.root, "class", this.className(message.state !== null || message.problem !== ""));
    if (message.state === null) return;
    if (message.whole) this.forget();
    for (const node of message.nodes) this.drawNode(node);
    for (const [place, name] of message.pictures.entries()) this.addPicture(name, buffers[place]);
    if (message.preview) this.drawPreview(message.hasPreview ? buffers[message.pictures.length] : undefined);
    this.drawHead(message.state);
    fill(this.results, ...message.state.results.map((text) => element("div", {}, text)));
    this.drawRunning(message.state);
    this.offerRemix(message);
  }

  private offerRemix({ run, state }: RunMessage): void {
    const id = String(this.model.get("_remix") ?? "");
    const place = id && !isLive(state!) && element("div", { class: placeClass(id), "data-run": run });
    // The buttons stay while messages of the same run come.
    if (!place) fill(this.remix);
    else if ((this.remix.firstElementChild as HTMLElement | null)?.dataset.run !== run) fill(this.remix, place);
  }

  private className(isShown: boolean): string {
    const compact = this.model.get("compact") === true;
    return `nbp nbp-card nbp-run${compact ? " nbp-compact" : ""}${isShown ? "" : compact ? " nbp-run-nothing" : " nbp-hidden"}`;
  }

  private forget(): void {
    this.rows.clear();
    fill(this.list);
    fill(this.shown);
    this.pictures.clear();
    this.cancelling = false;
  }

  private drawHead(state: RunState): void {
    const live = isLive(state);
    if (!live) this.cancelling = false;
    attribute(this.root, "data-live", live);
    write(this.pill, statusWord(state.status, this.cancelling));
    attribute(this.pill, "data-status", state.status);
    attribute(this.cancel, "class", `nbp-button nbp-danger${live ? "" : " nbp-hidden"}`);
    this.cancel.disabled = this.cancelling;
    attribute(this.track, "aria-valuenow", Math.round(state.fraction * 100));
    this.bar.style.width = `${(state.fraction * 100).toFixed(1)}%`;
    write(this.spoken, live ? `${state.status} ${state.node}` : `run ${state.status}`);
    this.tick();
  }

  private tick(): void {
    if (this.state) write(this.line, headLine(this.state, (Date.now() - this.heard) / 1000));
  }

  private drawNode(node: NodeState): void {
    const row = this.rows.get(node.id) ?? this.list.appendChild(element("li"));
    this.rows.set(node.id, row);
    attribute(row, "class", "nbp-run-node");
    attribute(row, "data-status", node.status);
    attribute(row, "data-node", node.id);
    fill(
      row,
      element("span", { class: "nbp-run-mark", "aria-hidden": "true" }, MARKS[node.status] ?? "·"),
      element("span", { class: "nbp-run-name nbp-clip", title: node.id }, node.id),
      element(
        "span",
        { class: "nbp-soft nbp-clip" },
        node.title.toLowerCase() === node.id.toLowerCase() ? "" : node.title,
      ),
      element("span", { class: "nbp-run-meta" }, nodeMeta(node)),
      node.error && element("p", { class: "nbp-run-error" }, node.error),
      node.warning && element("p", { class: "nbp-run-warning" }, node.warning),
    );
    if (node.status === "running") this.reveal(row);
  }

  /** Scroll the list, and only the list, so that the running node is seen. */
  private reveal(row: HTMLElement): void {
    const above = row.offsetTop - this.list.offsetTop;
    if (above < this.list.scrollTop || above + row.offsetHeight > this.list.scrollTop + this.list.clientHeight) {
      this.list.scrollTop = above - this.list.clientHeight / 2;
    }
  }

  private drawRunning(state: RunState): void {
    for (const row of this.rows.values()) {
      if (row.dataset.status !== "running") continue;
      const steps = state.steps > 0 && row.dataset.node === state.node;
      if (!steps) continue;
      const meta = row.querySelector(".nbp-run-meta");
      if (meta) write(meta, `${state.message ? `${state.message}, ` : ""}${state.step}/${state.steps}`);
      const track =
        row.querySelector<HTMLElement>(".nbp-progress") ??
        row.appendChild(
          element(
            "div",
            { class: "nbp-progress", role: "progressbar", "aria-label": `steps of ${state.node}`, "aria-valuemin": 0 },
            element("div"),
          ),
        );
      attribute(track, "aria-valuemax", state.steps);
      attribute(track, "aria-valuenow", state.step);
      (track.firstElementChild as HTMLElement).style.width = `${((100 * state.step) / state.steps).toFixed(1)}%`;
    }
  }

  private addPicture(name: string, bytes: DataView | undefined): void {
    if (!bytes) return;
    const number = this.shown.querySelectorAll("img[data-picture]").length + 1;
    const picture = element("img", { class: "nbp-picture", alt: `picture ${number} of the run`, "data-picture": name });
    picture.src = this.pictures.put(name, bytes);
    this.history?.add(name, bytes);
    this.shown.insertBefore(
      element("figure", {}, picture),
      this.previewFigure.parentNode === this.shown ? this.previewFigure : null,
    );
  }

  /** Show a picture of a run before in place of those of this one. */
  private showOnly(url: string): void {
    fill(
      this.shown,
      element("figure", {}, element("img", { class: "nbp-picture", alt: "picture of a run before", src: url })),
    );
  }

  private drawPreview(bytes: DataView | undefined): void {
    this.pictures.drop("preview");
    if (!bytes) {
      this.previewFigure.remove();
      return;
    }
    this.preview.src = this.pictures.put("preview", bytes);
    if (this.previewFigure.parentNode !== this.shown) this.shown.append(this.previewFigure);
  }

  private complain(text: string): void {
    write(this.problem, text);
    attribute(this.problem, "class", `nbp-problem${text ? "" : " nbp-hidden"}`);
  }

  private askToCancel(): void {
    this.cancelling = true;
    this.model.send({ type: "cancel" });
    if (this.state) this.drawHead(this.state);
  }
}

export const runView: Widget = { render: ({ model, el }) => mounted(new RunCard(model), el) };
