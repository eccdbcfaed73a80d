// Which pictures are ticked, on whatever page they are: one, a range, all of a page.
import type { Picture } from "./protocol.ts";

export class Choice {
  private readonly chosen = new Map<string, Picture>();
  /** The picture that was ticked last: a range begins there. */
  private anchor = "";

  get names(): string[] {
    return [...this.chosen.keys()];
  }

  get size(): number {
    return this.chosen.size;
  }

  has(name: string): boolean {
    return this.chosen.has(name);
  }

  /** How many are ticked that are not on this page. */
  outside(page: Picture[]): number {
    return this.size - page.filter(({ name }) => this.chosen.has(name)).length;
  }

  /** Whether there is one, and all have a star. */
  get allStarred(): boolean {
    return this.size > 0 && [...this.chosen.values()].every((picture) => picture.starred);
  }

  set(picture: Picture, on: boolean): void {
    if (on) this.chosen.set(picture.name, picture);
    else this.chosen.delete(picture.name);
    this.anchor = picture.name;
  }

  toggle(picture: Picture): void {
    this.set(picture, !this.has(picture.name));
  }

  /** Tick everything between the picture that was ticked last and this one; this one alone if that is not on the page. */
  range(page: Picture[], to: Picture): void {
    const end = page.findIndex(({ name }) => name === to.name);
    const found = page.findIndex(({ name }) => name === this.anchor);
    const start = found < 0 ? end : found;
    for (const picture of page.slice(Math.min(start, end), Math.max(start, end) + 1))
      this.chosen.set(picture.name, picture);
    if (found < 0) this.anchor = to.name;
  }

  /** Tick the whole page, or none of it if all of it is ticked. */
  togglePage(page: Picture[]): void {
    const all = page.every(({ name }) => this.chosen.has(name));
    for (const picture of page)
      if (all) this.chosen.delete(picture.name);
      else this.chosen.set(picture.name, picture);
  }

  /** Take over what the kernel says of pictures now. */
  renew(page: Picture[]): void {
    for (const picture of page) if (this.chosen.has(picture.name)) this.chosen.set(picture.name, picture);
  }

  star(names: string[], starred: boolean): void {
    for (const name of names) {
      const picture = this.chosen.get(name);
      if (picture) this.chosen.set(name, { ...picture, starred });
    }
  }

  drop(names: string[]): void {
    for (const name of names) this.chosen.delete(name);
  }

  clear(): void {
    this.chosen.clear();
  }
}
