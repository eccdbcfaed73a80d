// Builds elements from names, attributes and texts. A text stays a text: nothing here can turn one into markup.

export type Child = Node | string | number | null | undefined | false;
type Handler = (event: any) => void;

export interface Options {
  /** Attributes; `false`, `null` and `undefined` leave one out, `true` writes it without a value. */
  [attribute: string]: string | number | boolean | null | undefined | Record<string, Handler>;
  /** Listeners by event: `{ click: () => ... }`. */
  on?: Record<string, Handler>;
}

/** `element("button", { class: "nbp-button", on: { click: run } }, "Run")` */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  options: Options = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  const { on = {}, ...attributes } = options;
  for (const [name, value] of Object.entries(attributes)) attribute(made, name, value as string);
  for (const [event, handler] of Object.entries(on)) made.addEventListener(event, handler);
  fill(made, ...children);
  return made;
}

/** Set an attribute, or take it away; one that would hold code is refused. */
export function attribute(target: Element, name: string, value: string | number | boolean | null | undefined): void {
  if (/^on/i.test(name) || name === "srcdoc") throw new Error(`the attribute ${name} would hold code`);
  if (value === false || value === null || value === undefined) target.removeAttribute(name);
  else target.setAttribute(name, value === true ? "" : String(value));
}

/** Put these children in place of those there are. */
export function fill(target: Element, ...children: Child[]): void {
  target.replaceChildren(...children.filter(isShown).map((child) => (child instanceof Node ? child : String(child))));
}

/** Write a text, if it is another one: a page reader reads a live region only when something changed. */
export function write(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

function isShown(child: Child): child is Node | string | number {
  return child !== null && child !== undefined && child !== false;
}

/** Pictures that came as bytes, each at an address of its own until another takes its place. */
export class Pictures {
  private urls = new Map<string, string>();

  /** Keep a picture under a name; the one that had it before is let go. */
  put(name: string, bytes: DataView | ArrayBuffer | Uint8Array, type = ""): string {
    this.drop(name);
    const url = URL.createObjectURL(new Blob([bytes as BlobPart], { type }));
    this.urls.set(name, url);
    return url;
  }

  get(name: string): string | undefined {
    return this.urls.get(name);
  }

  drop(name: string): void {
    const url = this.urls.get(name);
    if (url) URL.revokeObjectURL(url);
    this.urls.delete(name);
  }

  /** Let go of all but these. */
  keep(names: Set<string>): void {
    for (const name of [...this.urls.keys()]) if (!names.has(name)) this.drop(name);
  }

  clear(): void {
    this.keep(new Set());
  }
}
