// Keys among the tiles of a page: arrows move, Shift with them ticks on the way, Space ticks, Ctrl+A ticks the page.

/** What the keys do; places are those of tiles on the page. */
export interface GridActions {
  choose: (place: number, range: boolean) => void;
  choosePage: () => void;
  /** The focus would leave the page at its beginning (-1) or end (1). */
  turn: (by: number) => void;
}

/** Listen to the keys within a grid of tiles, whose first part is the one that opens the picture. */
export function listenToGrid(grid: HTMLElement, actions: GridActions): void {
  grid.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a") {
      event.preventDefault();
      actions.choosePage();
      return;
    }
    const tiles = [...grid.querySelectorAll<HTMLElement>(".nbp-tile")];
    const at = tiles.findIndex((one) => one.contains(event.target as Node));
    if (at < 0) return;
    const opens = (event.target as Element).classList.contains("nbp-thumb");
    if (event.key === " " && opens) {
      event.preventDefault();
      actions.choose(at, event.shiftKey);
      return;
    }
    const to = target(event.key, at, tiles);
    if (to === null) return;
    event.preventDefault();
    if (to < 0 || to >= tiles.length) {
      if (!event.shiftKey) actions.turn(to < 0 ? -1 : 1);
      return;
    }
    if (event.shiftKey) actions.choose(to, true);
    grid.querySelectorAll<HTMLElement>(".nbp-thumb")[to]?.focus();
  });
}

/** The place that a key leads to from a tile, beyond the page where it would leave it; null for other keys. */
function target(key: string, at: number, tiles: HTMLElement[]): number | null {
  switch (key) {
    case "ArrowLeft":
      return at - 1;
    case "ArrowRight":
      return at + 1;
    case "Home":
      return 0;
    case "End":
      return tiles.length - 1;
    case "ArrowUp":
    case "ArrowDown": {
      const across = columns(tiles);
      const to = key === "ArrowUp" ? at - across : at + across;
      // From the last row but one, whose end may be longer than the last row, Down goes to the last tile.
      return to >= tiles.length && at < tiles.length - 1 && rowOf(at, across) < rowOf(tiles.length - 1, across)
        ? tiles.length - 1
        : to;
    }
    default:
      return null;
  }
}

const rowOf = (place: number, across: number): number => Math.floor(place / across);

/** How many tiles are beside each other. */
function columns(tiles: HTMLElement[]): number {
  const top = tiles[0].offsetTop;
  const next = tiles.findIndex((one) => one.offsetTop > top);
  return next < 0 ? tiles.length : next;
}
