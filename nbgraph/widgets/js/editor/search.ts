// The search of the palette: node types and library graphs by title, words of the trade, ports and description.
import type { LooseEnd } from "./commands.ts";
import type { GraphDocument } from "./document.ts";
import { makerOf } from "./needs.ts";
import type { Template } from "./protocol.ts";
import { fits, type NodeType, outputType, type Schema, typeOf } from "./schema.ts";
import { WORDS } from "./words.ts";

export type Found = { key: string; title: string; group: string; description: string } & (
  | { kind: "type"; type: NodeType; name: string }
  | { kind: "template"; template: Template }
);

export interface Asked {
  schema: Schema;
  document: GraphDocument;
  templates: Template[];
  /** Names of node types and of library graphs (in quotes) that were added lately, the newest first. */
  recent: string[];
  text: string;
  loose: LooseEnd | null;
}

export const LIBRARY = "library graphs";
export const RECENT = "recent";
export const OWN = "defined in this notebook";
const GROUPS = [
  RECENT,
  OWN,
  LIBRARY,
  "model",
  "conditioning",
  "latents",
  "image",
  "inpaint",
  "mask",
  "control flow",
  "collections",
];
const MAX_RECENT = 4;

/** What is found, the best first; without a text all of it, by group. */
export function search(asked: Asked): Found[] {
  const { text, loose } = asked;
  const all = [...(loose ? [] : asked.templates.map(ofTemplate)), ...types(asked)];
  const query = text.trim().toLowerCase().replace(/\s+/g, " ");
  const suits = loose ? fitting(asked, loose) : null;
  const open = suits ? all.filter((one) => suits(one) > 0) : all;
  if (!query && !suits) return grouped(open, asked.recent);
  const score = (one: Found): number => (query ? match(one, query) : 1) * (suits ? suits(one) : 1);
  const scored = open.map((one): [number, Found] => [score(one), one]).filter(([points]) => points > 0);
  scored.sort(([a, one], [b, other]) => b - a || one.title.localeCompare(other.title));
  return scored.map(([, one]) => one);
}

const types = ({ schema }: Asked): Found[] =>
  Object.entries(schema.types)
    .filter(([name]) => name !== "graph")
    .map(([name, type]) => ({
      kind: "type",
      key: name,
      name,
      type,
      title: type.title,
      group: type.own ? OWN : type.category,
      description: type.description,
    }));

const ofTemplate = (template: Template): Found => ({
  kind: "template",
  key: `"${template.name}"`,
  template,
  title: template.name.charAt(0).toUpperCase() + template.name.slice(1),
  group: LIBRARY,
  description: template.description,
});

function grouped(all: Found[], recent: string[]): Found[] {
  const rank = (group: string): number => (GROUPS.includes(group) ? GROUPS.indexOf(group) : GROUPS.length);
  const byTitle = (one: Found, other: Found): number =>
    one.group === LIBRARY ? 0 : one.title.localeCompare(other.title);
  const sorted = [...all].sort(
    (one, other) => rank(one.group) - rank(other.group) || one.group.localeCompare(other.group) || byTitle(one, other),
  );
  const late = recent.slice(0, MAX_RECENT).flatMap((key) => all.find((one) => one.key === key) ?? []);
  return [...late.map((one): Found => ({ ...one, key: `${one.key} again`, group: RECENT })), ...sorted];
}

/** How well an entry answers a query: 0 is not at all. */
function match(one: Found, query: string): number {
  const meant = WORDS[query]?.indexOf(one.key) ?? -1;
  if (meant >= 0) return 95 - meant;
  const title = one.title.toLowerCase();
  const name = one.key.replaceAll("_", " ").replaceAll('"', "");
  if (title === query || name === query) return 100;
  if (title.startsWith(query) || name.startsWith(query)) return 90 - title.length / 100;
  if (` ${title} ${name}`.includes(` ${query}`)) return 80 - title.length / 100;
  if (title.includes(query) || name.includes(query)) return 70 - title.length / 100;
  const word = Object.keys(WORDS).find((known) => known.startsWith(query) && WORDS[known].includes(one.key));
  if (word && query.length > 2) return 60;
  const words = query.split(" ");
  const ports = portsOf(one);
  if (ports.includes(query.replaceAll(" ", "_"))) return 55;
  const text = `${title} ${name} ${one.group} ${ports.join(" ")} ${one.description}`.toLowerCase();
  if (words.every((part) => text.includes(part))) return 40 - text.length / 10_000;
  return query.length > 2 && isWithin(query.replaceAll(" ", ""), title.replaceAll(" ", ""))
    ? 20 - title.length / 100
    : 0;
}

const portsOf = (one: Found): string[] =>
  one.kind === "type" ? [...one.type.inputs, ...one.type.outputs].map((port) => port.name) : [];

/** Whether the letters of one text come in another in that order. */
function isWithin(letters: string, text: string): boolean {
  let at = 0;
  for (const letter of text) if (letter === letters[at]) at++;
  return at === letters.length;
}

/** How well an entry fits a loose wire: 0 is not at all, what is made for it comes first. */
function fitting({ schema, document }: Asked, loose: LooseEnd): (one: Found) => number {
  const node = document.nodes.get(loose.node);
  if (!node) return () => 1;
  if (loose.side === "source") {
    const given = outputType(schema, node, loose.name) ?? "Any";
    return (one) =>
      one.kind === "type" ? Math.max(0, ...one.type.inputs.map((input) => taking(schema, given, input))) : 0;
  }
  const spec = typeOf(schema, node)?.inputs.find((one) => one.name === loose.name);
  if (!spec) return () => 1;
  const maker = makerOf(schema, spec);
  return (one) => {
    if (one.kind !== "type") return 0;
    const fit = Math.max(0, ...one.type.outputs.map(({ type }) => giving(schema, type, spec.type)));
    return fit && one.name === maker ? fit + 1 : fit;
  };
}

const bare = (type: string): string => type.replace(/ \| None$/, "");

function taking(schema: Schema, given: string, input: { type: string; required: boolean }): number {
  if (!fits(schema, given, input.type)) return 0;
  if (bare(input.type) === bare(given)) return input.required ? 1 : 0.9;
  return input.type === "Any" || given === "Any" ? 0.3 : 0.7;
}

function giving(schema: Schema, type: string, wanted: string): number {
  if (!fits(schema, type, wanted)) return 0;
  if (bare(type) === bare(wanted)) return 1;
  return type === "Any" || wanted === "Any" ? 0.3 : 0.7;
}
