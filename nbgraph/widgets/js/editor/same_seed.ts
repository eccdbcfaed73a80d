// Two results whose seeds were drawn differ in more than what was changed: one more run with the older seeds compares.
import type { Change } from "./changes.ts";
import type { GraphDocument } from "./document.ts";
import { readNumber } from "./exact.ts";
import { type Schema, typeOf } from "./schema.ts";

/** The changes that put the first of two values into each seed that is open on the canvas; none if none differs. */
export function keptSeeds(document: GraphDocument, schema: Schema, differences: string[][]): Change[] {
  const changes: Change[] = [];
  for (const [address, older] of differences) {
    const dot = address.lastIndexOf(".");
    const [id, name] = [address.slice(0, dot), address.slice(dot + 1)];
    const node = document.nodes.get(id);
    const input = node?.inputs[name];
    const isOpen = !input || ("value" in input && input.value == null);
    const spec = node && typeOf(schema, node)?.inputs.find((one) => one.name === name);
    if (spec?.control === "seed" && isOpen && older) changes.push(["input", id, name, { value: readNumber(older) }]);
  }
  return changes;
}
