// The sheet of keys.
import { type KeyboardEvent, useEffect, useRef } from "react";

import { type Command, keysOf } from "./keys.ts";

const SHEET: [string, [string, Command][]][] = [
  [
    "Run",
    [
      ["Run", "run"],
      ["Run first", "runFront"],
      ["Cancel", "cancel"],
    ],
  ],
  [
    "Draw",
    [
      ["Add a node", "add"],
      ["Delete", "delete"],
      ["Duplicate", "duplicate"],
      ["Copy, cut, paste", "copy"],
      ["Paste with wires", "pasteLinked"],
      ["Undo", "undo"],
      ["Redo", "redo"],
      ["Rename", "rename"],
      ["Comment", "comment"],
      ["Frame", "frame"],
    ],
  ],
  [
    "Nodes",
    [
      ["Mute", "mute"],
      ["Bypass", "bypass"],
      ["Collapse", "collapse"],
      ["Make a library graph", "subgraph"],
      ["Open a library graph", "open"],
    ],
  ],
  [
    "View",
    [
      ["Lay out", "layout"],
      ["Fit", "fit"],
      ["Map", "minimap"],
      ["Python code", "code"],
      ["Zoom in", "zoomIn"],
      ["Zoom out", "zoomOut"],
      ["Select all", "selectAll"],
      ["Select nothing", "escape"],
    ],
  ],
];
const PORTS = [
  ["Enter on a port", "begin a wire"],
  ["Arrows, Tab", "go through the ports that fit"],
  ["Enter", "connect"],
  ["Space", "add a node that fits"],
  ["Escape", "let go"],
];
const MOUSE = [
  ["Double-click", "add a node there"],
  ["Drag on the canvas", "move the view"],
  ["Shift + drag", "select a box"],
  ["Drop a wire on a node", "first port that fits"],
  ["Drop a wire on the canvas", "add what fits"],
  ["Drag on a number", "change it"],
];

export function KeysSheet({ close }: { close: () => void }) {
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => root.current?.focus({ preventScroll: true }), []);
  const key = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" && event.key !== "?") return;
    event.preventDefault();
    event.stopPropagation();
    close();
  };
  return (
    <div ref={root} className="nbg-sheet nowheel" role="dialog" aria-label="keys" tabIndex={-1} onKeyDown={key}>
      {SHEET.map(([title, rows]) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl>
            {rows.map(([label, command]) => (
              <div key={label}>
                <dt>{label}</dt>
                <dd>
                  <kbd>{keysOf(command)}</kbd>
                </dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <Plain title="Wires by keys" rows={PORTS} />
      <Plain title="Mouse" rows={MOUSE} />
      <button type="button" className="nbg-b" onClick={close}>
        Close
      </button>
    </div>
  );
}

function Plain({ title, rows }: { title: string; rows: string[][] }) {
  return (
    <section>
      <h3>{title}</h3>
      <dl>
        {rows.map(([how, what]) => (
          <div key={how}>
            <dt>{how}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
