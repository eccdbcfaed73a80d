// Everything by keys: what each does, and the list of them that the widget shows.

export interface Keyboard {
  move(dx: number, dy: number, fine: boolean): void;
  /** The brush goes down on the image, or is lifted. */
  press(down: boolean): void;
  /** The brush stays down while it is moved, without a key that is held. */
  toggleDown(): void;
  size(factor: number): void;
  feather(by: number): void;
  tool(name: "brush" | "eraser" | "hand" | "frame"): void;
  undo(): void;
  redo(): void;
  fill(): void;
  clear(): void;
  invert(): void;
  zoom(factor: number): void;
  fit(): void;
  actualSize(): void;
  bare(): void;
  help(): void;
  use(): void;
  leave(): void;
}

export const KEYS: [keys: string, what: string][] = [
  ["← → ↑ ↓", "move the brush (with Shift: one pixel)"],
  ["Space, Enter", "paint; hold it and move to draw a line"],
  ["D", "keep the brush down while it moves, or lift it"],
  ["[ ]", "smaller, larger brush"],
  ["{ }", "less, more feather"],
  ["B, E, H, F", "brush, eraser, hand, frame"],
  ["Ctrl+Z, Ctrl+Y", "undo, redo"],
  ["G", "fill: paint everything white"],
  ["Delete", "clear: paint everything black"],
  ["I", "invert"],
  ["+ −", "zoom in, out"],
  ["0, 1", "fit into view, one pixel as one"],
  ["M", "show the mask itself"],
  ["Ctrl+Enter", "use the mask"],
  ["Shift + click", "straight line from the last stroke"],
  ["Two fingers", "zoom and move"],
  ["Middle button", "move"],
];

const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
const STEP = 1.25;

/** Do what a key says; returns whether it says anything. */
export function keyDown(event: KeyboardEvent, on: Keyboard): boolean {
  if (event.ctrlKey || event.metaKey) return withControl(event, on);
  if (event.altKey) return false;
  const arrow = ARROWS[event.key];
  if (arrow) {
    on.move(...arrow, event.shiftKey);
    return true;
  }
  if (event.key === " " || event.key === "Enter") {
    if (!event.repeat) on.press(true);
    return true;
  }
  const plain = plainKeys(on)[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  plain?.();
  return plain !== undefined;
}

/** The key that paints was let go. */
export function keyUp(event: KeyboardEvent, on: Keyboard): void {
  if (event.key === " " || event.key === "Enter") on.press(false);
}

function plainKeys(on: Keyboard): Record<string, () => void> {
  return {
    d: () => on.toggleDown(),
    "[": () => on.size(1 / STEP),
    "]": () => on.size(STEP),
    "{": () => on.feather(-0.1),
    "}": () => on.feather(0.1),
    b: () => on.tool("brush"),
    e: () => on.tool("eraser"),
    h: () => on.tool("hand"),
    f: () => on.tool("frame"),
    g: () => on.fill(),
    Delete: () => on.clear(),
    Backspace: () => on.clear(),
    i: () => on.invert(),
    "+": () => on.zoom(STEP),
    "=": () => on.zoom(STEP),
    "-": () => on.zoom(1 / STEP),
    "0": () => on.fit(),
    "1": () => on.actualSize(),
    m: () => on.bare(),
    "?": () => on.help(),
    Escape: () => on.leave(),
  };
}

function withControl(event: KeyboardEvent, on: Keyboard): boolean {
  const key = event.key.toLowerCase();
  if (key === "z") event.shiftKey ? on.redo() : on.undo();
  else if (key === "y") on.redo();
  else if (key === "enter") on.use();
  else return false;
  return true;
}
