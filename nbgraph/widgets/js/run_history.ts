// The last pictures of a form, as a strip below the one that is shown; a click shows one again.
import { attribute, element, fill, Pictures } from "./dom.ts";

const KEPT = 8;

export class History {
  readonly root = element("div", { class: "nbp-history nbp-hidden", role: "group", "aria-label": "last pictures" });
  private readonly pictures = new Pictures();
  /** The newest first. */
  private names: string[] = [];
  private shown = "";

  /** `show` is given the address of the picture that is chosen. */
  constructor(private readonly show: (url: string) => void) {}

  /** Keep a picture, which is what is shown now. */
  add(name: string, bytes: DataView): void {
    if (!this.pictures.get(name)) this.pictures.put(name, bytes);
    this.names = [name, ...this.names.filter((one) => one !== name)].slice(0, KEPT);
    this.pictures.keep(new Set(this.names));
    this.shown = name;
    this.draw();
  }

  close(): void {
    this.pictures.clear();
  }

  private draw(): void {
    this.root.classList.toggle("nbp-hidden", this.names.length < 2);
    fill(this.root, ...this.names.map((name, place) => this.thumbnail(name, place)));
  }

  private thumbnail(name: string, place: number): HTMLElement {
    const url = this.pictures.get(name)!;
    const label = place ? `the picture ${place} before the last` : "the last picture";
    const choose = (): void => {
      this.shown = name;
      this.show(url);
      for (const [at, button] of [...this.root.children].entries())
        attribute(button, "aria-pressed", String(this.names[at] === name));
    };
    return element(
      "button",
      { type: "button", "aria-label": label, "aria-pressed": String(name === this.shown), on: { click: choose } },
      element("img", { src: url, alt: "" }),
    );
  }
}
