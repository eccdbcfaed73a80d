// Keeps what is typed in the editor from reaching the notebook, where `x` would cut the cell and the editor with it.
// Lumino looks for the attribute on the focused element first, so it must stand on each element that gets the focus.

const ATTRIBUTE = "data-lm-suppress-shortcuts";
/** React Flow hears these on the window: with Ctrl one selects several nodes, with Shift all within a box. */
const MODIFIERS = new Set(["Control", "Meta", "Shift", "Alt"]);

const isSave = (event: KeyboardEvent): boolean =>
  (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s";

/** Saving stays the notebook's: the marks are taken off until it has heard the keys. */
function letSavePass(root: HTMLElement, saves: () => void): (event: KeyboardEvent) => void {
  return (event) => {
    if (!isSave(event) || !event.composedPath().includes(root)) return;
    saves();
    const marked = [root, ...root.querySelectorAll(`[${ATTRIBUTE}]`)];
    for (const element of marked) element.removeAttribute(ATTRIBUTE);
    setTimeout(() => {
      for (const element of marked) element.setAttribute(ATTRIBUTE, "true");
    });
  };
}

/** `saves` is called when the person saves the notebook from within. */
export function guard(root: HTMLElement, saves = (): void => {}): () => void {
  const mark = (event: FocusEvent): void => {
    if (event.target instanceof Element) event.target.setAttribute(ATTRIBUTE, "true");
  };
  root.setAttribute(ATTRIBUTE, "true");
  root.setAttribute("data-jp-suppress-context-menu", "");
  root.addEventListener("focusin", mark);
  const save = letSavePass(root, saves);
  window.addEventListener("keydown", save, true);
  const stop = (event: KeyboardEvent): void => {
    if (!MODIFIERS.has(event.key) && !isSave(event)) event.stopPropagation();
  };
  root.addEventListener("keydown", stop);
  return () => {
    window.removeEventListener("keydown", save, true);
    root.removeEventListener("focusin", mark);
    root.removeEventListener("keydown", stop);
  };
}
