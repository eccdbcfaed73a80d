// The document as React Flow wants it; what has not changed keeps its object, so that only changed nodes are drawn anew.
import type { Node } from "@xyflow/react";
import type { Ends } from "./connect.ts";
import { type GraphDocument, linksOf } from "./document.ts";
import { expected } from "./expected.ts";
import type { FlowNode } from "./NodeView.tsx";
import type { FlowNote } from "./NoteView.tsx";
import { usedOutputs } from "./rows.ts";
import { outputType, type Schema, typeOf } from "./schema.ts";
import { typeColour } from "./TypeMark.tsx";
import type { FlowWire } from "./Wire.tsx";

export type AnyFlowNode = FlowNode | FlowNote;

export function flowNodes(
  document: GraphDocument,
  schema: Schema,
  unfolded: Record<string, boolean>,
  before: AnyFlowNode[],
): AnyFlowNode[] {
  const known = new Map(before.map((node) => [node.id, node]));
  const found: AnyFlowNode[] = [];
  for (const [id, note] of document.notes) {
    const old = known.get(id);
    if (old?.type === "note" && old.data.note === note) found.push(old);
    else {
      const size = { width: note.width, height: note.height };
      found.push({
        ...kept(old),
        id,
        type: "note",
        data: { note },
        position: { x: note.x, y: note.y },
        ...size,
        zIndex: note.kind === "frame" ? -1000 : 10,
      });
    }
  }
  for (const [id, node] of document.nodes) {
    const old = known.get(id);
    const used = usedOutputs(document, id);
    const open = unfolded[id] ?? false;
    if (old?.type === "node" && old.data.node === node && old.data.used === used && old.data.open === open) {
      found.push(old);
    } else {
      const { x = 0, y = 0 } = node.layout;
      const position = old?.dragging ? old.position : { x, y };
      const size = isDrawn(old) ? undefined : expected(node, typeOf(schema, node), used, open);
      found.push({
        ...kept(old),
        ...size,
        id,
        type: "node",
        data: { node, used, open },
        position,
        ariaLabel: `${node.type} ${id}`,
      });
    }
  }
  return found;
}

const kept = (old: Node | undefined): object =>
  old ? { selected: old.selected, measured: old.measured, dragging: old.dragging } : {};

/** Whether the size of a node is what it was found to be, and not only what was expected. */
const isDrawn = (node: Node | undefined): boolean => node?.measured !== undefined && !node.handles;

/** Nodes that turned out to be other than expected stand by that from then on. */
export function measured(nodes: AnyFlowNode[], ids: Set<string>): AnyFlowNode[] {
  return nodes.map((node) => (ids.has(node.id) && node.handles ? { ...node, handles: undefined } : node));
}

export function flowEdges(
  document: GraphDocument,
  schema: Schema,
  chosen: Set<string>,
  before: FlowWire[],
): FlowWire[] {
  const known = new Map(before.map((edge) => [edge.id, edge]));
  const edges: FlowWire[] = [];
  for (const node of document.nodes.values()) {
    for (const [field, input] of Object.entries(node.inputs)) {
      for (const [source, output] of linksOf(input)) {
        const from = document.nodes.get(source);
        if (!from) continue;
        const id = edgeId({ source, output, target: node.id, field });
        const stroke = typeColour(outputType(schema, from, output));
        const selected = chosen.has(id);
        const old = known.get(id);
        if (old?.selected === selected && old.style?.stroke === stroke) edges.push(old);
        else
          edges.push({
            id,
            type: "wire",
            data: {},
            source,
            sourceHandle: output,
            target: node.id,
            targetHandle: field,
            selected,
            style: { stroke },
            ariaLabel: `edge from ${source} ${output} to ${node.id} ${field}`,
          });
      }
    }
  }
  return edges;
}

export const edgeId = ({ source, output, target, field }: Ends): string =>
  JSON.stringify([source, output, target, field]);

export function endsOf(id: string): Ends {
  const [source, output, target, field] = JSON.parse(id);
  return { source, output, target, field };
}
