// Puts a panel on the page.
import { guard } from "./editor/guard.ts";

/** A panel with an element of its own; `close` ends what it listens to. */
export interface Card {
  readonly root: HTMLElement;
  close(): void;
}

/** Show a card in an element, and keep its keys from the notebook; returns what closes it and takes it off the page. */
export function mounted(card: Card, el: HTMLElement): () => void {
  const release = guard(card.root);
  el.append(card.root);
  return () => {
    release();
    card.close();
    card.root.remove();
  };
}
