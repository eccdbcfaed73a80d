// A type as colour, letter and shape: a round mark for one thing, a square one for a list.
import { shortType } from "./schema.ts";

const KNOWN: Record<string, [string, string]> = {
  int: ["#", "#2563a8"],
  float: [".5", "#1f7a8c"],
  str: ["T", "#8a6d1b"],
  bool: ["?", "#a23b72"],
  Image: ["I", "#2f7d32"],
  Latents: ["L", "#8e44ad"],
  Conditioning: ["C", "#b3541e"],
  UNet: ["U", "#5b6c8f"],
  Clip: ["Cl", "#96712f"],
  Vae: ["V", "#b03a4a"],
  Model: ["M", "#4a5a6a"],
  Any: ["*", "#6b7280"],
};

export function TypeMark({ type }: { type: string }) {
  const { base, list } = shortType(type);
  const [letter, colour] = KNOWN[base.startsWith("'") ? "str" : base] ?? [
    base.slice(0, 1).toUpperCase() || "*",
    colourOf(base),
  ];
  return (
    <span className={`nbg-mark${list ? " nbg-mark-list" : ""}`} style={{ background: colour }} aria-hidden="true">
      {letter}
    </span>
  );
}

/** A colour for a word, always the same. */
export function colourOf(word: string): string {
  let hash = 7;
  for (const character of word) hash = (hash * 31 + character.charCodeAt(0)) % 360;
  return `hsl(${hash} 45% 40%)`;
}

export function edgeColour(type: string | undefined): string {
  if (!type) return "#7b8794";
  const { base } = shortType(type);
  return KNOWN[base]?.[1] ?? colourOf(base);
}
