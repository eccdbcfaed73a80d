// A widget that the kernel opened, a canvas or a run, shown under the panel it was opened from.
import { element, fill } from "./dom.ts";
import { linkOf } from "./kernel.ts";
import type { Model, Widget } from "./model.ts";
import { button } from "./paging.ts";

const SETTLED = 150;

/** What the line above the widget says. */
interface Words {
  title: string;
  note: string;
  close: string;
}

const CANVAS: Words = { title: "Canvas", note: "kept in studio.graphs", close: "Close the canvas" };

export class Below {
  readonly root = element("div", { class: "nbp-below" });
  private clean = (): void => {};

  /** `render` is that of the widget, of the editor for a canvas. */
  constructor(
    private readonly model: Model,
    private readonly render: Widget["render"],
    private readonly words = CANVAS,
  ) {}

  /** Show the widget of a model in place of the one before. */
  async show(id: string): Promise<void> {
    const found = await this.model.widget_manager?.get_model(id);
    if (!found) return;
    this.close();
    const place = element("div");
    const bar = element(
      "div",
      { class: "nbp nbp-bar" },
      element("span", { class: "nbp-title" }, this.words.title),
      element("span", { class: "nbp-soft" }, this.words.note),
      element("span", { class: "nbp-space" }),
      button(this.words.close, () => this.close()),
    );
    fill(this.root, bar, place);
    this.clean = this.render({ model: linkOf(found as unknown as Model).model, el: place });
    // The canvas has its height only once it is drawn.
    setTimeout(() => {
      this.root.scrollIntoView?.({ block: "start" });
      place.querySelector<HTMLElement>(".nbg-editor")?.focus({ preventScroll: true });
    }, SETTLED);
  }

  close(): void {
    this.clean();
    this.clean = () => {};
    fill(this.root);
  }
}
