// What can be made of runs that cells show as HTML: buttons in them, and below a run the canvas or the run that they open.
// Its kernel side is run_remix.py; the places of the buttons are made by run_static.py, and by the run view.
import "./panel.css";
import "./run_remix.css";

import type { Content } from "./asker.ts";
import { Below } from "./below.ts";
import { element, fill } from "./dom.ts";
import { guard } from "./editor/guard.ts";
import { followTheme } from "./editor/theme.ts";
import { editor } from "./editor.tsx";
import { linkOf } from "./kernel.ts";
import type { Model, Started } from "./model.ts";
import { Questions } from "./paging.ts";
import { placeClass, type Remix, remixBar } from "./remix_bar.ts";
import { runView } from "./run_view.ts";

const AGAIN = { title: "Run", note: "of the same graph, with another seed", close: "Close the run" };

interface Offers {
  ways: ("canvas" | "input" | "again")[];
  python: string;
}

/** The buttons of one run, and what they opened. */
class RunButtons {
  private readonly canvas: Below;
  private readonly again: Below;
  private readonly parts = element("div", { class: "nbp" });
  private readonly below: HTMLElement;
  private readonly questions: Questions;
  private readonly endings: (() => void)[];

  constructor(
    private readonly place: HTMLElement,
    model: Model,
  ) {
    this.questions = new Questions(model, () => {});
    this.canvas = new Below(model, editor.render);
    this.again = new Below(model, runView.render, AGAIN);
    this.below = element("div", { class: "nbr-below" }, this.canvas.root, this.again.root);
    fill(place, this.parts);
    (place.closest(".nbgraph-run, .nbp-run") ?? place).after(this.below);
    this.endings = [this.parts, this.below].flatMap((part) => [followTheme(part), guard(part)]);
    void this.offer();
  }

  /** Whether the output with the run is gone. JupyterLab takes cells out of view off the page, with their outputs. */
  get isGone(): boolean {
    return !this.parts.isConnected && !this.parts.closest(".jp-Cell");
  }

  close(): void {
    for (const end of this.endings) end();
    this.questions.close();
    this.canvas.close();
    this.again.close();
    this.below.remove();
    this.parts.remove();
  }

  private ask(type: string): Promise<[Content, DataView[]] | null> {
    return this.questions.ask({ type, run: this.place.dataset.run ?? "" });
  }

  private async offer(): Promise<void> {
    const reply = await this.ask("offers");
    if (!reply) return;
    const { ways, python } = reply[0] as unknown as Offers;
    const open = async (type: string, below: Below): Promise<void> => {
      const opened = await this.ask(type);
      if (opened) await below.show(String(opened[0].model));
    };
    const remix: Remix = {
      canvas: () => void open("canvas", this.canvas),
      input: () => void open("input", this.canvas),
      again: () => void open("again", this.again),
    };
    for (const way of ["canvas", "input", "again"] as const) if (!ways.includes(way)) delete remix[way];
    fill(this.parts, remixBar({ ...remix, python }));
    // Below the run: an alert in it would be one of the run.
    this.questions.problem.classList.add("nbp");
    this.below.prepend(this.questions.problem);
  }
}

/** Puts buttons into the places of a kernel's runs, in whatever cells they are, now and later. */
class RunRemixes {
  private readonly known = new Map<HTMLElement, RunButtons>();
  private readonly observer = new MutationObserver(() => this.look());
  private readonly places: HTMLCollectionOf<Element>;

  constructor(private readonly model: Model) {
    this.places = document.getElementsByClassName(placeClass(String(model.get("_id"))));
    this.observer.observe(document.body, { childList: true, subtree: true });
    this.look();
  }

  close(): void {
    this.observer.disconnect();
    for (const buttons of this.known.values()) buttons.close();
    this.known.clear();
  }

  private look(): void {
    for (const [place, buttons] of this.known) {
      if (!buttons.isGone) continue;
      buttons.close();
      this.known.delete(place);
    }
    for (const place of this.places as HTMLCollectionOf<HTMLElement>)
      if (!this.known.has(place)) this.known.set(place, new RunButtons(place, this.model));
  }
}

export const runRemix: Started = {
  start(model) {
    const link = linkOf(model);
    const remixes = new RunRemixes(link.model);
    // Without its kernel a run is what it is in a saved notebook.
    const stop = link.subscribe(() => link.state.lost && remixes.close());
    return () => {
      stop();
      remixes.close();
    };
  },
};
