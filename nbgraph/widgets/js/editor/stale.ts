// Which results are of an older graph: those of nodes that were edited since the run, and of all that follow from them.
import { type GraphDocument, linksOf } from "./document.ts";
import type { EditorState } from "./state.ts";

type Edited = EditorState["edited"];

let last: { document: GraphDocument; edited: Edited; found: Set<string> } | null = null;

export function isStale({ document, edited, reasons, runs }: EditorState, id: string): boolean {
  // What waits for its turn in a run shows the picture of the run before.
  if (runs[id]?.status === "waiting") return true;
  if (!reasons[id]?.run) return false;
  if (last?.document !== document || last.edited !== edited) {
    last = { document, edited, found: following(document, edited) };
  }
  return last.found.has(id);
}

/** These nodes and all that edges lead to from them. */
function following(document: GraphDocument, edited: Edited): Set<string> {
  const found = new Set(Object.keys(edited));
  if (!found.size) return found;
  const next = new Map<string, string[]>();
  for (const node of document.nodes.values()) {
    for (const input of Object.values(node.inputs)) {
      for (const [source] of linksOf(input)) next.set(source, [...(next.get(source) ?? []), node.id]);
    }
  }
  for (const id of found) for (const follower of next.get(id) ?? []) found.add(follower);
  return found;
}
