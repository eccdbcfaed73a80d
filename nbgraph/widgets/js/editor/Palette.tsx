// The palette: a search over node types and library graphs, in a list that works by mouse and by keyboard.
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";

import type { LooseEnd } from "./commands.ts";
import { useStored } from "./context.ts";
import { CategoryIcon } from "./icons.tsx";
import { type Found, search } from "./search.ts";
import { Thumbnail } from "./Thumbnail.tsx";
import { TypeMark } from "./TypeMark.tsx";

interface Props {
  at: { left: number; top: number };
  loose: LooseEnd | null;
  recent: string[];
  choose: (found: Found) => void;
  close: () => void;
}

export function Palette({ at, loose, recent, choose, close }: Props) {
  const schema = useStored((store) => store.schema);
  const document = useStored((store) => store.document);
  const templates = useStored((store) => store.templates);
  const live = useStored((store) => store.live);
  const [text, setText] = useState("");
  const [place, setPlace] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const found = useMemo(
    () => search({ schema, document, templates, recent, text, loose }),
    [schema, document, templates, recent, text, loose],
  );
  const sections = useMemo(() => sectionsOf(found, text.trim() !== "" || loose !== null), [found, text, loose]);
  const current = Math.max(0, Math.min(place, found.length - 1));
  // biome-ignore lint/correctness/useExhaustiveDependencies: the choice is brought into view whenever it is another
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [current, found]);
  const key = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") setPlace(Math.min(current + 1, found.length - 1));
    else if (event.key === "ArrowUp") setPlace(Math.max(current - 1, 0));
    else if (event.key === "Enter" && found[current]) choose(found[current]);
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
        placeholder={loose ? `what fits ${loose.node}.${loose.name}` : "Search nodes: denoise, upscale, loop…"}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setPlace(0);
        }}
        onBlur={(event) => {
          if (!event.currentTarget.closest(".nbg-palette")?.contains(event.relatedTarget as Node)) close();
        }}
      />
      <div className="nbg-palette-body">
        <div
          id="nbg-palette-list"
          className="nbg-choices"
          role="listbox"
          aria-label="node types"
          ref={list}
          tabIndex={-1}
        >
          {sections.map(([title, items]) => (
            // biome-ignore lint/a11y/useSemanticElements: a fieldset has no place in a listbox
            <div key={title} role="group" aria-label={title || "found"}>
              {title && (
                <div className="nbg-group" aria-hidden="true">
                  {title}
                </div>
              )}
              {items.map(([one, number]) => (
                <div
                  key={one.key}
                  id={`nbg-choice-${number}`}
                  className="nbg-choice"
                  role="option"
                  aria-selected={number === current}
                  onMouseMove={() => setPlace(number)}
                  onMouseDown={(event) => event.preventDefault()}
                  onClick={() => choose(one)}
                >
                  <CategoryIcon category={one.kind === "type" ? one.type.category : "library"} />
                  <span className="nbg-choice-title">{one.title}</span>
                  {!title && (
                    <span className="nbg-choice-about" aria-hidden="true">
                      {one.kind === "template" ? "graph" : one.group}
                    </span>
                  )}
                </div>
              ))}
            </div>
          ))}
        </div>
        {!found.length && (
          <p className="nbg-nothing" role="status">
            {live ? "Nothing is called so. Try what it does, or the name of an input." : "waiting for the kernel…"}
          </p>
        )}
        {found[current] && <Details found={found[current]} />}
      </div>
    </div>
  );
}

/** Runs of entries of one group, with the number each has in the list. */
function sectionsOf(found: Found[], flat: boolean): [string, [Found, number][]][] {
  const sections: [string, [Found, number][]][] = [];
  found.forEach((one, number) => {
    const title = flat ? "" : one.group;
    if (sections.at(-1)?.[0] !== title) sections.push([title, []]);
    sections.at(-1)![1].push([one, number]);
  });
  return sections;
}

function Details({ found }: { found: Found }) {
  return (
    <div className="nbg-details">
      <strong>{found.title}</strong>
      <span className="nbg-details-group">{found.kind === "type" ? found.type.category : "library graph"}</span>
      {found.kind === "template" && <Thumbnail template={found.template} />}
      <p>
        {found.description
          .replace(/\n\s*\n/g, "¶")
          .replace(/\s+/g, " ")
          .replaceAll("¶", "\n\n")}
      </p>
      {found.kind === "type" && (
        <>
          <Ports title="in" ports={found.type.inputs} />
          <Ports title="out" ports={found.type.outputs} />
        </>
      )}
    </div>
  );
}

function Ports({ title, ports }: { title: string; ports: { name: string; type: string; required?: boolean }[] }) {
  if (!ports.length) return null;
  return (
    <>
      <span className="nbg-ports-title">{title}</span>
      <ul className="nbg-ports">
        {ports.map(({ name, type, required }) => (
          <li key={name} title={type}>
            <TypeMark type={type} />
            {name.replaceAll("_", " ")}
            {required && <em> needed</em>}
          </li>
        ))}
      </ul>
    </>
  );
}
