// Which ports a wire that is being drawn would fit.
import type { LooseEnd } from "./commands.ts";
import { type Ends, whyNot } from "./connect.ts";
import { type GraphDocument, linksOf } from "./document.ts";
import { type Schema, typeOf } from "./schema.ts";

const endsOf = (loose: LooseEnd, node: string, name: string): Ends =>
  loose.side === "source"
    ? { source: loose.node, output: loose.name, target: node, field: name }
    : { source: node, output: name, target: loose.node, field: loose.name };

/** The edge that a wire makes when it is dropped on a node: to the first free port that fits, else to the first. */
export function firstFit(document: GraphDocument, schema: Schema, loose: LooseEnd, id: string): Ends | undefined {
  const node = document.nodes.get(id);
  const type = node && typeOf(schema, node);
  if (!type) return undefined;
  const names = (loose.side === "source" ? type.inputs : type.outputs).map((port) => port.name);
  const fit = names.map((name) => endsOf(loose, id, name)).filter((ends) => whyNot(document, schema, ends) === "");
  return fit.find(({ field }) => loose.side === "target" || !linksOf(node.inputs[field]).length) ?? fit[0];
}

/** All edges that a wire could make, to every port of every node. */
export function allFits(document: GraphDocument, schema: Schema, loose: LooseEnd): Ends[] {
  return [...document.nodes.values()].flatMap((node) => {
    const type = typeOf(schema, node);
    const ports = (loose.side === "source" ? type?.inputs : type?.outputs) ?? [];
    return ports
      .map((port) => endsOf(loose, node.id, port.name))
      .filter((ends) => whyNot(document, schema, ends) === "");
  });
}

/** Mark the ports on the page that fit, by a class; returns a function that takes the marks off. */
export function markFits(root: Element, document: GraphDocument, schema: Schema, loose: LooseEnd): () => void {
  const marked: Element[] = [];
  const other = loose.side === "source" ? "target" : "source";
  for (const handle of root.querySelectorAll<HTMLElement>(`.react-flow__handle.${other}`)) {
    const { nodeid = "", handleid = "" } = handle.dataset;
    if (whyNot(document, schema, endsOf(loose, nodeid, handleid)) !== "") continue;
    handle.classList.add("nbg-fits");
    marked.push(handle);
  }
  root.classList.add("nbg-connecting");
  return () => {
    root.classList.remove("nbg-connecting");
    for (const handle of marked) handle.classList.remove("nbg-fits");
  };
}
