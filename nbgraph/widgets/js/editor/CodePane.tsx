// The graph as Python beside the canvas. It follows the drawing, and what is typed there is drawn.
import { Fragment, useEffect, useMemo, useRef, useSyncExternalStore } from "react";

import { cellBelow } from "./cell_below.ts";
import { CodeText } from "./code_text.ts";
import { useStore, useStored } from "./context.ts";
import { Icon } from "./icons.tsx";
import { piecesOf } from "./python_words.ts";

export function CodePane({ close }: { close: () => void }) {
  const store = useStore();
  const readOnly = useStored((one) => one.readOnly !== "");
  const lost = useStored((one) => one.lost);
  const code = useMemo(() => new CodeText(store), [store]);
  const { known, text, error, line, stale } = useSyncExternalStore(code.subscribe, () => code.state);
  const pane = useRef<HTMLElement>(null);
  useEffect(() => code.follow(), [code]);
  const copy = async (): Promise<void> => {
    await navigator.clipboard?.writeText(text).then(
      () => store.toast("copied"),
      () => undefined,
    );
  };
  const toCell = async (): Promise<void> => {
    const insert = await cellBelow(store.model, pane.current!);
    if (insert) insert(text);
    else store.toast("no notebook here to write into: copy the code");
  };
  return (
    <aside ref={pane} className="nbg-code" aria-label="the graph as Python">
      <div className="nbg-code-bar">
        <strong>Python</strong>
        <span className="nbg-code-space" />
        <button type="button" className="nbg-b" title="copy the code" onClick={() => void copy()}>
          Copy
        </button>
        <button type="button" className="nbg-b" title="write the code into a cell below" onClick={() => void toCell()}>
          To a cell
        </button>
        <button type="button" className="nbg-b nbg-square" aria-label="Close the code" title="close" onClick={close}>
          <Icon sign="close" />
        </button>
      </div>
      <Lines text={text} wrong={line} locked={readOnly || lost || !known} type={(typed) => code.type(typed)} />
      <div className="nbg-code-below" role="status">
        {stale && (
          <div className="nbg-code-stale">
            The drawing has changed meanwhile.
            <span>
              <button type="button" className="nbg-b" onClick={() => code.showNewest()}>
                Show it
              </button>
              <button type="button" className="nbg-b" onClick={() => code.drawAnyway()}>
                Keep my code
              </button>
            </span>
          </div>
        )}
        {error && (
          <p className="nbg-code-error">
            <b>line {line}</b> {error}
          </p>
        )}
      </div>
    </aside>
  );
}

interface LinesProps {
  text: string;
  wrong: number;
  locked: boolean;
  type: (text: string) => void;
}

/** The field for the code lies over the same code in colours; both scroll together. */
function Lines({ text, wrong, locked, type }: LinesProps) {
  const pieces = useMemo(() => piecesOf(text), [text]);
  const count = text.split("\n").length;
  return (
    <div className="nbg-code-lines nowheel">
      <div className="nbg-code-numbers" aria-hidden="true">
        {Array.from({ length: count }, (_, number) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a line is its number
          <div key={number} className={number + 1 === wrong ? "nbg-code-wrong" : undefined}>
            {number + 1}
          </div>
        ))}
      </div>
      <div className="nbg-code-text">
        <pre aria-hidden="true">
          {pieces.map(([kind, piece], number) =>
            kind ? (
              // biome-ignore lint/suspicious/noArrayIndexKey: pieces have no name
              <span key={number} className={`nbg-code-${kind}`}>
                {piece}
              </span>
            ) : (
              // biome-ignore lint/suspicious/noArrayIndexKey: pieces have no name
              <Fragment key={number}>{piece}</Fragment>
            ),
          )}
          {"\n"}
        </pre>
        <textarea
          aria-label="code of the graph"
          spellCheck={false}
          autoCapitalize="off"
          wrap="off"
          readOnly={locked}
          value={text}
          onChange={(event) => type(event.target.value)}
        />
      </div>
    </div>
  );
}
