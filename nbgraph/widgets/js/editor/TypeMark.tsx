// A type as colour, letter and shape: a round port for one thing, a square one for a list. The letter shows on hover.
import { hued } from "./icons.tsx";
import { shortType } from "./schema.ts";

const KNOWN: Record<string, [letter: string, colour: string]> = {
  int: ["#", "#3f78b8"],
  float: [".5", "#2f8a99"],
  str: ["T", "#a5812a"],
  bool: ["?", "#b0508a"],
  Image: ["I", "#3a9a4b"],
  Latents: ["L", "#9a57c9"],
  Conditioning: ["C", "#d9772e"],
  UNet: ["U", "#5b7bb0"],
  Clip: ["Cl", "#b08a3a"],
  Vae: ["V", "#c2475a"],
  Model: ["M", "#6a7a8c"],
  Scheduler: ["S", "#5a8f6a"],
  DenoiseMask: ["K", "#4f9a8a"],
  Any: ["*", "#7b8794"],
};

export function TypeMark({ type }: { type: string }) {
  const { base, list } = shortType(type);
  const letter = KNOWN[base.startsWith("'") ? "str" : base]?.[0] ?? (base.slice(0, 1).toUpperCase() || "*");
  return (
    <span
      className={`nbg-mark${list ? " nbg-mark-list" : ""}`}
      style={{ background: typeColour(type) }}
      aria-hidden="true"
    >
      <i>{letter}</i>
    </span>
  );
}

/** The colour of a type, of its ports and wires. */
export function typeColour(type: string | undefined): string {
  if (!type) return "#7b8794";
  const { base } = shortType(type);
  return KNOWN[base.startsWith("'") ? "str" : base]?.[1] ?? hued(base);
}
