// Auto layout by dagre, from left to right.
import dagre from "@dagrejs/dagre";

import type { Change } from "./changes.ts";
import { place } from "./commands.ts";
import { type GraphDocument, linksOf } from "./document.ts";

export interface Size {
  width: number;
  height: number;
}

/** Places for these nodes (all of them where fewer than two are given); the top left corner of the whole stays. */
export function layout(document: GraphDocument, ids: string[], sizeOf: (id: string) => Size): Change[] {
  const chosen = ids.filter((id) => document.nodes.has(id));
  const members = new Set(chosen.length > 1 ? chosen : document.nodes.keys());
  if (!members.size) return [];
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 36, ranksep: 90 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const id of members) graph.setNode(id, { ...sizeOf(id) });
  for (const id of members) {
    for (const input of Object.values(document.nodes.get(id)!.inputs)) {
      for (const [source] of linksOf(input)) if (members.has(source)) graph.setEdge(source, id);
    }
  }
  dagre.layout(graph);
  const corner = (axis: "x" | "y"): number =>
    Math.min(...[...members].map((id) => document.nodes.get(id)!.layout[axis] ?? 0));
  const found = [...members].map((id) => {
    const { x, y, width, height } = graph.node(id);
    return { id, x: x - width / 2, y: y - height / 2 };
  });
  const dx = corner("x") - Math.min(...found.map((one) => one.x));
  const dy = corner("y") - Math.min(...found.map((one) => one.y));
  return found.flatMap(({ id, x, y }) => place(id, x + dx, y + dy));
}
