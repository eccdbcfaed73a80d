// One view of the editor: toolbar, canvas, palette, and what the person is told.
import { useReactFlow } from "@xyflow/react";
import { type KeyboardEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";

import { act, addAt, centre, type View } from "./actions.ts";
import { Canvas, type CanvasHandle } from "./Canvas.tsx";
import type { LooseEnd } from "./commands.ts";
import { useStore, useStored } from "./context.ts";
import type { AnyFlowNode } from "./flow.ts";
import { type Command, commandOf } from "./keys.ts";
import { Lost } from "./Lost.tsx";
import { useFirstSize } from "./opening.ts";
import { Palette } from "./Palette.tsx";
import { Prompt, type Question } from "./Prompt.tsx";
import type { EditorStore } from "./store.ts";
import { Toolbar } from "./Toolbar.tsx";

interface Opened {
  at: { x: number; y: number };
  loose: LooseEnd | null;
}

/** A map is of use from here on; in large graphs it is shown on request, as it looks at every node in each frame. */
const MAP_FROM = 12;
const MAP_UP_TO = 500;
const PALETTE = { width: 320, height: 340 };

const isMapped = ({ document: { nodes } }: EditorStore): boolean => nodes.size > MAP_FROM && nodes.size <= MAP_UP_TO;

export function Editor() {
  const store = useStore();
  const flow = useReactFlow<AnyFlowNode>();
  const readOnly = useStored((one) => one.readOnly);
  const lost = useStored((one) => one.lost);
  const root = useRef<HTMLDivElement>(null);
  const canvas = useRef<CanvasHandle>(null);
  const place = useRef<HTMLDivElement>(null);
  const size = useFirstSize(place);
  const pointer = useRef<{ x: number; y: number } | null>(null);
  const [active, setActive] = useState(false);
  const [minimap, setMinimap] = useState<boolean | null>(null);
  const mapped = useStored(isMapped);
  const [opened, setOpened] = useState<Opened | null>(null);
  const [question, setQuestion] = useState<Question | null>(null);
  const openPalette = useCallback(
    (at: { x: number; y: number }, loose: LooseEnd | null) => {
      if (!store.readOnly) setOpened({ at, loose });
    },
    [store],
  );
  const view = useMemo(
    (): View => ({
      store,
      flow,
      get root() {
        return root.current!;
      },
      selected: () => canvas.current?.selected() ?? [],
      selectedEdges: () => canvas.current?.selectedEdges() ?? [],
      select: (ids) => canvas.current?.select(ids),
      openPalette: () => openPalette(pointer.current ?? centre(root.current!), null),
      toggleMinimap: () => setMinimap((shown) => !(shown ?? isMapped(store))),
      prompt: (label, text) => new Promise((resolve) => setQuestion({ label, text, answer: resolve })),
    }),
    [store, flow, openPalette],
  );
  const doCommand = useCallback((command: Command) => act(view, command), [view]);
  useEffect(() => leaveOutside(root.current!, () => setActive(false)), []);
  const key = (event: KeyboardEvent): void => {
    const target = event.target as HTMLElement;
    const command = commandOf(event, target.tagName);
    if (!command || opened || question) return;
    event.preventDefault();
    doCommand(command);
  };
  const close = (): void => {
    setOpened(null);
    root.current?.focus({ preventScroll: true });
  };
  return (
    <div
      ref={root}
      className={`nbg-editor${active ? " nbg-active" : ""}`}
      tabIndex={0}
      role="application"
      aria-label="graph editor"
      onKeyDown={key}
      onPointerDownCapture={(event) => {
        setActive(true);
        const target = event.target as Element;
        if (target.closest(".react-flow__pane")) root.current?.focus({ preventScroll: true });
      }}
      onPointerMove={(event) => (pointer.current = { x: event.clientX, y: event.clientY })}
      onPointerLeave={() => {
        pointer.current = null;
        store.draw();
      }}
    >
      <Toolbar act={doCommand} selected={() => view.selected()} />
      <Lost />
      {readOnly && !lost && (
        <p className="nbg-read-only" role="alert">
          Look only: {readOnly}
        </p>
      )}
      <GraphProblems />
      <div ref={place} className="nbg-canvas">
        {size && (
          <Canvas handle={canvas} size={size} active={active} minimap={minimap ?? mapped} openPalette={openPalette} />
        )}
        <Empty />
        {opened && (
          <Palette
            at={inside(root.current!, opened.at)}
            loose={opened.loose}
            close={close}
            choose={(type) => {
              addAt(view, type, flow.screenToFlowPosition(opened.at), opened.loose);
              close();
            }}
          />
        )}
        {question && (
          <Prompt
            {...question}
            close={() => {
              setQuestion(null);
              root.current?.focus({ preventScroll: true });
            }}
          />
        )}
        <Toasts />
      </div>
    </div>
  );
}

function Empty() {
  const empty = useStored((store) => store.document.nodes.size === 0);
  return empty ? <p className="nbg-empty">Double-click, or press Space, to add a node</p> : null;
}

function GraphProblems() {
  const problems = useStored((store) => store.problemsOf(""));
  if (!problems.length) return null;
  return (
    <p className="nbg-graph-problem" role="alert">
      {problems.map((one) => one.message).join("; ")}
    </p>
  );
}

function Toasts() {
  const store = useStore();
  const toasts = useStored((one) => one.toasts);
  return (
    <div className="nbg-toasts" aria-live="assertive">
      {toasts.map((toast) => (
        <button
          key={toast.id}
          type="button"
          className={`nbg-toast nbg-toast-${toast.kind}`}
          title="dismiss"
          onClick={() => store.dismiss(toast.id)}
        >
          {toast.text}
        </button>
      ))}
    </div>
  );
}

/** Where the palette stands so that it lies within the canvas, for a point of the screen. */
function inside(root: HTMLElement, { x, y }: { x: number; y: number }): { left: number; top: number } {
  const box = root.querySelector(".nbg-canvas")!.getBoundingClientRect();
  return {
    left: Math.max(4, Math.min(x - box.left, box.width - PALETTE.width)),
    top: Math.max(4, Math.min(y - box.top, box.height - PALETTE.height)),
  };
}

/** The wheel scrolls the notebook again once one clicks elsewhere. */
function leaveOutside(root: HTMLElement, leave: () => void): () => void {
  const listen = (event: PointerEvent): void => {
    if (!event.composedPath().includes(root)) leave();
  };
  document.addEventListener("pointerdown", listen, true);
  return () => document.removeEventListener("pointerdown", listen, true);
}
