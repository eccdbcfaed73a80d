// The gallery: pictures on pages, starred, searched, opened, compared, deleted. Its kernel side is gallery.py.
import "./panel.css";
import "./gallery.css";

import type { Content } from "./asker.ts";
import { Below } from "./below.ts";
import { confirmation } from "./confirm.ts";
import { attribute, element, fill, Pictures, write } from "./dom.ts";
import { editor } from "./editor.tsx";
import { Choice } from "./gallery/choice.ts";
import { compareView } from "./gallery/compare.ts";
import { listenToGrid } from "./gallery/keys.ts";
import { pictureView } from "./gallery/picture.ts";
import type { Compared, Doomed, Opened, Page, Picture } from "./gallery/protocol.ts";
import { tile } from "./gallery/tile.ts";
import type { Model, Widget } from "./model.ts";
import { mounted } from "./mounted.ts";
import { button, Pager, Questions } from "./paging.ts";
import type { Remix } from "./remix_bar.ts";
import { count } from "./units.ts";

const PER_PAGE = 24;
const TYPING = 250;
const ORDERS = { newest: "Newest", oldest: "Oldest", largest: "Largest", starred: "Starred first" };
const KINDS: Record<string, boolean | null> = { results: false, intermediate: true, all: null };

class GalleryView {
  readonly root: HTMLElement;
  private readonly questions: Questions;
  private readonly pictures = new Pictures();
  private readonly large = new Pictures();
  private page: Page = { page: 0, pages: 0, total: 0, pictures: [] };
  private opened = "";
  private readonly choice = new Choice();
  private readonly below: Below;
  private asked = 0;
  private typing: ReturnType<typeof setTimeout> | undefined;

  private readonly search = element("input", {
    type: "search",
    class: "nbp-input",
    placeholder: "Search prompts, values, models",
    "aria-label": "search pictures",
    on: { input: () => this.typed() },
  });
  private readonly starred = button("☆ Starred", () => this.toggleStarred(), {
    "aria-pressed": "false",
    title: "Show only pictures with a star",
  });
  private readonly kind = element(
    "select",
    { class: "nbp-input", "aria-label": "kind of pictures", on: { change: () => this.load(0) } },
    ...Object.keys(KINDS).map((kind) =>
      element(
        "option",
        { value: kind },
        kind === "all" ? "All kinds" : kind === "results" ? "Results" : "Intermediate",
      ),
    ),
  );
  private readonly order = element(
    "select",
    { class: "nbp-input", "aria-label": "order of pictures", on: { change: () => this.load(0) } },
    ...Object.entries(ORDERS).map(([order, name]) => element("option", { value: order }, name)),
  );
  private readonly compare = button("Compare", () => this.openCompare(this.choice.names), {
    title: "Compare the two that are ticked, on whatever page",
  });
  private readonly star = button("★ Star", () => this.setStar(this.choice.names, !this.choice.allStarred));
  private readonly remove = button("Delete", () => this.askToDelete(this.choice.names), {
    class: "nbp-button nbp-danger",
  });
  private readonly clear = button("", () => this.clearChoice(), { title: "Untick all" });
  private readonly grid = element("div", { class: "nbp-grid", role: "list", "aria-label": "pictures" });
  private readonly pager = new Pager(PER_PAGE, (by) => this.load(this.page.page + by));
  private readonly told = element("span", { class: "nbp-told", role: "status" });
  private readonly question = element("div");
  private readonly single = element("div", { class: "nbp-hidden" });
  private readonly list: HTMLElement;

  constructor(private readonly model: Model) {
    this.below = new Below(model, editor.render);
    const pair = (model.get("_compared") as string[] | undefined) ?? [];
    this.questions = new Questions(model, () => pair.length || this.load());
    write(this.pager.where, "Waiting for the kernel…");
    this.list = element(
      "div",
      {},
      element(
        "div",
        { class: "nbp-bar" },
        element("span", { class: "nbp-title" }, "Pictures"),
        this.search,
        this.starred,
        this.kind,
        this.order,
        element("div", { class: "nbp-acts" }, this.clear, this.compare, this.star, this.remove),
      ),
      this.grid,
      element(
        "div",
        { class: "nbp-bar nbp-foot" },
        this.pager.where,
        this.told,
        element("span", { class: "nbp-space" }),
        this.pager.back,
        this.pager.on,
      ),
    );
    const card = element(
      "section",
      { class: "nbp nbp-card nbp-gallery", "aria-label": "gallery" },
      this.question,
      this.list,
      this.single,
      this.questions.problem,
    );
    this.root = element("div", {}, card, this.below.root);
    listenToGrid(this.grid, {
      choose: (place, range) => this.choose(this.page.pictures[place], range),
      choosePage: () => {
        this.choice.togglePage(this.page.pictures);
        this.draw();
      },
      turn: (by) => this.turn(by),
    });
    this.drawChoice();
    this.list.classList.toggle("nbp-hidden", pair.length > 0);
    if (pair.length) this.openCompare(pair, false);
    else this.load(0);
  }

  close(): void {
    clearTimeout(this.typing);
    this.questions.close();
    this.pictures.clear();
    this.large.clear();
    this.below.close();
  }

  private typed(): void {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.load(0), TYPING);
  }

  private toggleStarred(): void {
    const on = this.starred.getAttribute("aria-pressed") !== "true";
    attribute(this.starred, "aria-pressed", String(on));
    write(this.starred, on ? "★ Starred" : "☆ Starred");
    this.load(0);
  }

  private async load(page = this.page.page): Promise<void> {
    const order = ++this.asked;
    const reply = await this.questions.ask({
      type: "list",
      page: Math.max(0, page),
      per_page: PER_PAGE,
      text: this.search.value,
      starred: this.starred.getAttribute("aria-pressed") === "true" ? true : null,
      intermediate: KINDS[this.kind.value],
      order: this.order.value,
    });
    if (!reply || order !== this.asked) return;
    this.page = reply[0] as Page;
    this.pictures.keep(new Set(this.page.pictures.map((picture) => picture.name)));
    this.page.pictures.forEach((picture, place) => {
      if (!this.pictures.get(picture.name) && reply[1][place]?.byteLength)
        this.pictures.put(picture.name, reply[1][place]);
    });
    this.draw();
  }

  private draw(): void {
    const { pictures } = this.page;
    this.choice.renew(pictures);
    const focused = this.focusedKey();
    fill(this.grid, ...pictures.map((picture) => this.tile(picture)));
    if (!pictures.length)
      fill(
        this.grid,
        element(
          "p",
          { class: "nbp-empty" },
          this.search.value || this.starred.textContent?.startsWith("★")
            ? "No picture fits the search."
            : "No pictures yet: run a graph that makes one.",
        ),
      );
    this.focusAgain(focused);
    this.pager.show(this.page, pictures.length, count(this.page.total, "picture"), "0 pictures");
    this.drawChoice();
  }

  /** The focus is on a part of a tile: which one, so that it can go there again after the tiles were made anew. */
  private focusedKey(): string {
    const active = (this.root.getRootNode() as Document | ShadowRoot).activeElement;
    return active && this.grid.contains(active) ? (active.getAttribute("data-key") ?? "") : "";
  }

  private focusAgain(key: string): void {
    if (key)
      for (const each of this.grid.querySelectorAll<HTMLElement>("[data-key]"))
        if (each.dataset.key === key) each.focus();
  }

  private tile(picture: Picture): HTMLElement {
    const { name } = picture;
    return tile(picture, this.pictures.get(name), this.choice.has(name), {
      open: () => this.open(name),
      star: () => this.setStar([name], !picture.starred),
      choose: (range) => this.choose(picture, range),
    });
  }

  private choose(picture: Picture, range: boolean): void {
    if (range) this.choice.range(this.page.pictures, picture);
    else this.choice.toggle(picture);
    this.draw();
  }

  private clearChoice(): void {
    this.choice.clear();
    this.draw();
    this.search.focus({ preventScroll: true });
  }

  /** Turn the page by a key at its first or last tile, and go to the tile that follows. */
  private async turn(by: number): Promise<void> {
    const { page, pages } = this.page;
    if (page + by < 0 || page + by >= pages) return;
    await this.load(page + by);
    const thumbs = this.grid.querySelectorAll<HTMLElement>(".nbp-thumb");
    thumbs[by < 0 ? thumbs.length - 1 : 0]?.focus();
  }

  private drawChoice(): void {
    const { size } = this.choice;
    const elsewhere = this.choice.outside(this.page.pictures);
    this.compare.disabled = size !== 2;
    this.star.disabled = this.remove.disabled = size === 0;
    this.clear.classList.toggle("nbp-hidden", size === 0);
    write(this.clear, `${size} ticked${elsewhere ? ` (${elsewhere} elsewhere)` : ""} ✕`);
    write(this.remove, size ? `Delete ${size}` : "Delete");
    write(this.star, this.choice.allStarred ? "☆ Unstar" : "★ Star");
  }

  private async setStar(names: string[], starred: boolean): Promise<void> {
    if (names.length && (await this.questions.ask({ type: "star", names, starred }))) this.choice.star(names, starred);
    await this.load();
    if (this.opened) await this.open(this.opened);
  }

  private async askToDelete(names: string[]): Promise<void> {
    const reply = names.length ? await this.questions.ask({ type: "doomed", names }) : null;
    if (!reply) return;
    const leave = (): void => {
      fill(this.question);
      (this.opened ? this.single.querySelector<HTMLElement>(".nbp-danger") : this.remove)?.focus();
    };
    fill(
      this.question,
      confirmation(deleteQuestion(names, reply[0] as Doomed & Content), () => this.deleteThese(names), leave),
    );
  }

  private async deleteThese(names: string[]): Promise<void> {
    fill(this.question);
    const reply = await this.questions.ask({ type: "delete", names });
    if (reply) {
      this.choice.drop(names);
      this.showList();
    }
    await this.load();
    this.search.focus({ preventScroll: true });
    if (reply)
      write(this.told, `${count(reply[0].count, "picture")} and ${count(reply[0].entries, "cached result")} deleted`);
  }

  private async open(name: string): Promise<void> {
    const reply = await this.questions.ask({ type: "open", name });
    if (!reply) return;
    const [content, buffers] = reply as [Opened & Content, DataView[]];
    this.opened = name;
    const full = this.large.put("full", buffers[0], "image/png");
    const graph = buffers[1] ? this.large.put("graph", buffers[1], "image/svg+xml") : "";
    const view = pictureView(content, full, graph, {
      back: () => this.showList(),
      step: (by) => this.step(by),
      star: () => this.setStar([name], !content.picture.starred),
      remove: () => this.askToDelete([name]),
      remix: this.model.get("_remixes") ? this.remix(name) : undefined,
    });
    this.showSingle(view);
  }

  private remix(name: string): Remix {
    const open = async (type: string): Promise<void> => {
      const reply = await this.questions.ask({ type, name });
      if (reply) await this.below.show(String(reply[0].model));
    };
    return {
      canvas: () => open("canvas"),
      input: () => open("input"),
      again: async () => {
        if (!(await this.questions.ask({ type: "again", name }))) return;
        this.showList();
        write(this.told, "runs with another seed");
      },
    };
  }

  private async step(by: number): Promise<void> {
    const place = this.page.pictures.findIndex((picture) => picture.name === this.opened) + by;
    const next = this.page.pictures[place];
    if (next) await this.open(next.name);
  }

  private async openCompare(names: string[], canLeave = true): Promise<void> {
    const reply = await this.questions.ask({ type: "compare", names });
    if (!reply) return;
    const urls: [string, string] = [this.large.put("first", reply[1][0]), this.large.put("second", reply[1][1])];
    this.opened = "";
    this.showSingle(compareView(reply[0] as Compared & Content, urls, canLeave ? () => this.showList() : undefined));
  }

  private showSingle(view: HTMLElement): void {
    fill(this.single, view);
    this.single.classList.remove("nbp-hidden");
    this.list.classList.add("nbp-hidden");
  }

  private showList(): void {
    const opened = this.opened;
    this.opened = "";
    fill(this.single);
    this.single.classList.add("nbp-hidden");
    this.list.classList.remove("nbp-hidden");
    this.focusAgain(`open ${opened}`);
  }
}

function deleteQuestion(names: string[], doomed: Doomed) {
  const [them, name] = [names.length === 1 ? "it" : "them", doomed.total === 1 ? "names" : "name"];
  const what = doomed.total
    ? `${count(doomed.total, "cached result")} ${name} ${them} and will go too:`
    : `No cached result names ${them}.`;
  const items = doomed.entries.map((entry): [string, string] => [entry.node, entry.type]);
  return {
    label: "delete pictures",
    ask: `Delete ${count(names.length, "picture")}?`,
    what,
    items,
    total: doomed.total,
    act: "Delete",
  };
}

export const gallery: Widget = { render: ({ model, el }) => mounted(new GalleryView(model), el) };
