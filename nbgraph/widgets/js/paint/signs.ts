// Small drawings of the tools. The paths are constants of this file; nothing that came from a person is drawn here.

const SIGNS = {
  brush: "M3.2 12.8c.2-2.2 1.1-3 2.3-2.8L11.9 3.6l.9.9-6.4 6.4c.2 1.2-.8 1.9-3.2 1.9z",
  eraser: "M6.2 12.5h6.3M8.9 3.6l3.6 3.6-5.3 5.3H5.4L2.9 10zM5.7 6.8l3.7 3.7",
  hand: "M5.2 8V4.6a.9.9 0 0 1 1.8 0V7.4M7 7V3.7a.9.9 0 0 1 1.8 0V7M8.8 7.2V4.4a.9.9 0 0 1 1.8 0V8M10.6 8V6a.8.8 0 0 1 1.7 0v3.6a3.4 3.4 0 0 1-6.3 1.8L3.6 8.6a.9.9 0 0 1 1.5-1l.9.9",
  frame: "M5.2 5.2h5.6v5.6H5.2zM8 2.2v1.6M8 12.2v1.6M2.2 8h1.6M12.2 8h1.6",
  undo: "M6 3.5 3 6.5l3 3M3.2 6.5H9a3.5 3.5 0 0 1 0 7H6.5",
  redo: "M10 3.5l3 3-3 3M12.8 6.5H7a3.5 3.5 0 0 0 0 7h2.5",
  minus: "M4 8h8",
  plus: "M8 4v8M4 8h8",
  mask: "M8 3.4a4.6 4.6 0 1 0 0 9.2zM8 3.4a4.6 4.6 0 0 1 0 9.2",
} as const;

export type Sign = keyof typeof SIGNS;
const SVG = "http://www.w3.org/2000/svg";

export function sign(name: Sign): SVGElement {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", "0 0 16 16");
  made.setAttribute("aria-hidden", "true");
  made.setAttribute("class", "nbm-sign");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SIGNS[name]);
  made.append(path);
  return made;
}
