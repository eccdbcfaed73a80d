// What a person does, as changes: pure functions of the document.
import type { Change } from "./changes.ts";
import type { Ends } from "./connect.ts";
import { type GraphDocument, type GraphNode, type Link, linksOf, type Note } from "./document.ts";
import { fits, outputType, type Schema, typeOf } from "./schema.ts";

export function freeId(document: GraphDocument, stem: string, taken: Set<string> = new Set()): string {
  let id = stem;
  for (let number = 2; document.nodes.has(id) || document.notes.has(id) || taken.has(id); number++)
    id = `${stem}_${number}`;
  return id;
}

export function addNode(id: string, type: string, x: number, y: number): Change[] {
  return [["node", id, "", { type }], ...place(id, x, y)];
}

export const place = (id: string, x: number, y: number): Change[] => [
  ["layout", id, "x", Math.round(x)],
  ["layout", id, "y", Math.round(y)],
];

/** Draw an edge; one that arrives at an input for one edge gives way. */
export function connect(document: GraphDocument, schema: Schema, { source, output, target, field }: Ends): Change[] {
  const node = document.nodes.get(target);
  const many = node && typeOf(schema, node)?.inputs.find((one) => one.name === field)?.many;
  const before = many ? linksOf(node.inputs[field]) : [];
  return [["input", target, field, { links: [...before, [source, output]] }]];
}

export function disconnect(document: GraphDocument, edges: Ends[]): Change[] {
  const rest = new Map<string, { target: string; field: string; links: Link[] }>();
  for (const { source, output, target, field } of edges) {
    const key = JSON.stringify([target, field]);
    const links = rest.get(key)?.links ?? linksOf(document.nodes.get(target)?.inputs[field]);
    rest.set(key, { target, field, links: links.filter(([node, name]) => node !== source || name !== output) });
  }
  return [...rest.values()].map(({ target, field, links }) =>
    links.length ? ["input", target, field, { links }] : ["input", target, field],
  );
}

export function remove(document: GraphDocument, ids: string[]): Change[] {
  const gone = new Set(ids);
  const changes: Change[] = [];
  for (const id of ids) {
    if (document.notes.has(id)) changes.push(["note", id, ""]);
    else if (document.nodes.get(id)?.unknown) changes.push(["unknown", id, ""]);
    else if (document.nodes.has(id)) changes.push(["node", id, ""]);
  }
  for (const node of document.nodes.values()) {
    if (gone.has(node.id)) continue;
    for (const [field, input] of Object.entries(node.inputs)) {
      const links = linksOf(input);
      const left = links.filter(([source]) => !gone.has(source));
      if (left.length < links.length)
        changes.push(left.length ? ["input", node.id, field, { links: left }] : ["input", node.id, field]);
    }
  }
  return changes;
}

/** A node under another id, with every edge at it. */
export function rename(document: GraphDocument, from: string, to: string): Change[] {
  const node = document.nodes.get(from);
  if (!node || node.unknown || from === to) return [];
  const changes = [...remove(document, [from]), ...copyOf(node, to, new Map())];
  for (const other of document.nodes.values()) {
    for (const [field, input] of Object.entries(other.inputs)) {
      const links = linksOf(input);
      if (links.some(([source]) => source === from)) {
        const now = links.map(([source, output]): Link => [source === from ? to : source, output]);
        changes.push(["input", other.id, field, { links: now }]);
      }
    }
  }
  return changes;
}

/** The changes that make a node again under an id; links to nodes in `names` follow, others stay as they are. */
export function copyOf(node: GraphNode, id: string, names: Map<string, string>, dx = 0, dy = 0): Change[] {
  const changes: Change[] = [["node", id, "", node.made]];
  for (const [field, input] of Object.entries(node.inputs)) {
    const value =
      "links" in input
        ? { links: input.links.map(([source, output]) => [names.get(source) ?? source, output]) }
        : input;
    changes.push(["input", id, field, value]);
  }
  for (const [name, value] of Object.entries(node.options)) changes.push(["option", id, name, value]);
  for (const [name, value] of Object.entries(node.layout)) {
    changes.push(["layout", id, name, name === "x" ? value + dx : name === "y" ? value + dy : value]);
  }
  return changes;
}

/** Set or clear a part of the layout of several nodes; all of them get the value unless all have it. */
export function toggle(document: GraphDocument, ids: string[], name: "collapsed" | "mode", value: any): Change[] {
  const nodes = ids.filter((id) => document.nodes.has(id));
  const all = nodes.every((id) => document.nodes.get(id)!.layout[name] === value);
  return nodes.map((id) => (all ? ["layout", id, name] : ["layout", id, name, value]));
}

export const note = (id: string, value: Note): Change[] => [["note", id, "", value]];

/** For a node just added at the loose end of a link: the edge to the first field that fits. */
export function linkTo(schema: Schema, document: GraphDocument, loose: LooseEnd, id: string, type: string): Change[] {
  const node = schema.types[type];
  const other = document.nodes.get(loose.node);
  if (!node || !other) return [];
  if (loose.side === "source") {
    const given = outputType(schema, other, loose.name) ?? "Any";
    const same = node.inputs.find((one) => one.name === loose.name && fits(schema, given, one.type));
    const field = same ?? node.inputs.find((one) => fits(schema, given, one.type));
    return field ? [["input", id, field.name, { links: [[loose.node, loose.name]] }]] : [];
  }
  const wanted = typeOf(schema, other)?.inputs.find((one) => one.name === loose.name);
  const output =
    wanted &&
    (node.outputs.find((one) => one.name === loose.name && fits(schema, one.type, wanted.type)) ??
      node.outputs.find((one) => fits(schema, one.type, wanted.type)));
  return output
    ? connect(document, schema, { source: id, output: output.name, target: loose.node, field: loose.name })
    : [];
}

/** A link that was let go over the empty canvas: where it is held, and on which side. */
export interface LooseEnd {
  node: string;
  name: string;
  side: "source" | "target";
}
