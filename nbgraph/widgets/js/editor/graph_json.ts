// The graph on the page as a graph file, for when there is no kernel to write it. The kernel's own is Graph.to_json.
import { type GraphDocument, linksOf } from "./document.ts";

/** The JSON that `studio.edit(path)` and `Graph.from_json` read, edits that never reached the kernel included. */
export function graphJson({ nodes, notes }: GraphDocument): string {
  const written: Record<string, unknown> = {};
  const edges: unknown[] = [];
  const places: Record<string, unknown> = {};
  for (const node of nodes.values()) {
    const values = Object.entries(node.inputs).flatMap(([name, input]) =>
      "value" in input ? [[name, input.value]] : [],
    );
    written[node.id] = node.unknown
      ? node.unknown.data
      : { id: node.id, ...node.made, ...Object.fromEntries(values), ...node.options };
    if (node.unknown) edges.push(...node.unknown.edges);
    for (const [field, input] of Object.entries(node.inputs)) {
      for (const [source, output] of linksOf(input)) {
        edges.push({ source: { node_id: source, field: output }, destination: { node_id: node.id, field } });
      }
    }
    if (Object.keys(node.layout).length) places[node.id] = node.layout;
  }
  const layout = { nodes: places, ...(notes.size ? { notes: Object.fromEntries(notes) } : {}) };
  return JSON.stringify({ nodes: written, edges, layout }, null, 2);
}
