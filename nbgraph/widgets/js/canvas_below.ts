// A canvas that the kernel opened for a picture, shown under the gallery or the canvas it was opened from.
import { element, fill } from "./dom.ts";
import { linkOf } from "./kernel.ts";
import type { Model, Widget } from "./model.ts";
import { button } from "./paging.ts";

const SETTLED = 150;

export class CanvasBelow {
  readonly root = element("div", { class: "nbp-below" });
  private clean = (): void => {};

  /** `render` is that of the editor. */
  constructor(
    private readonly model: Model,
    private readonly render: Widget["render"],
  ) {}

  /** Show the canvas of a model in place of the one before. */
  async show(id: string): Promise<void> {
    const found = await this.model.widget_manager?.get_model(id);
    if (!found) return;
    this.close();
    const place = element("div");
    const bar = element(
      "div",
      { class: "nbp nbp-bar" },
      element("span", { class: "nbp-title" }, "Canvas"),
      element("span", { class: "nbp-soft" }, "kept in studio.graphs"),
      element("span", { class: "nbp-space" }),
      button("Close the canvas", () => this.close()),
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
