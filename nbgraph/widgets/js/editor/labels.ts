// What inputs are called on the canvas, and the span a value bar covers where the limits are too wide to be of use.
import type { InputType } from "./schema.ts";

const LABELS: Record<string, string> = {
  cfg_scale: "Guidance",
  a: "A",
  b: "B",
  x: "X",
  y: "Y",
  denoising_start: "Start at",
  denoising_end: "End at",
  lora: "LoRA",
  t2i_adapter: "T2I-Adapter",
  ip_adapter: "IP-Adapter",
};
/** Short words for what is folded. */
const SHORT: Record<string, string> = {
  denoise_mask: "mask",
  denoising_start: "start",
  denoising_end: "end",
  t2i_adapter: "T2I-Adapter",
  ip_adapter: "IP-Adapter",
};
const SPANS: Record<string, [number, number]> = { steps: [1, 60], cfg_scale: [0, 20] };
const MAX_SPAN = 4096;

/** The label of a field: the schema's title, or its name as words. */
export function labelOf(spec: InputType): string {
  if (spec.label) return spec.label;
  const words = spec.name.replaceAll("_", " ");
  return LABELS[spec.name] ?? words.charAt(0).toUpperCase() + words.slice(1);
}

export const shortLabel = (name: string): string => SHORT[name] ?? name.replaceAll("_", " ");

/** What a tooltip says of an input: its id, type, limits and description. */
export function hintOf(spec: InputType, limits = ""): string {
  const first = `${spec.name}: ${spec.type.length > 60 ? `${spec.type.slice(0, 57)}…` : spec.type}`;
  return [first, limits, spec.description].filter(Boolean).join("\n");
}

/** From where to where the value bar of a number goes; null where it has no useful limits. */
export function spanOf(spec: InputType): [number, number] | null {
  if (SPANS[spec.name]) return SPANS[spec.name];
  const low = spec.min ?? spec.above;
  const high = spec.max ?? spec.below;
  if (typeof low !== "number" || typeof high !== "number" || high - low > MAX_SPAN) return null;
  return [low, high];
}

/** One step of a number: by the wheel, an arrow, or some pixels of scrubbing. */
export function stepOf(spec: InputType): number {
  if (spec.step) return spec.step;
  if (spec.control !== "float") return 1;
  const span = spanOf(spec);
  return span && span[1] - span[0] <= 2 ? 0.01 : 0.1;
}
