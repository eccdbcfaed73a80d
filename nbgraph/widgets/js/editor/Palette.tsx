// The palette: a search over all node types, in a list that works by mouse and by keyboard.
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import type { LooseEnd } from "./commands.ts";
import { useStored } from "./context.ts";
import type { GraphDocument } from "./document.ts";
import { fits, type NodeType, outputType, type Schema, typeOf } from "./schema.ts";
import { colourOf } from "./TypeMark.tsx";

interface Props {
  at: { left: number; top: number };
  loose: LooseEnd | null;
  choose: (type: string) => void;
  close: () => void;
}

export function Palette({ at, loose, choose, close }: Props) {
  const schema = useStored((store) => store.schema);
  const document = useStored((store) => store.document);
  const live = useStored((store) => store.live);
  const [text, setText] = useState("");
  const [place, setPlace] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const found = useMemo(() => search(schema, document, text, loose), [schema, document, text, loose]);
  const current = Math.min(place, found.length - 1);
  useEffect(() => {
    void list.current?.children[current]?.scrollIntoView({ block: "nearest" });
  }, [current]);
  const key = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") setPlace(Math.min(current + 1, found.length - 1));
    else if (event.key === "ArrowUp") setPlace(Math.max(current - 1, 0));
    else if (event.key === "Enter" && found[current]) choose(found[current][0]);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className="nbg-palette nowheel" role="dialog" aria-label="add a node" style={at} onKeyDown={key}>
      <input
        autoFocus
        type="search"
        role="combobox"
        aria-expanded="true"
        aria-controls="nbg-palette-list"
        aria-activedescendant={found[current] ? `nbg-choice-${current}` : undefined}
        aria-label="search node types"
        placeholder={loose ? `a node for ${loose.node}.${loose.name}` : "search node types"}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setPlace(0);
        }}
        onBlur={(event) => {
          if (!event.currentTarget.closest(".nbg-palette")?.contains(event.relatedTarget as Node)) close();
        }}
      />
      <ul id="nbg-palette-list" role="listbox" aria-label="node types" ref={list}>
        {found.map(([name, type], number) => (
          <li
            key={name}
            id={`nbg-choice-${number}`}
            role="option"
            aria-selected={number === current}
            onMouseEnter={() => setPlace(number)}
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => choose(name)}
          >
            <span className="nbg-dot" style={{ background: colourOf(type.category) }} />
            <span className="nbg-choice-title">{type.title}</span>
            <span className="nbg-choice-category">{type.category}</span>
          </li>
        ))}
        {!found.length && <li className="nbg-nothing">{live ? "nothing fits" : "waiting for the kernel…"}</li>}
      </ul>
    </div>
  );
}

/** The node types that hold every word, those whose title begins with it first; at a loose link only those that fit. */
export function search(
  schema: Schema,
  document: GraphDocument,
  text: string,
  loose: LooseEnd | null,
): [string, NodeType][] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const accepts = looseFilter(schema, document, loose);
  return Object.entries(schema.types)
    .filter(
      ([name, type]) => name !== "graph" && accepts(type) && words.every((word) => haystack(name, type).includes(word)),
    )
    .sort(
      ([one, a], [other, b]) =>
        rank(one, a, text) - rank(other, b, text) ||
        a.category.localeCompare(b.category) ||
        a.title.localeCompare(b.title),
    );
}

const haystack = (name: string, type: NodeType): string =>
  `${name} ${type.title} ${type.category} ${type.description}`.toLowerCase();

function rank(name: string, type: NodeType, text: string): number {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return 0;
  if (type.title.toLowerCase() === wanted || name === wanted) return 0;
  if (type.title.toLowerCase().startsWith(wanted) || name.startsWith(wanted)) return 1;
  return type.title.toLowerCase().includes(wanted) || name.includes(wanted) ? 2 : 3;
}

function looseFilter(schema: Schema, document: GraphDocument, loose: LooseEnd | null): (type: NodeType) => boolean {
  const node = loose && document.nodes.get(loose.node);
  if (!loose || !node) return () => true;
  if (loose.side === "source") {
    const given = outputType(schema, node, loose.name) ?? "Any";
    return (type) => type.inputs.some((one) => fits(schema, given, one.type));
  }
  const wanted = typeOf(schema, node)?.inputs.find((one) => one.name === loose.name)?.type ?? "Any";
  return (type) => type.outputs.some((one) => fits(schema, one.type, wanted));
}
