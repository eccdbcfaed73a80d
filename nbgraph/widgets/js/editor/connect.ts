// Why an edge may not be drawn; the kernel has the last word, this is for the time while one drags.
import { type GraphDocument, linksOf } from "./document.ts";
import { fits, outputType, type Schema, typeOf } from "./schema.ts";

export interface Ends {
  source: string;
  output: string;
  target: string;
  field: string;
}

/** The reason against an edge, or "" if there is none. */
export function whyNot(document: GraphDocument, schema: Schema, { source, output, target, field }: Ends): string {
  const from = document.nodes.get(source);
  const to = document.nodes.get(target);
  if (!from || !to) return "one end is no node";
  if (from.unknown || to.unknown) return "the type of this node is not installed";
  const given = outputType(schema, from, output);
  const wanted = typeOf(schema, to)?.inputs.find((one) => one.name === field);
  if (!given) return `${source} has no output ${output}`;
  if (!wanted) return `${target} has no input ${field}`;
  if (source === target) return "the edge would lead from a node to itself";
  if (linksOf(to.inputs[field]).some(([node, name]) => node === source && name === output))
    return "this edge is there already";
  if (!fits(schema, given, wanted.type))
    return `${target}.${field} takes ${wanted.type}, and ${source}.${output} is ${given}`;
  if (reaches(document, target, source)) return `the edge would close a circle: ${target} already leads to ${source}`;
  return "";
}

/** Whether edges lead from `start` to `end`, searched backwards from the end. */
export function reaches(document: GraphDocument, start: string, end: string): boolean {
  const waiting = [end];
  const seen = new Set(waiting);
  while (waiting.length) {
    const id = waiting.pop()!;
    if (id === start) return true;
    for (const input of Object.values(document.nodes.get(id)?.inputs ?? {})) {
      for (const [source] of linksOf(input)) {
        if (!seen.has(source)) {
          seen.add(source);
          waiting.push(source);
        }
      }
    }
  }
  return false;
}
