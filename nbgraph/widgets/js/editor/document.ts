// The document on the page: nodes by id, and notes. It is never changed; `apply` gives a new one that shares the rest.
import type { Change } from "./changes.ts";

export type Link = [source: string, output: string];
export type Input = { value: any } | { links: Link[] };

export interface Layout {
  x?: number;
  y?: number;
  collapsed?: boolean;
  mode?: "mute" | "bypass";
}

export interface GraphNode {
  id: string;
  type: string;
  made: Record<string, any>;
  inputs: Record<string, Input>;
  options: Record<string, any>;
  layout: Layout;
  unknown?: { data: Record<string, any>; edges: any[] };
}

export interface Note {
  kind: "frame" | "comment";
  x: number;
  y: number;
  width: number;
  height: number;
  text: string;
  colour: string;
}

export interface GraphDocument {
  nodes: Map<string, GraphNode>;
  notes: Map<string, Note>;
}

export const emptyDocument = (): GraphDocument => ({ nodes: new Map(), notes: new Map() });

export const linksOf = (input: Input | undefined): Link[] => (input && "links" in input ? input.links : []);

export function apply(document: GraphDocument, changes: Change[]): GraphDocument {
  if (!changes.length) return document;
  const nodes = new Map(document.nodes);
  const notes = new Map(document.notes);
  const fresh = new Set<string>();
  const open = (id: string): GraphNode | undefined => {
    const node = nodes.get(id);
    if (!node || fresh.has(id)) return node;
    const copy = { ...node, inputs: { ...node.inputs }, options: { ...node.options }, layout: { ...node.layout } };
    nodes.set(id, copy);
    fresh.add(id);
    return copy;
  };
  for (const change of [...changes].sort(nodesFirst)) {
    const [kind, id, name] = change;
    const gone = change.length === 3;
    const value = change[3];
    if (kind === "note") {
      if (gone) notes.delete(id);
      else notes.set(id, value);
    } else if (kind === "node" || kind === "unknown") {
      if (gone) nodes.delete(id);
      else nodes.set(id, made(kind, id, value, open(id)));
      if (!gone) fresh.add(id);
    } else {
      const node = open(id);
      if (node) set(kind === "input" ? node.inputs : kind === "option" ? node.options : node.layout, name, gone, value);
    }
  }
  return { nodes, notes };
}

const rank = (change: Change): number =>
  change[0] === "node" || change[0] === "unknown" ? (change.length === 3 ? 0 : 1) : 2;
const nodesFirst = (one: Change, other: Change): number => rank(one) - rank(other);

function made(kind: "node" | "unknown", id: string, value: any, before?: GraphNode): GraphNode {
  const kept = before ?? { inputs: {}, options: {}, layout: {} };
  if (kind === "unknown") return { ...kept, id, type: String(value.data?.type ?? "?"), made: {}, unknown: value };
  return { ...kept, id, type: value.type, made: value };
}

function set(target: Record<string, any>, name: string, gone: boolean, value: any): void {
  if (gone) delete target[name];
  else target[name] = value;
}
