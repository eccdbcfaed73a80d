// The changes that the kernel and the canvas tell each other, as nbgraph/widgets/changes.py has them.

export type Kind = "node" | "input" | "option" | "layout" | "note" | "unknown";
/** [kind, id, name] takes the key away; [kind, id, name, value] sets it. */
export type Change = [Kind, string, string] | [Kind, string, string, any];

export const keyOf = (change: Change): string => JSON.stringify(change.slice(0, 3));

/** The last change of each key, in order: what a list of changes comes to. */
export function merged(changes: Change[]): Change[] {
  const last = new Map<string, Change>();
  for (const change of changes) {
    const key = keyOf(change);
    last.delete(key);
    last.set(key, change);
  }
  return [...last.values()];
}
