// The picture of a node from edge to edge, and the results before it in a strip.
import { useState } from "react";

import { useStore, useStored } from "./context.ts";
import { isStale } from "./stale.ts";

const NONE: string[] = [];

export function Picture({ id, far = false }: { id: string; far?: boolean }) {
  const url = useStored((state) => state.pictures[id]);
  const running = useStored((state) => state.runs[id]?.status === "running");
  const stale = useStored((state) => isStale(state, id));
  const store = useStore();
  const named = useStored((state) => Boolean(url && state.names[url]));
  const results = useStored((state) => state.results[id] ?? NONE);
  const [chosen, setChosen] = useState("");
  // A preview goes when the node is done: what is made of it is the picture.
  if (!url || (!running && !results.length)) return null;
  const shown = results.includes(chosen) && !running ? chosen : url;
  return (
    <>
      <button
        type="button"
        className={`nbg-hero${stale ? " nbg-stale" : ""}`}
        aria-label={`see the ${running ? "preview" : "result"} of ${id} in full size`}
        title={stale ? "of an older run; click to see it large" : "see it large"}
        disabled={running || !named}
        onClick={() => store.showLarge({ node: id, url: shown })}
      >
        <img
          className="nbg-result"
          src={shown}
          alt={running ? `preview of ${id}` : `result of ${id}`}
          draggable={false}
        />
      </button>
      {!far && results.length > 1 && (
        <span className="nbg-strip nodrag">
          {results.map((one, number) => (
            <button
              key={one}
              type="button"
              aria-pressed={one === shown}
              aria-label={number ? `result ${number} before the last of ${id}` : `last result of ${id}`}
              onClick={() => setChosen(one)}
            >
              <img src={one} alt="" draggable={false} />
            </button>
          ))}
        </span>
      )}
    </>
  );
}
