// Masks on the canvas: on which image the mask of a node is painted, and where the mask goes.

import type { Used } from "../paint/session.ts";
import type { Change } from "./changes.ts";
import { addNode, freeId } from "./commands.ts";
import { type GraphDocument, type GraphNode, linksOf } from "./document.ts";
import { type InputType, type Schema, typeOf } from "./schema.ts";
import type { EditorState } from "./state.ts";

/** What is painted: the mask of an input, or one for those that take the image of a node. */
export interface Painting {
  node: string;
  /** The input that takes the mask; null: the inputs that belong to the image of the node. */
  field: string | null;
  /** The names of the image and of the mask to begin with. */
  image: string;
  mask: string | null;
  /** Where the name of the image is typed, so that an extended image can take its place. */
  from: Place | null;
}

interface Place {
  node: string;
  field: string;
}

type Known = Pick<EditorState, "document" | "schema" | "runs" | "results" | "names">;

const BELOW = 280;

export const isMask = (spec: InputType): boolean =>
  spec.control === "image" && /mask/i.test(`${spec.name} ${spec.label ?? ""}`);

const inputsOf = (schema: Schema, node: GraphNode, masks: boolean): InputType[] =>
  typeOf(schema, node)?.inputs.filter((one) => one.control === "image" && isMask(one) === masks) ?? [];

/** What would be painted from the menu of a node; null where there is nothing to paint. */
export function paintingOf(state: Known, id: string): Painting | null {
  const node = state.document.nodes.get(id);
  if (!node) return null;
  const [first] = inputsOf(state.schema, node, true);
  if (first) return paintingAt(state, id, first.name);
  const use = maskUse(state, node);
  return use ? paintingAt(state, use[0].id, use[1].name) : paintingOn(state, id);
}

type Drawn = Pick<EditorState, "document" | "schema">;
type Uses = Map<string, [GraphNode, InputType] | null>;

/** Whether a node is an image that other nodes take as their mask, and as nothing else. */
export const givesMask = (state: Drawn, id: string): boolean => Boolean(maskUses(state).get(id));

const maskUse = (state: Drawn, node: GraphNode): [GraphNode, InputType] | null => maskUses(state).get(node.id) ?? null;

const uses = new WeakMap<GraphDocument, { schema: Schema; found: Uses }>();

/** For each image node the first input that takes it as its mask; null where one takes it as an image. */
function maskUses({ document, schema }: Drawn): Uses {
  const before = uses.get(document);
  if (before?.schema === schema) return before.found;
  const found: Uses = new Map();
  for (const taker of document.nodes.values())
    for (const spec of typeOf(schema, taker)?.inputs ?? [])
      for (const [source] of spec.control === "image" ? linksOf(taker.inputs[spec.name]) : []) {
        if (document.nodes.get(source)?.type !== "image") continue;
        if (!isMask(spec)) found.set(source, null);
        else if (!found.has(source)) found.set(source, [taker, spec]);
      }
  uses.set(document, { schema, found });
  return found;
}

/** Whether a node has an image or takes a mask, so that its menu has the item. */
export function canPaint(state: Known, id: string): boolean {
  const node = state.document.nodes.get(id);
  return node !== undefined && (inputsOf(state.schema, node, true).length > 0 || imageOf(state, node) !== null);
}

/** The mask of an input, painted on the image that belongs to it; null where no image is known yet. */
export function paintingAt(state: Known, id: string, field: string): Painting | null {
  const node = state.document.nodes.get(id)!;
  const found = imageFor(state, node);
  return found && { node: id, field, ...found, mask: maskNow(state.document, node, field) };
}

function paintingOn(state: Known, id: string): Painting | null {
  const node = state.document.nodes.get(id)!;
  const image = imageOf(state, node);
  if (!image) return null;
  const masks = takers(state, id).map(([taker, spec]) => maskNow(state.document, taker, spec.name));
  const from = typed(node, "image") ? { node: id, field: "image" } : null;
  return { node: id, field: null, image, mask: masks.find(Boolean) ?? null, from };
}

/** The changes that give the nodes their mask, and the image itself where its frame was extended: one step of undo. */
export function maskChanges(state: Known, painting: Painting, used: Used): Change[] {
  const { document } = state;
  const node = document.nodes.get(painting.node);
  if (!node) return [];
  const { from } = painting;
  const isNew = used.image !== painting.image && from !== null && document.nodes.has(from.node);
  const image: Change[] = isNew ? [named(from.node, from.field, used.image)] : [];
  if (painting.field && node.inputs[painting.field])
    return [...image, ...give(document, node, painting.field, used.mask)];
  const all = painting.field ? beside(state, node, painting.field) : takers(state, painting.node);
  const known = all.filter(([taker, spec]) => isOwn(document, taker, spec.name));
  if (known.length) return [...image, ...known.flatMap(([taker, spec]) => give(document, taker, spec.name, used.mask))];
  const free = all.filter(([taker, spec]) => !taker.inputs[spec.name]);
  if (painting.field && free.length === 1) return [...image, named(node.id, painting.field, used.mask)];
  const id = freeId(document, "mask");
  const { x = 0, y = 0 } = node.layout;
  const wires = free.map(([taker, spec]): Change => ["input", taker.id, spec.name, { links: [[id, "image"]] }]);
  return [...image, ...addNode(id, "image", x, y + BELOW), named(id, "image", used.mask), ...wires];
}

/** An empty input for a mask, and those of other nodes that take the same image: they share a mask. */
function beside(state: Known, node: GraphNode, field: string): [GraphNode, InputType][] {
  const sources = inputsOf(state.schema, node, false).flatMap((one) => linksOf(node.inputs[one.name]));
  const found = sources.flatMap(([source]) => takers(state, source));
  return found.some(([taker, spec]) => taker.id === node.id && spec.name === field)
    ? found
    : [[node, inputsOf(state.schema, node, true).find((one) => one.name === field)!]];
}

const named = (node: string, field: string, name: string): Change => [
  "input",
  node,
  field,
  { value: { image_name: name } },
];

/** Put a mask where the one before came from: into the image node that gives it, else into the input itself. */
function give(document: GraphDocument, node: GraphNode, field: string, mask: string): Change[] {
  const source = maskNode(document, node, field);
  return [source ? named(source.id, "image", mask) : named(node.id, field, mask)];
}

const isOwn = (document: GraphDocument, node: GraphNode, field: string): boolean =>
  typed(node, field) !== null || maskNode(document, node, field) !== null;

/** The image node that gives an input its mask, be it chosen already or still empty. */
function maskNode(document: GraphDocument, node: GraphNode, field: string): GraphNode | null {
  const [link] = linksOf(node.inputs[field]);
  const source = link && document.nodes.get(link[0]);
  return source?.type === "image" && !linksOf(source.inputs.image).length ? source : null;
}

function maskNow(document: GraphDocument, node: GraphNode, field: string): string | null {
  const source = maskNode(document, node, field);
  return source ? typed(source, "image") : typed(node, field);
}

/** The inputs for masks of the nodes that take the image of a node. */
function takers({ document, schema }: Known, id: string): [GraphNode, InputType][] {
  const found: [GraphNode, InputType][] = [];
  for (const node of document.nodes.values()) {
    const takes = inputsOf(schema, node, false).some((one) =>
      linksOf(node.inputs[one.name]).some(([source]) => source === id),
    );
    if (takes) found.push(...inputsOf(schema, node, true).map((spec): [GraphNode, InputType] => [node, spec]));
  }
  return found;
}

const typed = (node: GraphNode, field: string): string | null => {
  const input = node.inputs[field];
  return input && "value" in input && typeof input.value?.image_name === "string" ? input.value.image_name : null;
};

/** The image that a node gives, as far as it is known: the one it names, or its newest result. */
function imageOf(state: Known, node: GraphNode): string | null {
  const own = node.type === "image" ? typed(node, "image") : null;
  return own ?? (state.names[state.results[node.id]?.[0] ?? ""] || state.runs[node.id]?.image || null);
}

/** The image that a mask of a node belongs to: of the node's own inputs, else of the nearest node that has one. */
function imageFor(state: Known, node: GraphNode): Pick<Painting, "image" | "from"> | null {
  const { document, schema } = state;
  for (const spec of inputsOf(schema, node, false)) {
    const own = typed(node, spec.name);
    if (own) return { image: own, from: { node: node.id, field: spec.name } };
    for (const [id] of linksOf(node.inputs[spec.name])) {
      const source = document.nodes.get(id);
      const image = source && imageOf(state, source);
      if (image) return { image, from: typed(source, "image") ? { node: id, field: "image" } : null };
    }
  }
  return nearest(state, node);
}

function nearest(state: Known, start: GraphNode): Pick<Painting, "image" | "from"> | null {
  const seen = new Set([start.id]);
  for (const id of seen) {
    const node = state.document.nodes.get(id)!;
    const image = id === start.id ? null : imageOf(state, node);
    if (image) return { image, from: typed(node, "image") ? { node: id, field: "image" } : null };
    for (const next of neighbours(state, node)) seen.add(next); // a set is walked in order, what is added included
  }
  return null;
}

/** The nodes before and after a node; wires that carry masks lead to no image that is painted on. */
function neighbours({ document, schema }: Known, node: GraphNode): string[] {
  const found: string[] = [];
  for (const other of document.nodes.values())
    for (const spec of typeOf(schema, other)?.inputs ?? []) {
      if (isMask(spec)) continue;
      for (const [source] of linksOf(other.inputs[spec.name])) {
        if (other.id === node.id) found.push(source);
        if (source === node.id) found.push(other.id);
      }
    }
  return found.filter((id) => document.nodes.has(id));
}
