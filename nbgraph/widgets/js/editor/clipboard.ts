// Copy and paste: nodes with the edges among them, and on wish with the edges that arrive from elsewhere.
import type { Change } from "./changes.ts";
import { copyOf, freeId } from "./commands.ts";
import type { GraphDocument, GraphNode, Note } from "./document.ts";

export interface Clip {
  nodes: GraphNode[];
  notes: [string, Note][];
}

const OFFSET = 40;

export function copy(document: GraphDocument, ids: string[]): Clip {
  const nodes = ids.flatMap((id) => document.nodes.get(id) ?? []).filter((node) => !node.unknown);
  const notes = ids.flatMap((id): [string, Note][] => (document.notes.has(id) ? [[id, document.notes.get(id)!]] : []));
  return { nodes, notes };
}

/** The changes that put a clip into the document, and the new ids. `outside` keeps edges from nodes that are still there. */
export function paste(
  document: GraphDocument,
  clip: Clip,
  outside: boolean,
  times = 1,
): { changes: Change[]; ids: string[] } {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const id of [...clip.nodes.map((node) => node.id), ...clip.notes.map(([id]) => id)]) {
    const name = freeId(document, id.replace(/_\d+$/, "") || id, taken);
    taken.add(name);
    names.set(id, name);
  }
  const changes: Change[] = [];
  for (const node of clip.nodes) {
    const inputs = Object.entries(node.inputs).flatMap(([field, input]): [string, GraphNode["inputs"][string]][] => {
      if (!("links" in input)) return [[field, input]];
      const links = input.links.filter(([source]) => names.has(source) || (outside && document.nodes.has(source)));
      return links.length ? [[field, { links }]] : [];
    });
    const kept = { ...node, inputs: Object.fromEntries(inputs) };
    changes.push(...copyOf(kept, names.get(node.id)!, names, OFFSET * times, OFFSET * times));
  }
  for (const [id, note] of clip.notes) {
    changes.push(["note", names.get(id)!, "", { ...note, x: note.x + OFFSET * times, y: note.y + OFFSET * times }]);
  }
  return { changes, ids: [...names.values()] };
}
