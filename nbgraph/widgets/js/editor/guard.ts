// Keeps what is typed in the editor from reaching the notebook, where `x` would cut the cell and the editor with it.
// Lumino looks for the attribute on the focused element first, so it must stand on each element that gets the focus.

const ATTRIBUTE = "data-lm-suppress-shortcuts";

export function guard(root: HTMLElement): () => void {
  const mark = (event: FocusEvent): void => {
    if (event.target instanceof Element) event.target.setAttribute(ATTRIBUTE, "true");
  };
  root.setAttribute(ATTRIBUTE, "true");
  root.setAttribute("data-jp-suppress-context-menu", "");
  root.addEventListener("focusin", mark);
  const stop = (event: KeyboardEvent): void => event.stopPropagation();
  root.addEventListener("keydown", stop);
  return () => {
    root.removeEventListener("focusin", mark);
    root.removeEventListener("keydown", stop);
  };
}
