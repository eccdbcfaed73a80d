// Library graphs, put onto the canvas as nodes.
import type { Change } from "./changes.ts";
import { paste } from "./clipboard.ts";
import { apply, emptyDocument, type GraphDocument, linksOf } from "./document.ts";
import { layout, type Size } from "./layout.ts";
import type { Template } from "./protocol.ts";
import { type Schema, typeOf } from "./schema.ts";

const EXAMPLE = "a red apple";

/** The graph of a library graph. */
export const documentOf = (template: Template): GraphDocument => apply(emptyDocument(), template.changes);

/** The changes that put a library graph onto the canvas with its top left corner at a place, and the ids of its nodes. */
export function inserted(
  document: GraphDocument,
  template: Template,
  at: { x: number; y: number },
  sizeOf: (document: GraphDocument, id: string) => Size,
  aspect?: number,
): { changes: Change[]; ids: string[] } {
  const own = documentOf(template);
  const placed = apply(own, [...layout(own, [], (id) => sizeOf(own, id), aspect), ...exampleFor(own)]);
  const places = [...placed.nodes.values()].map((node) => node.layout);
  const left = Math.min(...places.map(({ x = 0 }) => x));
  const top = Math.min(...places.map(({ y = 0 }) => y));
  const shifted = apply(
    placed,
    [...placed.nodes.values()].flatMap(({ id, layout: { x = 0, y = 0 } }): Change[] => [
      ["layout", id, "x", Math.round(x - left + at.x)],
      ["layout", id, "y", Math.round(y - top + at.y)],
    ]),
  );
  return paste(document, { nodes: [...shifted.nodes.values()], notes: [] }, false, 0);
}

/** Whether a library graph has all it needs to run. */
export function isRunnable(template: Template, schema: Schema): boolean {
  return [...documentOf(template).nodes.values()].every((node) =>
    (typeOf(schema, node)?.inputs ?? []).every((spec) => !spec.required || node.inputs[spec.name]),
  );
}

/** A text for an empty prompt, so that there is something to see at once; a negative prompt stays empty. */
function exampleFor(document: GraphDocument): Change[] {
  const sources = [...document.nodes.values()].flatMap((node) =>
    linksOf(node.inputs.positive).map(([source]) => source),
  );
  return sources.flatMap((id): Change[] => {
    const text = document.nodes.get(id)?.inputs.text;
    const empty = !text || ("value" in text && !text.value);
    return document.nodes.get(id)?.type === "prompt" && empty ? [["input", id, "text", { value: EXAMPLE }]] : [];
  });
}
