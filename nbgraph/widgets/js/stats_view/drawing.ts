// A plot of the kernel as an element of the page, so that it has its font and the colours of its theme.

/** The elements and attributes that plots are made of; nothing else of a text becomes a part of the page. */
const ELEMENTS = new Set(["svg", "g", "path", "defs", "use", "text", "tspan", "clipPath", "rect", "pattern"]);
const REFUSED = /^on|^style$/i;

/** The element of an SVG text; null where it is none. */
export function drawing(text: string): SVGSVGElement | null {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (parsed.localName !== "svg") return null;
  clean(parsed);
  const made = document.importNode(parsed, true) as unknown as SVGSVGElement;
  made.removeAttribute("width");
  made.removeAttribute("height");
  return made;
}

function clean(element: Element): void {
  for (const child of [...element.children]) {
    if (ELEMENTS.has(child.localName)) clean(child);
    else child.remove();
  }
  for (const { name, value } of [...element.attributes]) {
    if (name === "style") element.setAttribute(name, value.replace(/url\((?!#)[^)]*\)/gi, "none"));
    else if (REFUSED.test(name)) element.removeAttribute(name);
    else if (/href$/i.test(name) && !value.startsWith("#")) element.removeAttribute(name);
  }
}
