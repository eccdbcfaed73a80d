// A model by its name or path: a button with the present one, which opens a list with a search.
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import { createPortal } from "react-dom";

import { useStore, useStored } from "./context.ts";
import { type ControlProps, Labelled } from "./Field.tsx";
import { inside } from "./floating.ts";
import { Icon } from "./icons.tsx";
import { labelOf } from "./labels.ts";
import { type Offer, offers } from "./model_search.ts";
import type { InputType } from "./schema.ts";

interface Opened {
  canvas: Element;
  at: { left: number; top: number };
}

const BOX = { width: 420, height: 380 };

export function ModelInput({ label, spec, value, disabled, set }: ControlProps) {
  const [opened, setOpened] = useState<Opened | null>(null);
  const button = useRef<HTMLButtonElement>(null);
  const text = value == null ? "" : String(value);
  const open = (): void => {
    const canvas = button.current?.closest(".nbg-canvas");
    if (!canvas) return;
    const { left, bottom } = button.current!.getBoundingClientRect();
    setOpened({ canvas, at: inside(canvas, { x: left, y: bottom + 4 }, BOX) });
  };
  const close = (): void => {
    setOpened(null);
    button.current?.focus({ preventScroll: true });
  };
  return (
    <Labelled spec={spec}>
      <button
        ref={button}
        type="button"
        className={`nbg-model${text ? "" : " nbg-model-none"}`}
        aria-label={label}
        aria-haspopup="dialog"
        title={text || undefined}
        disabled={disabled}
        onClick={open}
      >
        <span>{text ? lastPart(text) : spec.optional ? "none" : "choose"}</span>
        <Icon sign="down" />
      </button>
      {opened &&
        createPortal(
          <Picker
            spec={spec}
            value={text}
            at={opened.at}
            close={close}
            choose={(chosen) => {
              set(chosen);
              close();
            }}
          />,
          opened.canvas,
        )}
    </Labelled>
  );
}

/** The name of a file says more than the first of its folders. */
const lastPart = (path: string): string => path.split(/[\\/]/).filter(Boolean).at(-1) ?? path;

interface PickerProps {
  spec: InputType;
  value: string;
  at: { left: number; top: number };
  choose: (value: string | null) => void;
  close: () => void;
}

function Picker({ spec, value, at, choose, close }: PickerProps) {
  const store = useStore();
  const shelf = useStored((state) => state.shelf);
  const [text, setText] = useState("");
  const [place, setPlace] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => void store.ask({ type: "models" }), [store]);
  const found = useMemo(
    () => offers({ models: shelf ?? [], kinds: spec.kinds ?? [], text, optional: spec.optional }),
    [shelf, spec, text],
  );
  const current = Math.max(0, Math.min(place, found.length - 1));
  // biome-ignore lint/correctness/useExhaustiveDependencies: the choice is brought into view whenever it is another
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [current, found]);
  const key = (event: KeyboardEvent): void => {
    event.stopPropagation();
    if (event.key === "ArrowDown") setPlace(Math.min(current + 1, found.length - 1));
    else if (event.key === "ArrowUp") setPlace(Math.max(current - 1, 0));
    else if (event.key === "Enter" && found[current]) choose(found[current].value);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  };
  return (
    <div
      className="nbg-palette nbg-picker nowheel nodrag nopan"
      role="dialog"
      aria-label={`choose: ${labelOf(spec)}`}
      style={at}
      onKeyDown={key}
    >
      <input
        autoFocus
        type="search"
        role="combobox"
        aria-expanded="true"
        aria-controls="nbg-picker-list"
        aria-activedescendant={found[current] ? `nbg-offer-${current}` : undefined}
        aria-label={`search ${labelOf(spec)}`}
        placeholder="Search, or type a path"
        title={value}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setPlace(0);
        }}
        onBlur={(event) => {
          if (!event.currentTarget.closest(".nbg-picker")?.contains(event.relatedTarget as Node)) close();
        }}
      />
      <div id="nbg-picker-list" className="nbg-choices" role="listbox" aria-label="models" ref={list} tabIndex={-1}>
        {found.map((offer, number) => (
          <Row
            key={`${offer.group} ${offer.title}`}
            offer={offer}
            heading={offer.group !== (found[number - 1]?.group ?? "") ? offer.group : ""}
            id={`nbg-offer-${number}`}
            chosen={number === current}
            present={offer.value === value}
            point={() => setPlace(number)}
            choose={() => choose(offer.value)}
          />
        ))}
      </div>
      {!found.length && (
        <p className="nbg-nothing" role="status">
          {shelf ? "No model of this kind is in your folders. Type the path of a file." : "looking at the files…"}
        </p>
      )}
    </div>
  );
}

interface RowProps {
  offer: Offer;
  heading: string;
  id: string;
  chosen: boolean;
  present: boolean;
  point: () => void;
  choose: () => void;
}

function Row({ offer, heading, id, chosen, present, point, choose }: RowProps) {
  return (
    <>
      {heading && (
        <div className="nbg-group" role="presentation">
          {heading}
        </div>
      )}
      <div
        id={id}
        className="nbg-choice"
        role="option"
        aria-selected={chosen}
        onMouseMove={point}
        onMouseDown={(event) => event.preventDefault()}
        onClick={choose}
      >
        <span className="nbg-choice-title" title={offer.title}>
          {offer.title}
          {present && <em> · in use</em>}
        </span>
        <span className="nbg-choice-about">{offer.about}</span>
      </div>
    </>
  );
}
