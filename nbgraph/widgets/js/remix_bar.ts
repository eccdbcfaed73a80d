// Buttons that begin something new from a picture or a run.
import { element, write } from "./dom.ts";
import { button } from "./paging.ts";

/** The class of the places for the buttons of runs that belong to the widget of an id. */
export const placeClass = (id: string): string => `nbgraph-remix-${id}`;

/** What can be made; what is left out is not offered. */
export interface Remix {
  canvas?: () => void;
  input?: () => void;
  again?: () => void;
  python?: string;
}

export function remixBar({ canvas, input, again, python }: Remix): HTMLElement | null {
  const copied = element("span", { class: "nbp-soft", role: "status" });
  const copy = async (): Promise<void> => {
    const done = await navigator.clipboard?.writeText(python!).then(
      () => true,
      () => false,
    );
    write(copied, done ? "copied" : "the browser does not allow it: select the code under As Python");
  };
  const parts = [
    canvas && button("Open on canvas", canvas, { title: "its graph, with the seed that was drawn" }),
    input && button("Use as input", input, { title: "begin a new picture from this one" }),
    again && button("Another seed", again, { title: "run its graph again with another seed" }),
    python && button("Copy as Python", copy, { title: "the code that makes it, with the seed that was drawn" }),
  ].filter((one) => !!one);
  return parts.length ? element("div", { class: "nbp-bar nbp-remix" }, ...parts, copied) : null;
}
