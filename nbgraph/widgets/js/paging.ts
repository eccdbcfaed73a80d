// Parts of the panels that show what the kernel has, page by page.
import { Asker, type Content } from "./asker.ts";
import { element, write } from "./dom.ts";
import type { Model } from "./model.ts";

/** A button of a panel. */
export function button(text: string, act: () => void, options = {}): HTMLButtonElement {
  return element("button", { class: "nbp-button", type: "button", on: { click: act }, ...options }, text);
}

/** Asks the kernel, and shows on a line what it refused. */
export class Questions {
  readonly problem = element("p", { class: "nbp-problem nbp-hidden", role: "alert" });
  private readonly asker: Asker;

  constructor(model: Model, hear: (content: Content) => void) {
    this.asker = new Asker(model, hear);
  }

  /** The answer with its buffers; null where it was refused. */
  async ask(question: Content): Promise<[any, DataView[]] | null> {
    try {
      const reply = await this.asker.ask(question);
      this.complain("");
      return reply;
    } catch (error) {
      this.complain((error as Error).message);
      return null;
    }
  }

  close(): void {
    this.asker.close();
  }

  private complain(text: string): void {
    write(this.problem, text);
    this.problem.classList.toggle("nbp-hidden", !text);
  }
}

/** Two buttons, and a line that says which part of the whole is shown. */
export class Pager {
  readonly where = element("span", { class: "nbp-soft nbp-number nbp-where", "aria-live": "polite" });
  readonly back = button("‹", () => this.turn(-1), { "aria-label": "previous page" });
  readonly on = button("›", () => this.turn(1), { "aria-label": "next page" });

  constructor(
    private readonly perPage: number,
    private readonly turn: (by: number) => void,
  ) {}

  /** `all` and `none` are the whole in words. */
  show(
    { page, pages, total }: { page: number; pages: number; total: number },
    shown: number,
    all: string,
    none: string,
  ): void {
    const first = page * this.perPage + 1;
    write(
      this.where,
      total ? `${first.toLocaleString("en")} to ${(first + shown - 1).toLocaleString("en")} of ${all}` : none,
    );
    this.back.disabled = page <= 0;
    this.on.disabled = page >= pages - 1;
  }
}
