// Which key does what: the habits of ComfyUI and InvokeAI.

export type Command =
  | "add"
  | "delete"
  | "copy"
  | "cut"
  | "paste"
  | "pasteLinked"
  | "duplicate"
  | "selectAll"
  | "undo"
  | "redo"
  | "run"
  | "runFront"
  | "cancel"
  | "mute"
  | "bypass"
  | "collapse"
  | "frame"
  | "comment"
  | "subgraph"
  | "open"
  | "layout"
  | "fit"
  | "minimap"
  | "zoomIn"
  | "zoomOut"
  | "escape"
  | "rename"
  | "left"
  | "right"
  | "up"
  | "down"
  | "refresh"
  | "runTo"
  | "code"
  | "keys";

const KEYS: Record<string, Command> = {
  Space: "add",
  "Shift+A": "add",
  Delete: "delete",
  Backspace: "delete",
  "Mod+C": "copy",
  "Mod+X": "cut",
  "Mod+V": "paste",
  "Mod+Shift+V": "pasteLinked",
  "Mod+D": "duplicate",
  "Mod+A": "selectAll",
  "Mod+Z": "undo",
  "Mod+Shift+Z": "redo",
  "Mod+Y": "redo",
  "Mod+Enter": "run",
  "Mod+Shift+Enter": "runFront",
  "Mod+Alt+Enter": "cancel",
  "Mod+M": "mute",
  "Mod+B": "bypass",
  "Alt+C": "collapse",
  "Mod+G": "frame",
  "Shift+C": "comment",
  "Mod+Shift+E": "subgraph",
  Enter: "open",
  L: "layout",
  ".": "fit",
  "Shift+.": "fit",
  "Alt+M": "minimap",
  "Alt+P": "code",
  "Alt+=": "zoomIn",
  "Alt+-": "zoomOut",
  Escape: "escape",
  F2: "rename",
  R: "refresh",
  "Mod+Shift+R": "runTo",
  "Shift+?": "keys",
  "?": "keys",
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};
/** How a command's key is written: the first of those it has. */
export function keysOf(command: Command): string {
  const key = Object.keys(KEYS).find((one) => KEYS[one] === command) ?? "";
  const signs: Record<string, string> = { ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", Delete: "Del" };
  const mod = /mac/i.test(globalThis.navigator?.platform ?? "") ? "⌘" : "Ctrl";
  return key
    .split("+")
    .map((part) => (part === "Mod" ? mod : (signs[part] ?? part)))
    .join(" ");
}

const WHILE_TYPING = new Set<Command>(["run", "runFront", "cancel", "escape"]);
const CONTROLS = new Set(["INPUT", "TEXTAREA", "SELECT"]);

interface Press {
  key: string;
  code: string;
  ctrlKey: boolean;
  metaKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
}

/** The command of a key press, or null. `tag` is the element that has the focus: in a field most keys are text. */
export function commandOf(press: Press, tag: string): Command | null {
  const letter = /^Key([A-Z])$/.exec(press.code)?.[1];
  const key = press.key === " " ? "Space" : (letter ?? press.key);
  const name = `${press.ctrlKey || press.metaKey ? "Mod+" : ""}${press.altKey ? "Alt+" : ""}${press.shiftKey ? "Shift+" : ""}${key}`;
  const command = KEYS[name] ?? (key.startsWith("Arrow") && press.shiftKey ? KEYS[key] : undefined);
  if (!command) return null;
  if (CONTROLS.has(tag) && !WHILE_TYPING.has(command)) return null;
  if (tag === "BUTTON" && (command === "open" || command === "add")) return null;
  return command;
}
