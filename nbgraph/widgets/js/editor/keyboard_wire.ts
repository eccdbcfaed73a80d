// A wire drawn by keys: Enter on a port begins it, arrows and Tab move among the ports that fit, Enter connects.
import type { View } from "./actions.ts";
import { connect, type LooseEnd } from "./commands.ts";
import type { Ends } from "./connect.ts";
import { type GraphDocument, linksOf } from "./document.ts";
import { allFits, markFits } from "./fitting.ts";

const FORWARD = ["ArrowRight", "ArrowDown"];
const BACK = ["ArrowLeft", "ArrowUp"];

interface Drawn {
  from: HTMLElement;
  loose: LooseEnd;
  fits: Ends[];
  at: number;
  unmark: () => void;
}

interface Press {
  key: string;
  shiftKey: boolean;
  target: EventTarget | null;
  preventDefault(): void;
  stopPropagation(): void;
}

export class KeyboardWire {
  private drawn: Drawn | null = null;

  /** `announce` says where the wire is, for eyes and page readers; `search` offers nodes that would fit. */
  constructor(
    private readonly view: View,
    private readonly announce: (text: string) => void,
    private readonly search: (at: { x: number; y: number }, loose: LooseEnd) => void,
  ) {}

  get active(): boolean {
    return this.drawn !== null;
  }

  /** Take a key that was pressed within the editor; returns whether it was one for the wire. */
  key(event: Press): boolean {
    const taken = this.drawn ? this.move(event, this.drawn) : this.begin(event);
    if (taken) {
      event.preventDefault();
      event.stopPropagation();
    }
    return taken;
  }

  private begin({ key, target }: Press): boolean {
    const port = target as HTMLElement;
    if (key !== "Enter" || !port.classList?.contains("react-flow__handle") || this.view.store.readOnly) return false;
    const { nodeid = "", handleid = "" } = port.dataset;
    const loose: LooseEnd = {
      node: nodeid,
      name: handleid,
      side: port.classList.contains("source") ? "source" : "target",
    };
    const { store } = this.view;
    const fits = ordered(store.document, allFits(store.document, store.schema, loose), loose);
    if (!fits.length) {
      this.announce(`Nothing on the canvas fits ${nodeid}.${handleid}: choose a node to add.`);
      this.search(middle(port), loose);
      return true;
    }
    const unmark = markFits(this.view.root, store.document, store.schema, loose);
    this.drawn = { from: port, loose, fits, at: 0, unmark };
    void this.show(this.drawn, true);
    return true;
  }

  private move({ key, shiftKey }: Press, drawn: Drawn): boolean {
    const { length } = drawn.fits;
    const back = BACK.includes(key) || (key === "Tab" && shiftKey);
    if (back || FORWARD.includes(key) || key === "Tab") {
      drawn.at = (drawn.at + (back ? length - 1 : 1)) % length;
      void this.show(drawn, false);
      return true;
    }
    if (key === "Enter") {
      const { store } = this.view;
      const ends = drawn.fits[drawn.at];
      this.end(`Connected ${nameOf(ends)}.`, false);
      store.edit(connect(store.document, store.schema, ends));
      return true;
    }
    if (key === " ") {
      this.end("", false);
      this.search(middle(drawn.from), drawn.loose);
      return true;
    }
    if (key === "Escape") {
      this.end("The wire was let go.", true);
      return true;
    }
    return key !== "Shift";
  }

  /** The mouse or something else took over. */
  leave(): void {
    if (this.drawn) this.end("", false);
  }

  private end(text: string, goBack: boolean): void {
    this.drawn!.unmark();
    if (goBack) this.drawn!.from.focus({ preventScroll: true });
    this.drawn = null;
    this.announce(text);
  }

  /** Bring the port that the wire would lead to into view, and give it the focus. */
  private async show(drawn: Drawn, isNew: boolean): Promise<void> {
    const { loose, fits, at } = drawn;
    const ends = fits[at];
    const [node, name, side] =
      loose.side === "source" ? [ends.target, ends.field, "target"] : [ends.source, ends.output, "source"];
    const place = `${nameOf(ends)}, ${at + 1} of ${fits.length}`;
    this.announce(isNew ? `${place}. Arrows choose, Enter connects, Space adds a node, Escape lets go.` : place);
    let port = this.port(node, name, side);
    if (!port) {
      this.view.store.unfold(node, true);
      await drawnSoon();
      port = this.port(node, name, side);
    }
    if (!port || outside(port, this.view.root)) {
      await this.view.flow.fitView({ nodes: [{ id: node }, { id: loose.node }], maxZoom: 1, padding: 0.2 });
      await drawnSoon();
      port = this.port(node, name, side);
    }
    if (this.drawn === drawn && drawn.at === at) port?.focus({ preventScroll: true });
  }

  private port(node: string, name: string, side: string): HTMLElement | null {
    const found = this.view.root.querySelectorAll<HTMLElement>(`.react-flow__handle.nbg-handle.${side}`);
    return [...found].find((one) => one.dataset.nodeid === node && one.dataset.handleid === name) ?? null;
  }
}

/** Free inputs first, and the nearest node first. */
function ordered(document: GraphDocument, fits: Ends[], loose: LooseEnd): Ends[] {
  const origin = document.nodes.get(loose.node)?.layout ?? {};
  const rank = (ends: Ends): number => {
    const id = loose.side === "source" ? ends.target : ends.source;
    const { layout, inputs } = document.nodes.get(id)!;
    const taken = loose.side === "source" && linksOf(inputs[ends.field]).length ? 1e9 : 0;
    return taken + Math.hypot((layout.x ?? 0) - (origin.x ?? 0), (layout.y ?? 0) - (origin.y ?? 0));
  };
  return [...fits].sort((one, other) => rank(one) - rank(other));
}

const nameOf = ({ source, output, target, field }: Ends): string => `${source} ${output} to ${target} ${field}`;

const drawnSoon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 80));

function middle(element: Element): { x: number; y: number } {
  const { left, top, width, height } = element.getBoundingClientRect();
  return { x: left + width / 2, y: top + height / 2 };
}

function outside(port: Element, root: Element): boolean {
  const { x, y } = middle(port);
  const { left, top, right, bottom } = root.querySelector(".react-flow")!.getBoundingClientRect();
  return x < left || x > right || y < top || y > bottom;
}
