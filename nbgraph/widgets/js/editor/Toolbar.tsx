// What can be done with the whole graph, and how its run goes.
import { type ReactNode, useState } from "react";

import { count } from "../units.ts";
import { useStore, useStored } from "./context.ts";
import { Icon, type Sign } from "./icons.tsx";
import { type Command, keysOf } from "./keys.ts";
import { type Items, Menu } from "./Menu.tsx";
import type { NodeRun, Problem, Reason } from "./protocol.ts";
import { typeOf } from "./schema.ts";
import type { EditorState } from "./state.ts";
import type { EditorStore } from "./store.ts";
import { timeLeft } from "./time_left.ts";

interface Props {
  act: (command: Command) => void;
  openTemplates: () => Items;
  code: boolean;
  full: boolean;
  toggleFull: () => void;
}

const TIMES = [1, 2, 4, 8];
/** An empty canvas has nothing to run, and a library graph runs as part of the graph around it. */
const isRunnable = ({ canRun, path, document }: EditorState): boolean =>
  canRun && path.length === 0 && document.nodes.size > 0;
const isBusy = (state: EditorState): boolean => state.run.status === "running" || state.run.status === "cancelling";

export function Toolbar({ act, openTemplates, code, full, toggleFull }: Props) {
  const store = useStore();
  const depths = useStored((one) => one.depths);
  const busy = useStored(isBusy);
  const readOnly = useStored((one) => one.readOnly);
  const live = useStored((one) => one.live);
  const path = useStored((one) => one.path);
  const hasTemplates = useStored((one) => one.templates.length > 0);
  const button = (label: string, sign: Sign | null, command: Command, hint: string, disabled = false) => (
    <button
      type="button"
      className={`nbg-b${sign && sign !== "plus" ? " nbg-square" : ""}`}
      aria-label={label}
      title={`${hint} (${keysOf(command)})`}
      disabled={disabled || !live}
      onClick={() => act(command)}
    >
      {sign && <Icon sign={sign} />}
      {(!sign || sign === "plus") && <span>{label}</span>}
    </button>
  );
  return (
    <div className="nbg-toolbar" role="toolbar" aria-label="graph editor">
      <RunButton />
      <Times />
      {busy && (
        <button
          type="button"
          className="nbg-b"
          aria-label="Cancel"
          title={`cancel (${keysOf("cancel")})`}
          onClick={() => act("cancel")}
        >
          <Icon sign="stop" /> <span>Cancel</span>
        </button>
      )}
      <RunLine />
      {path.length > 0 && (
        <button type="button" className="nbg-b nbg-main" onClick={() => void store.ask({ type: "close" })}>
          Leave {path.at(-1)}
        </button>
      )}
      {button("Add", "plus", "add", "add a node", readOnly !== "")}
      {hasTemplates && (
        <Dropdown label="Templates" disabled={readOnly !== "" || !live} items={openTemplates}>
          <span>Templates</span>
        </Dropdown>
      )}
      <i className="nbg-sep" />
      {button("Undo", "undo", "undo", "undo", depths.undo === 0)}
      {button("Redo", "redo", "redo", "redo", depths.redo === 0)}
      <i className="nbg-sep" />
      {button("Layout", null, "layout", "lay the selection out, or everything", readOnly !== "")}
      {button("Fit", null, "fit", "fit into view")}
      {button("Map", "map", "minimap", "map")}
      <button
        type="button"
        className="nbg-b nbg-square"
        aria-label="Python"
        aria-pressed={code}
        title={`the graph as Python, beside the canvas (${keysOf("code")})`}
        disabled={!live}
        onClick={() => act("code")}
      >
        <Icon sign="code" />
      </button>
      <button
        type="button"
        className="nbg-b nbg-square"
        aria-label="Full screen"
        aria-pressed={full}
        title={full ? "leave full screen (Esc)" : "full screen"}
        onClick={toggleFull}
      >
        <Icon sign={full ? "small" : "full"} />
      </button>
      <Export />
      <button type="button" className="nbg-b nbg-square" aria-label="Keys" title="keys (?)" onClick={() => act("keys")}>
        ?
      </button>
      <Progress />
    </div>
  );
}

function RunButton() {
  const store = useStore();
  const canRun = useStored(isRunnable);
  const share = useStored((one) => shareOf(one.reasons, one.document.nodes.size));
  return (
    <button
      type="button"
      className="nbg-b nbg-main"
      aria-label="Run"
      title={`run${hintOf(share)} (${keysOf("run")})`}
      disabled={!canRun}
      onClick={() => store.runAll(null)}
    >
      <Icon sign="run" /> <span>Run</span>
      {share && <span className="nbg-share">{share}</span>}
    </button>
  );
}

const NOTHING = "all cached";
/** What the kernel says of a graph that would run nothing. */
const ALL_CACHED = "everything is cached";

/** "3 of 6": how many nodes would run; nothing where all of them would. */
function shareOf(reasons: Record<string, Reason>, nodes: number): string {
  const all = Object.values(reasons);
  const runs = all.filter((one) => one.run).length;
  if (!all.length || runs >= nodes) return "";
  return runs ? `${runs} of ${nodes}` : NOTHING;
}

function hintOf(share: string): string {
  if (!share) return "";
  return share === NOTHING ? ": nothing has changed since the last run" : `: ${share} nodes, the rest is cached`;
}

function Times() {
  const store = useStore();
  const canRun = useStored(isRunnable);
  const [times, setTimes] = useState(4);
  const run = (count: number): void => {
    setTimes(count);
    runTimes(store, count);
  };
  const items = (): Items => [
    ...TIMES.slice(1).map((count) => ({ label: `Run ${count} times, another seed each`, act: () => run(count) })),
    null,
    ...TIMES.slice(1).map((count) => ({ label: `×${count} by the button`, act: () => setTimes(count) })),
  ];
  return (
    <span className="nbg-split">
      <button
        type="button"
        className="nbg-b"
        aria-label={`Run ${times} times`}
        title={`run ${times} times, with another random seed each`}
        disabled={!canRun}
        onClick={() => runTimes(store, times)}
      >
        ×{times}
      </button>
      <Dropdown label="How many times" disabled={!canRun} items={items} square>
        <Icon sign="down" />
      </Dropdown>
    </span>
  );
}

/** Several runs in a row; with every seed fixed they would all give the same. */
function runTimes(store: EditorStore, times: number): void {
  const isOpen = [...store.document.nodes.values()].some((node) =>
    typeOf(store.schema, node)?.inputs.some(({ control, name }) => {
      const input = node.inputs[name];
      return control === "seed" && (!input || ("value" in input && input.value == null));
    }),
  );
  if (!isOpen) return store.toast("Every seed is fixed, so all runs would be the same: clear a seed to draw others");
  for (let number = 0; number < times; number++) store.runAll(null);
}

interface DropdownProps {
  label: string;
  disabled?: boolean;
  square?: boolean;
  items: () => Items;
  children: ReactNode;
}

function Dropdown({ label, disabled, square, items, children }: DropdownProps) {
  const [open, setOpen] = useState<{ left: number; top: number } | null>(null);
  return (
    <span className="nbg-dropdown">
      <button
        type="button"
        className={`nbg-b${square ? " nbg-square" : ""}`}
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={open !== null}
        disabled={disabled}
        onClick={(event) => {
          const { offsetLeft, offsetTop, offsetHeight } = event.currentTarget;
          setOpen(open ? null : { left: offsetLeft, top: offsetTop + offsetHeight + 4 });
        }}
      >
        {children}
      </button>
      {open && <Menu label={label} at={open} items={items()} close={() => setOpen(null)} />}
    </span>
  );
}

/** "Denoise 12 / 30 · 4 s left" while it runs, what came of it after. */
function RunLine() {
  const store = useStore();
  const run = useStored((store) => store.run);
  const runs = useStored((store) => store.runs);
  const live = useStored((store) => store.live);
  const problems = useStored((store) => store.problems);
  const running = useStored(runningNode);
  const expected = useStored((store) => store.expected);
  const all = Object.values(runs);
  const done = all.filter((one) => one.status === "done" || one.status === "cached").length;
  const cached = all.filter((one) => one.status === "cached").length;
  const open = openText(Object.values(problems).flat());
  const parts = [];
  if (!live) parts.push(store.isWaiting ? "waiting for the kernel…" : "no kernel: look only");
  else if (run.status === "running" && running) parts.push(running);
  else if (run.status) parts.push(`${run.status} ${done} of ${all.length}${cached ? `, ${cached} cached` : ""}`);
  if (live && run.waitsFor) parts.push(run.waitsFor);
  // The button says that all is cached.
  const next = run.status && expected === ALL_CACHED ? "" : expected;
  if (live && next && run.status !== "running") parts.push(run.status ? `next run: ${next}` : next);
  if (run.waiting) parts.push(`${run.waiting} in the queue`);
  if (live && open && run.status !== "running") parts.push(open);
  return (
    <span className="nbg-run-line" role="status" aria-live="polite">
      {parts.join(" · ")}
    </span>
  );
}

/** "2 inputs missing, 1 problem" */
function openText(problems: Problem[]): string {
  const missing = problems.filter((one) => one.kind === "missing_input").length;
  const others = problems.length - missing;
  return [missing && `${count(missing, "input")} missing`, others && count(others, "problem")]
    .filter(Boolean)
    .join(", ");
}

function runningNode({ runs, document, schema, since, heard }: EditorState): string {
  const found = Object.entries(runs).find(([, one]) => one.status === "running");
  if (!found) return "";
  const [id, run] = found;
  const { step, steps } = run;
  const node = document.nodes.get(id);
  const title = (node && typeOf(schema, node)?.title) ?? id;
  const left = timeLeft(run, since[id], heard);
  return steps ? `${title} ${step} / ${steps}${left ? ` · ${left}` : ""}` : title;
}

function Progress() {
  const busy = useStored(isBusy);
  const share = useStored((state) => progressOf(state.runs));
  return busy ? <i className="nbg-run-progress" style={{ transform: `scaleX(${share})` }} /> : null;
}

function progressOf(runs: Record<string, NodeRun>): number {
  const all = Object.values(runs);
  const done = all.reduce((sum, one) => {
    if (one.status === "running") return sum + (one.steps ? one.step / one.steps : 0.2);
    return sum + (one.status === "waiting" ? 0 : 1);
  }, 0);
  return all.length ? done / all.length : 0;
}

const FORMS = { python: "Python", json: "JSON", line: "a link line" } as const;

function Export() {
  const store = useStore();
  const [text, setText] = useState<string | null>(null);
  const live = useStored((one) => one.live);
  const show = async (form: string): Promise<void> => {
    store.flush();
    const told = await store.ask({ type: "export", form });
    if (told.type !== "done" || told.text === undefined) return;
    setText(told.text);
    await navigator.clipboard?.writeText(told.text).then(
      () => store.toast("copied"),
      () => undefined,
    );
  };
  const items = (): Items =>
    Object.entries(FORMS).map(([form, name]) => ({ label: `The graph as ${name}`, act: () => void show(form) }));
  return (
    <>
      <Dropdown label="Export" disabled={!live} items={items} square>
        <Icon sign="more" />
      </Dropdown>
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
          <button type="button" className="nbg-b" onClick={() => setText(null)}>
            Close
          </button>
        </div>
      )}
    </>
  );
}
