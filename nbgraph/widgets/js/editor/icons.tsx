// Small drawings: one for each category of nodes, and those of the toolbar.

const CATEGORIES: Record<string, [colour: string, path: string]> = {
  model: ["#a5713a", "M8 3.4 12.2 5.7v4.6L8 12.6l-4.2-2.3V5.7zM3.9 5.8 8 8l4.1-2.2M8 8v4.5"],
  conditioning: ["#808a2c", "M4 4.5h8M8 4.5v7.4"],
  latents: ["#3e7fa6", "M2.8 8c1-3.4 2.4-3.4 3.4 0s2.4 3.4 3.4 0 2.4-3.4 3.6 0"],
  image: ["#338a43", "M3.4 4h9.2v8H3.4zM3.6 11l3-3.2 2.2 2.3 1.4-1.2 2.2 2"],
  mask: ["#4f8a7c", "M8 3.6a4.4 4.4 0 1 0 0 8.8zM8 3.6a4.4 4.4 0 0 1 0 8.8"],
  inpaint: ["#2f8f8b", "M4.2 11.8c.2-2 1-2.6 2-2.4l5-5.2 1 1-5.2 5c.2 1-.6 1.8-2.8 1.6z"],
  math: ["#5b6fb5", "M8 3.8v5M5.5 6.3h5M5.5 12h5"],
  primitives: ["#6b7280", "M8 4.2 11.8 8 8 11.8 4.2 8z"],
  collections: ["#7a62b8", "M4 4.8h8M4 8h8M4 11.2h8"],
  library: ["#56677a", "M3.4 4.8h3.4v2.6H3.4zM9.2 8.6h3.4v2.6H9.2zM6.8 6.1H8v3.8h1.2"],
  "control flow": ["#b04f86", "M4.2 8a3.8 3.8 0 1 1 1.2 2.8M5.4 13v-2.3h2.3"],
  strings: ["#96702a", "M4 5.2h8M4 8h8M4 10.8h5"],
  metadata: ["#5f7382", "M4.2 4h5.2l2.6 2.6V12H4.2zM9.2 4v2.8H12"],
};
const OTHER: [string, string] = ["", "M8 4.2v7.6M4.2 8h7.6"];

export function categoryColour(category: string): string {
  return CATEGORIES[category]?.[0] ?? hued(category);
}

/** A colour for a word, always the same. */
export function hued(word: string): string {
  let hash = 7;
  for (const character of word) hash = (hash * 31 + character.charCodeAt(0)) % 360;
  return `hsl(${hash} 42% 42%)`;
}

export function CategoryIcon({ category }: { category: string }) {
  const [, path] = CATEGORIES[category] ?? OTHER;
  return (
    <svg className="nbg-icon" viewBox="0 0 16 16" aria-hidden="true" style={{ background: categoryColour(category) }}>
      <path d={path} />
    </svg>
  );
}

const SIGNS = {
  run: "M5 3.5v9l7.5-4.5z",
  stop: "M4.5 4.5h7v7h-7z",
  plus: "M8 3.5v9M3.5 8h9",
  undo: "M6 3.5 3 6.5l3 3M3.2 6.5H9a3.5 3.5 0 0 1 0 7H6.5",
  redo: "M10 3.5l3 3-3 3M12.8 6.5H7a3.5 3.5 0 0 0 0 7h2.5",
  full: "M3.5 6v-2.5H6M10 3.5h2.5V6M12.5 10v2.5H10M6 12.5H3.5V10",
  small: "M6 3.5V6H3.5M12.5 6H10V3.5M10 12.5V10h2.5M3.5 10H6v2.5",
  down: "M4.5 6.5 8 10l3.5-3.5",
  more: "M4 8h.01M8 8h.01M12 8h.01",
  close: "M4.5 4.5l7 7M11.5 4.5l-7 7",
  code: "M5.8 4.8 2.8 8l3 3.2M10.2 4.8l3 3.2-3 3.2M8.9 3.6 7.1 12.4",
  map: "M3.5 4.5 6.5 3.3l3 1.4 3-1.2v8l-3 1.2-3-1.4-3 1.2zM6.5 3.5v7.8M9.5 4.8v7.7",
} as const;
const FILLED = new Set<Sign>(["run", "stop"]);

export type Sign = keyof typeof SIGNS;

export function Icon({ sign }: { sign: Sign }) {
  return (
    <svg className={`nbg-sign${FILLED.has(sign) ? " nbg-filled" : ""}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={SIGNS[sign]} />
    </svg>
  );
}
