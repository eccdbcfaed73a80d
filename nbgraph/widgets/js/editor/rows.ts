// Which inputs and outputs of a node are shown, and where: ports on rows, values as fields, the rest folded away.
import { type GraphDocument, type GraphNode, type Input, linksOf } from "./document.ts";
import type { InputType, NodeType } from "./schema.ts";

export interface Rows {
  /** Inputs that have a port on a row of their own. */
  ports: InputType[];
  outputs: NodeType["outputs"];
  /** Inputs whose value is edited on the node. */
  fields: InputType[];
  /** Inputs nobody has used yet, and that may be left alone. */
  folded: InputType[];
  foldedOutputs: NodeType["outputs"];
}

/** Inputs that may be left out, and mostly are not. */
const USUAL = new Set(["negative", "noise"]);
/** Fields that people set most, whose value the model chooses where they are left out. */
const MAIN = new Set(["steps", "cfg_scale"]);
const MAX_FIELDS = 6;
const MAX_LINKS = 3;
/** Numbers that come along with a result. */
const BY_THE_WAY = new Set(["width", "height", "seed"]);
const ALWAYS = new Set(["seed", "model", "image", "text", "choice"]);

export const isLinked = (input: Input | undefined): boolean => linksOf(input).length > 0;

/** `used` are the outputs with an edge, as `usedOutputs` tells; `open` shows what is folded too. */
export function rowsOf(node: GraphNode, type: NodeType, used: string, open: boolean): Rows {
  const linked = new Set(used.split("\n"));
  const rows: Rows = { ports: [], outputs: [], fields: [], folded: [], foldedOutputs: [] };
  for (const spec of type.inputs) {
    const input = node.inputs[spec.name];
    if (isLinked(input)) rows.ports.push(spec);
    else if (spec.control === "none")
      (spec.required || USUAL.has(spec.name) || open ? rows.ports : rows.folded).push(spec);
    else if (open || isShown(spec, input, rows.fields.length)) rows.fields.push(spec);
    else rows.folded.push(spec);
  }
  if (!rows.ports.length) unfoldLinks(rows);
  const main = type.outputs.some((one) => !BY_THE_WAY.has(one.name));
  for (const output of type.outputs) {
    const aside = main && BY_THE_WAY.has(output.name) && !linked.has(output.name);
    (aside && !open ? rows.foldedOutputs : rows.outputs).push(output);
  }
  return rows;
}

/** A node that lives of its edges shows where they go. */
function unfoldLinks(rows: Rows): void {
  rows.ports = rows.folded.filter((spec) => spec.control === "none").slice(0, MAX_LINKS);
  rows.folded = rows.folded.filter((spec) => !rows.ports.includes(spec));
}

function isShown(spec: InputType, input: Input | undefined, before: number): boolean {
  const value = input && "value" in input ? input.value : spec.default;
  if (!isDefault(value, spec.default)) return true;
  if (MAIN.has(spec.name)) return true;
  // A choice that may be left to the program says nothing until it is made.
  if ((spec.control === "choice" || spec.control === "model") && spec.optional && value == null) return false;
  if (spec.required || ALWAYS.has(spec.control)) return true;
  return !spec.rare && !(spec.optional && value === null) && before < MAX_FIELDS;
}

const isDefault = (value: unknown, usual: unknown): boolean => JSON.stringify(value) === JSON.stringify(usual);

const known = new WeakMap<GraphDocument, Map<string, string>>();

/** The outputs of a node with an edge, one a line: a text, so that it is equal where they are. */
export function usedOutputs(document: GraphDocument, id: string): string {
  const found = known.get(document) ?? allUsed(document);
  known.set(document, found);
  return found.get(id) ?? "";
}

function allUsed(document: GraphDocument): Map<string, string> {
  const outputs = new Map<string, Set<string>>();
  for (const node of document.nodes.values()) {
    for (const input of Object.values(node.inputs)) {
      for (const [source, output] of linksOf(input)) {
        const own = outputs.get(source) ?? new Set();
        outputs.set(source, own.add(output));
      }
    }
  }
  return new Map([...outputs].map(([id, names]) => [id, [...names].sort().join("\n")]));
}

/** Whether a node gives only what pictures should not show. */
export function isNegative(document: GraphDocument, id: string): boolean {
  const found = uses.get(document) ?? allUses(document);
  uses.set(document, found);
  return found.get(id) === true;
}

const uses = new WeakMap<GraphDocument, Map<string, boolean>>();

function allUses(document: GraphDocument): Map<string, boolean> {
  const found = new Map<string, boolean>();
  for (const node of document.nodes.values()) {
    for (const [field, input] of Object.entries(node.inputs)) {
      for (const [source] of linksOf(input)) found.set(source, (found.get(source) ?? true) && field === "negative");
    }
  }
  return found;
}

/** The words under the fields: "+ latents, mask, control" or "2 more outputs". */
export function foldText(rows: Rows, short: (name: string) => string): string {
  const inputs = rows.folded.map((one) => short(one.name)).join(", ");
  const outputs = rows.foldedOutputs.length;
  if (inputs) return inputs;
  return outputs ? `${outputs} more ${outputs === 1 ? "output" : "outputs"}` : "";
}
