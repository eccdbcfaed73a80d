// What can be done with the whole graph, and how its run goes.
import { useState } from "react";

import { useStore, useStored } from "./context.ts";
import type { Command } from "./keys.ts";

interface Props {
  act: (command: Command) => void;
  selected: () => string[];
}

export function Toolbar({ act, selected }: Props) {
  const store = useStore();
  const depths = useStored((one) => one.depths);
  const run = useStored((one) => one.run);
  const canRun = useStored((one) => one.canRun);
  const readOnly = useStored((one) => one.readOnly);
  const live = useStored((one) => one.live);
  const path = useStored((one) => one.path);
  const busy = run.status === "running" || run.status === "cancelling";
  const button = (label: string, command: Command, hint: string, disabled = false) => (
    <button type="button" title={hint} disabled={disabled || !live} onClick={() => act(command)}>
      {label}
    </button>
  );
  return (
    <div className="nbg-toolbar" role="toolbar" aria-label="graph editor">
      <button
        type="button"
        className="nbg-run"
        title="run all (Ctrl+Enter)"
        disabled={!canRun || path.length > 0}
        onClick={() => act("run")}
      >
        <span aria-hidden="true">▶</span> Run
      </button>
      <button
        type="button"
        title="run what the selected nodes need"
        disabled={!canRun || path.length > 0}
        onClick={() => runTo(store, selected())}
      >
        Run to here
      </button>
      <button type="button" title="cancel (Ctrl+Alt+Enter)" disabled={!busy} onClick={() => act("cancel")}>
        <span aria-hidden="true">■</span> Cancel
      </button>
      <RunLine />
      <span className="nbg-space" />
      {path.length > 0 && (
        <button type="button" className="nbg-run" onClick={() => void store.ask({ type: "close" })}>
          <span aria-hidden="true">↩</span> Leave {path.at(-1)}
        </button>
      )}
      {button("+ Add", "add", "add a node (Space, Shift+A, double-click)", readOnly !== "")}
      {button("Undo", "undo", "undo (Ctrl+Z)", depths.undo === 0)}
      {button("Redo", "redo", "redo (Ctrl+Shift+Z)", depths.redo === 0)}
      {button("Layout", "layout", "lay the selection out, or everything (L)", readOnly !== "")}
      {button("Fit", "fit", "fit into view (.)")}
      {button("Map", "minimap", "minimap (Alt+M)")}
      <Export />
    </div>
  );
}

function runTo(store: ReturnType<typeof useStore>, ids: string[]): void {
  const nodes = ids.filter((id) => store.document.nodes.has(id));
  if (nodes.length) store.runAll(nodes);
  else store.toast("select the node to run to");
}

function RunLine() {
  const run = useStored((store) => store.run);
  const runs = useStored((store) => store.runs);
  const live = useStored((store) => store.live);
  const problems = useStored((store) => store.problems);
  const all = Object.values(runs);
  const done = all.filter((one) => one.status === "done" || one.status === "cached").length;
  const cached = all.filter((one) => one.status === "cached").length;
  const wrong = Object.values(problems).flat().length;
  const parts = [];
  if (!live) parts.push("no kernel: look only");
  else if (run.status) parts.push(`${run.status} ${done}/${all.length}${cached ? `, ${cached} cached` : ""}`);
  if (live && run.waitsFor) parts.push(run.waitsFor);
  if (run.waiting) parts.push(`${run.waiting} in the queue`);
  if (live && wrong && run.status !== "running") parts.push(`${wrong} open ${wrong === 1 ? "point" : "points"}`);
  return (
    <span className="nbg-run-line" role="status" aria-live="polite">
      {parts.join(" · ")}
    </span>
  );
}

function Export() {
  const store = useStore();
  const [text, setText] = useState<string | null>(null);
  const live = useStored((one) => one.live);
  const show = async (form: string): Promise<void> => {
    const told = await store.ask({ type: "export", form });
    if (told.type !== "done" || told.text === undefined) return;
    setText(told.text);
    await navigator.clipboard?.writeText(told.text).then(
      () => store.toast("copied"),
      () => undefined,
    );
  };
  return (
    <>
      <select
        aria-label="export"
        title="the graph as text"
        value=""
        disabled={!live}
        onChange={(event) => void show(event.target.value)}
      >
        <option value="" disabled>
          Export
        </option>
        <option value="python">Python</option>
        <option value="json">JSON</option>
        <option value="line">link line</option>
      </select>
      {text !== null && (
        <div className="nbg-export" role="dialog" aria-label="the graph as text">
          <textarea
            className="nowheel"
            readOnly
            value={text}
            aria-label="exported text"
            onFocus={(event) => event.target.select()}
            autoFocus
          />
          <button type="button" onClick={() => setText(null)}>
            Close
          </button>
        </div>
      )}
    </>
  );
}
