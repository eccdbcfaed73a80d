// A result in full size over the canvas: saved, starred, compared, used again; arrows go through the results.
import { type KeyboardEvent, useEffect, useRef, useState } from "react";

import { compareView } from "../gallery/compare.ts";
import type { Opened } from "../gallery/protocol.ts";
import type { Change } from "./changes.ts";
import { useStore, useStored } from "./context.ts";
import { keptSeeds } from "./same_seed.ts";
import type { EditorState } from "./state.ts";
import type { EditorStore } from "./store.ts";

interface Props {
  /** Put the picture onto the canvas as an input. */
  takeAsInput: (name: string) => void;
  /** Show a canvas that the kernel opened. */
  openCanvas: (model: string) => void;
  /** Give the focus back to where it was. */
  back: (from: HTMLElement | null) => void;
}

interface Shown {
  opened: Opened;
  url: string;
}

const NONE: string[] = [];
const SMALL = 192;

export function LargeView(props: Props) {
  const large = useStored((state) => state.large);
  return large && <Large key={large.node} node={large.node} url={large.url} {...props} />;
}

function Large({ node, url, takeAsInput, openCanvas, back }: Props & { node: string; url: string }) {
  const store = useStore();
  const results = useStored((state) => state.results[node] ?? NONE);
  const name = useStored((state) => state.names[url] ?? "");
  const nameAt = (state: EditorState, by: number): string =>
    state.names[results[results.indexOf(url) + by] ?? ""] ?? "";
  const before = useStored((state) => nameAt(state, 1));
  const after = useStored((state) => nameAt(state, -1));
  // The oldest has none before it, and is compared with the one after it.
  const compared: [string, string] = before ? [before, name] : [name, after];
  const readOnly = useStored((state) => state.readOnly !== "");
  const [shown, setShown] = useFull(store, name);
  const [comparing, setComparing] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const from = useRef<HTMLElement | null>(null);
  useEffect(() => {
    from.current = (root.current!.getRootNode() as Document | ShadowRoot).activeElement as HTMLElement | null;
    root.current!.querySelector<HTMLElement>("button")!.focus({ preventScroll: true });
  }, []);

  const close = (): void => {
    store.showLarge(null);
    back(from.current);
  };
  const step = (by: number): void => {
    const next = results[results.indexOf(url) + by];
    if (next && store.state.getState().names[next]) store.showLarge({ node, url: next });
  };
  const key = (event: KeyboardEvent): void => {
    event.stopPropagation();
    if ((event.target as Element).matches("input[type=range]") && event.key !== "Escape") return;
    const act: Record<string, () => void> = {
      Escape: comparing ? () => setComparing(false) : close,
      ArrowLeft: () => step(1),
      ArrowRight: () => step(-1),
    };
    if (!act[event.key]) return;
    event.preventDefault();
    act[event.key]();
  };
  const star = async (): Promise<void> => {
    if (!shown) return;
    const { picture } = shown.opened;
    const told = await store.ask({ type: "star", names: [name], starred: !picture.starred });
    if (told.type === "done")
      setShown({ ...shown, opened: { ...shown.opened, picture: { ...picture, starred: !picture.starred } } });
  };
  const open = async (): Promise<void> => {
    const told = await store.ask({ type: "canvas", name });
    if (told.type !== "canvas") return;
    close();
    openCanvas(told.model);
  };
  const picture = shown?.opened.picture;
  const place = results.indexOf(url);
  return (
    <div
      ref={root}
      className="nbg-large nowheel"
      role="dialog"
      aria-modal="true"
      aria-label={`result of ${node}`}
      onKeyDown={key}
    >
      <div className="nbg-large-bar">
        <button type="button" className="nbg-b" onClick={close} title="close (Esc)">
          ✕ Close
        </button>
        <button
          type="button"
          className="nbg-b"
          aria-label="older result"
          title="older (←)"
          disabled={place + 1 >= results.length}
          onClick={() => step(1)}
        >
          ‹
        </button>
        <button
          type="button"
          className="nbg-b"
          aria-label="newer result"
          title="newer (→)"
          disabled={place <= 0}
          onClick={() => step(-1)}
        >
          ›
        </button>
        <span className="nbg-large-title" role="status">
          {picture ? `${picture.label} · ${picture.width} × ${picture.height}` : "…"}
          {results.length > 1 && ` · ${place + 1} of ${results.length}`}
        </span>
        <button type="button" className="nbg-b" aria-pressed={picture?.starred ?? false} onClick={() => void star()}>
          {picture?.starred ? "★ Starred" : "☆ Star"}
        </button>
        <button
          type="button"
          className="nbg-b"
          aria-pressed={comparing}
          disabled={!before && !after}
          title={before ? "with the result before it" : after ? "with the result after it" : "there is no other result"}
          onClick={() => setComparing(!comparing)}
        >
          Compare
        </button>
        <button
          type="button"
          className="nbg-b"
          disabled={readOnly}
          title="put it onto the canvas as an image node"
          onClick={() => {
            close();
            takeAsInput(name);
          }}
        >
          Use as input
        </button>
        <button type="button" className="nbg-b" title="with the seeds that were drawn" onClick={() => void open()}>
          Open its graph
        </button>
        {shown && (
          <a className="nbg-b" href={shown.url} download={`${name}.png`} title="as PNG, with its recipe">
            Save
          </a>
        )}
      </div>
      {comparing ? (
        <Comparison names={compared} close={close} />
      ) : (
        <img
          className={`nbg-large-image${picture && picture.width <= SMALL ? " nbg-crisp" : ""}`}
          src={shown?.url ?? url}
          alt={picture ? `result of ${node}: ${picture.label}` : `result of ${node}`}
          draggable={false}
        />
      )}
    </div>
  );
}

/** The picture of a name in full size; its address is let go when another is shown. */
function useFull(store: EditorStore, name: string): [Shown | null, (shown: Shown) => void] {
  const [shown, setShown] = useState<Shown | null>(null);
  useEffect(() => {
    let url = "";
    let wanted = true;
    setShown(null);
    void store.fetch({ type: "picture", name }).then(([told, buffers]) => {
      if (!wanted || told.type !== "picture") return;
      url = URL.createObjectURL(new Blob([buffers[0] as BlobPart], { type: "image/png" }));
      setShown({ opened: told, url });
    });
    return () => {
      wanted = false;
      if (url) URL.revokeObjectURL(url);
    };
  }, [store, name]);
  return [shown, setShown];
}

function Comparison({ names, close }: { names: [string, string]; close: () => void }) {
  const store = useStore();
  const [seeds, setSeeds] = useState<Change[]>([]);
  const place = useRef<HTMLDivElement>(null);
  const [before, after] = names;
  useEffect(() => {
    const made: string[] = [];
    let wanted = true;
    void store.fetch({ type: "compare", names: [before, after] }).then(([told, buffers]) => {
      if (!wanted || told.type !== "compared") return;
      made.push(...buffers.map((one) => URL.createObjectURL(new Blob([one as BlobPart], { type: "image/png" }))));
      place.current?.replaceChildren(compareView(told, [made[0], made[1]]));
      setSeeds(keptSeeds(store.document, store.schema, told.differences));
    });
    return () => {
      wanted = false;
      for (const url of made) URL.revokeObjectURL(url);
    };
  }, [store, before, after]);
  const again = (): void => {
    close();
    store.edit(seeds);
    store.runAll(null);
  };
  return (
    <>
      {seeds.length > 0 && !store.readOnly && (
        <p className="nbg-large-note" role="note">
          Each drew a seed of its own, so they differ in that too.
          <button type="button" className="nbg-b" title="keep the seed of A, and run what is drawn now" onClick={again}>
            Run with the seed of A
          </button>
        </p>
      )}
      <div ref={place} className="nbp nbg-large-compare" />
    </>
  );
}
