// Whether the page around is dark: JupyterLab says so on the body, other hosts by a class, a scheme, or their background.

const NAMES = ["data-jp-theme-light", "data-theme", "class", "style"];

export function isDark(element: Element): boolean {
  const { body, documentElement } = document;
  const said = body.getAttribute("data-jp-theme-light");
  if (said !== null) return said === "false";
  for (const one of [documentElement, body]) {
    const word = `${one.className} ${one.getAttribute("data-theme") ?? ""} ${one.getAttribute("data-vscode-theme-kind") ?? ""}`;
    if (/\bdark\b/.test(word)) return true;
    if (/\blight\b/.test(word)) return false;
  }
  return shadeBehind(element) < 0.4;
}

/** The lightness, 0 to 1, of the first opaque background behind an element; 1 where there is none. */
function shadeBehind(element: Element): number {
  for (let one: Element | null = element.parentElement; one; one = one.parentElement) {
    const [r, g, b, a = 1] = (getComputedStyle(one).backgroundColor.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    if (a > 0.5) return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
  }
  return 1;
}

/** Keep the class `nbg-dark` on an element as the theme of the page is; returns a function that stops it. */
export function followTheme(element: Element): () => void {
  const look = (): void => void element.classList.toggle("nbg-dark", isDark(element));
  look();
  const observer = new MutationObserver(look);
  for (const one of [document.documentElement, document.body]) {
    observer.observe(one, { attributes: true, attributeFilter: NAMES });
  }
  return () => observer.disconnect();
}
