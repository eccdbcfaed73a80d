// What a node needs to run, made and wired: a model for its UNet, a prompt for its conditioning, noise for a denoiser.
import type { Change } from "./changes.ts";
import { addNode, connect, freeId } from "./commands.ts";
import { reaches, whyNot } from "./connect.ts";
import { apply, type GraphDocument, linksOf } from "./document.ts";
import { expected, HEAD, WIDTH } from "./expected.ts";
import { GAP_ACROSS, GAP_DOWN } from "./layout.ts";
import { usedOutputs } from "./rows.ts";
import { fits, type InputType, outputType, type Schema, shortType, typeOf } from "./schema.ts";

export interface Context {
  document: GraphDocument;
  schema: Schema;
  models: string[];
}

/** The node type that gives a type of input where nothing else is known of it. */
const MAKERS: Record<string, string> = {
  UNet: "model_loader",
  Clip: "model_loader",
  Vae: "model_loader",
  Conditioning: "prompt",
  Latents: "denoise_latents",
  Image: "image",
  DenoiseMask: "create_denoise_mask",
};
/** One node serves many others with these. */
const SHARED = new Set(["UNet", "Clip", "Vae"]);
/** Inputs that may be left out, and without which the node does not do what it was added for. */
const WANTED: Record<string, string[]> = { denoise_latents: ["negative", "noise"] };
const NAMES: Record<string, string> = { negative: "negative_prompt" };
const FAVOURITE = "emoji";
const DEEP = 6;

/** The changes that give an input what it misses: a node that is there, or a new one with what that needs in turn. */
export function supply(context: Context, node: string, field: string): Change[] {
  return supplied(context, node, field, DEEP).changes;
}

/** The type of node that would be added for an input, or undefined. */
export function makerOf(schema: Schema, spec: InputType): string | undefined {
  const name = spec.name === "noise" ? "noise" : MAKERS[shortType(spec.type).base.split(" | ")[0]];
  const makes = (type: string): boolean => schema.types[type]?.outputs.some((one) => fits(schema, one.type, spec.type));
  return name && makes(name) ? name : Object.keys(schema.types).find((type) => type !== "graph" && makes(type));
}

interface Step {
  document: GraphDocument;
  changes: Change[];
}

function supplied(context: Context, id: string, field: string, deep: number): Step {
  const { document, schema } = context;
  const node = document.nodes.get(id);
  const spec = node && typeOf(schema, node)?.inputs.find((one) => one.name === field);
  if (!spec || linksOf(node.inputs[field]).length) return { document, changes: [] };
  const there = existing(document, schema, id, spec);
  if (there) return then({ document, changes: [] }, connect(document, schema, { ...there, target: id, field }));
  const type = makerOf(schema, spec);
  if (!type || !deep) return { document, changes: [] };
  const made = schema.types[type];
  const output = made.outputs.find((one) => fits(schema, one.type, spec.type))!.name;
  const own = freeId(document, NAMES[field] ?? type);
  const { x, y } = besides(document, schema, id);
  let step = then({ document, changes: [] }, [...addNode(own, type, x, y), ...modelFor(context, own, type)]);
  step = then(step, connect(step.document, schema, { source: own, output, target: id, field }));
  const wanted = made.inputs.filter((one) => (one.required && one.control === "none") || isWanted(type, one.name));
  for (const one of wanted) {
    const inner = supplied({ ...context, document: step.document }, own, one.name, deep - 1);
    step = { document: inner.document, changes: [...step.changes, ...inner.changes] };
  }
  return step;
}

/** Whether a node of a type does not do what it is for without this input, though it may be left out. */
export const isWanted = (type: string, field: string): boolean => WANTED[type]?.includes(field) ?? false;

const then = (step: Step, changes: Change[]): Step => ({
  document: apply(step.document, changes),
  changes: [...step.changes, ...changes],
});

export function modelFor({ models }: Context, id: string, type: string): Change[] {
  const model = models.includes(FAVOURITE) ? FAVOURITE : models[0];
  return type === "model_loader" && model ? [["input", id, "model", { value: model }]] : [];
}

/** An output on the canvas that fits: of a model that others share, or one that nobody uses yet. */
function existing(document: GraphDocument, schema: Schema, target: string, spec: InputType) {
  const found: { source: string; output: string; far: boolean }[] = [];
  const shared = SHARED.has(shortType(spec.type).base);
  for (const node of document.nodes.values()) {
    const type = typeOf(schema, node);
    for (const { name } of type?.outputs ?? []) {
      const ends = { source: node.id, output: name, target, field: spec.name };
      const given = outputType(schema, node, name);
      if (!given || given === "Any" || shortType(given).base !== shortType(spec.type).base) continue;
      const free = !usedOutputs(document, node.id).split("\n").includes(name);
      const right = (spec.name === "noise") === (node.type === "noise");
      if (!shared && !(free && right)) continue;
      if (whyNot(document, schema, ends) === "") found.push({ ...ends, far: !reaches(document, node.id, target) });
    }
  }
  const best = found.find((one) => !one.far) ?? found[0];
  return best && { source: best.source, output: best.output };
}

/** A free place left of a node. */
function besides(document: GraphDocument, schema: Schema, id: string): { x: number; y: number } {
  const node = document.nodes.get(id)!;
  const boxes = [...document.nodes.values()].map((one) => {
    const { height } = expected(one, typeOf(schema, one)).measured;
    return { x: one.layout.x ?? 0, y: one.layout.y ?? 0, height };
  });
  const x = (node.layout.x ?? 0) - WIDTH - GAP_ACROSS;
  let y = node.layout.y ?? 0;
  const height = HEAD + 140;
  const overlaps = (): number | undefined => {
    const hit = boxes.find(
      (box) => Math.abs(box.x - x) < WIDTH + 20 && y < box.y + box.height + GAP_DOWN && y + height > box.y - GAP_DOWN,
    );
    return hit && hit.y + hit.height + GAP_DOWN;
  };
  for (let next = overlaps(); next !== undefined; next = overlaps()) y = next + 1;
  return { x, y };
}
