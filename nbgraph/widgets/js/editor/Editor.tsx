// One view of the editor: toolbar, canvas, palette, and what the person is told.
import { useReactFlow } from "@xyflow/react";
import { type KeyboardEvent, type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";

import { act, addAt, centre, insert, type View } from "./actions.ts";
import { Canvas, type CanvasHandle } from "./Canvas.tsx";
import { CodePane } from "./CodePane.tsx";
import { addNode, freeId, type LooseEnd } from "./commands.ts";
import { useOpenBelow, useStore, useStored } from "./context.ts";
import { hasFiles, takeFile } from "./files.ts";
import { inside } from "./floating.ts";
import type { AnyFlowNode } from "./flow.ts";
import { KeysSheet } from "./KeysSheet.tsx";
import { KeyboardWire } from "./keyboard_wire.ts";
import { type Command, commandOf } from "./keys.ts";
import { LargeView } from "./LargeView.tsx";
import { Lost, SavedMark } from "./Lost.tsx";
import { type Items, Menu } from "./Menu.tsx";
import { menuOf, type Place } from "./menus.ts";
import { useFirstSize } from "./opening.ts";
import { PaintOver } from "./PaintOver.tsx";
import { Palette } from "./Palette.tsx";
import { Prompt, type Question } from "./Prompt.tsx";
import type { Template } from "./protocol.ts";
import { Start } from "./Start.tsx";
import type { Found } from "./search.ts";
import { type EditorState, problemsOf } from "./state.ts";
import { Toolbar } from "./Toolbar.tsx";

interface Opened {
  at: { x: number; y: number };
  loose: LooseEnd | null;
}

/** A map is of use from here on; in large graphs it is shown on request, as it looks at every node in each frame. */
const MAP_FROM = 12;
const MAP_UP_TO = 500;
const PALETTE = { width: 470, height: 390 };
/** Milliseconds that what became of a wire can be read. */
const READ = 4000;
/** Milliseconds in which the browser says what is pasted. */
const PASTE = 40;
const MENU = { width: 230, height: 400 };

const isMapped = ({ document: { nodes } }: Pick<EditorState, "document">): boolean =>
  nodes.size > MAP_FROM && nodes.size <= MAP_UP_TO;

/** A view lies over the canvas and has the keys. */
const isCovered = ({ large, painting }: EditorState): boolean => large !== null || painting !== null;

export function Editor() {
  const store = useStore();
  const flow = useReactFlow<AnyFlowNode>();
  const openBelow = useOpenBelow();
  const readOnly = useStored((one) => one.readOnly);
  const lost = useStored((one) => one.lost);
  const marks = useStored((one) => one.marks.text);
  // An open menu follows what can be done now.
  useStored((one) => one.canRun);
  const root = useRef<HTMLDivElement>(null);
  const canvas = useRef<CanvasHandle>(null);
  const place = useRef<HTMLDivElement>(null);
  const size = useFirstSize(place);
  const pointer = useRef<{ x: number; y: number } | null>(null);
  const [active, setActive] = useState(false);
  const [minimap, setMinimap] = useState<boolean | null>(null);
  const mapped = useStored(isMapped);
  const [opened, setOpened] = useState<Opened | null>(null);
  const [menu, setMenu] = useState<{ at: Opened["at"]; place: Place } | null>(null);
  const [sheet, setSheet] = useState(false);
  const [code, setCode] = useState(false);
  const [recent, setRecent] = useState<string[]>([]);
  const [full, toggleFull] = useFullScreen(root);
  const [question, setQuestion] = useState<Question | null>(null);
  const openPalette = useCallback(
    (at: { x: number; y: number }, loose: LooseEnd | null) => {
      if (!store.readOnly) setOpened({ at, loose });
    },
    [store],
  );
  const openMenu = useCallback((at: Opened["at"], place: Place) => setMenu({ at, place }), []);
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
      look: (ids) => canvas.current?.look(ids),
      toggleCode: () => setCode((shown) => !shown),
      showKeys: () => setSheet((shown) => !shown),
      openPalette: () => openPalette(pointer.current ?? paletteAt(root.current!), null),
      toggleMinimap: () => setMinimap((shown) => !(shown ?? isMapped(store))),
      prompt: (label, text) => new Promise((resolve) => setQuestion({ label, text, answer: resolve })),
    }),
    [store, flow, openPalette],
  );
  const doCommand = useCallback((command: Command) => act(view, command), [view]);
  useEffect(() => leaveOutside(root.current!, () => setActive(false)), []);
  useEffect(() => keepFocus(root.current!), []);
  const pasting = useRef<ReturnType<typeof setTimeout>>(undefined);
  const [wireText, setWireText] = useState("");
  const wire = useMemo(() => new KeyboardWire(view, setWireText, openPalette), [view, openPalette]);
  useEffect(() => {
    if (!wireText || wire.active) return;
    const timer = setTimeout(() => setWireText(""), READ);
    return () => clearTimeout(timer);
  }, [wireText, wire]);
  const key = (event: KeyboardEvent): void => {
    if (!opened && !question && !menu && !sheet && wire.key(event)) return;
    const target = event.target as HTMLElement;
    const command = commandOf(event, target.tagName);
    if (!command || opened || question || menu || sheet || isCovered(store.state.getState())) return;
    if (command === "paste") {
      // The browser says a moment later what is pasted: a file goes before what was copied here.
      pasting.current = setTimeout(() => doCommand(command), PASTE);
      return;
    }
    event.preventDefault();
    doCommand(command);
  };
  const takeFiles = (data: DataTransfer | null, at: Opened["at"]): boolean => {
    const files = [...(data?.files ?? [])];
    for (const file of files) void takeFile(view, file, flow.screenToFlowPosition(at));
    return files.length > 0;
  };
  const back = useCallback((): void => root.current?.focus({ preventScroll: true }), []);
  const backTo = useCallback(
    (from: HTMLElement | null): void => (from?.isConnected ? from : root.current!).focus({ preventScroll: true }),
    [],
  );
  const close = (): void => {
    setOpened(null);
    back();
  };
  const closeMenu = useCallback((): void => {
    setMenu(null);
    back();
  }, [back]);
  const choose = (found: Found, { at, loose }: Opened): void => {
    setRecent((before) => [found.key, ...before.filter((key) => key !== found.key)]);
    const place = flow.screenToFlowPosition(at);
    if (found.kind === "template") insert(view, found.template, place);
    else addAt(view, found.name, place, loose);
    close();
  };
  const begin = (template: Template, run: boolean): void => {
    insert(view, template, null, run);
    back();
    if (run) store.runAll(null);
  };
  const takeAsInput = (name: string): void => {
    const id = freeId(store.document, "image");
    const { x, y } = flow.screenToFlowPosition(centre(root.current!));
    store.edit([...addNode(id, "image", x, y), ["input", id, "image", { value: { image_name: name } }]]);
    view.select([id]);
    view.look([id]);
  };
  const openTemplates = (): Items =>
    store.templates.map((template) => ({
      label: template.name,
      act: () =>
        insert(view, template, store.document.nodes.size ? flow.screenToFlowPosition(centre(root.current!)) : null),
    }));
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
        wire.leave();
        const target = event.target as Element;
        if (target.closest(".react-flow__pane")) root.current?.focus({ preventScroll: true });
      }}
      onDragOver={(event) => {
        if (hasFiles(event.dataTransfer)) event.preventDefault();
      }}
      onDrop={(event) => {
        if (!takeFiles(event.dataTransfer, { x: event.clientX, y: event.clientY })) return;
        event.preventDefault();
        event.stopPropagation();
      }}
      onPaste={(event) => {
        if ((event.target as Element).matches("input, textarea")) return;
        event.stopPropagation();
        if (!takeFiles(event.clipboardData, pointer.current ?? centre(root.current!))) return;
        event.preventDefault();
        clearTimeout(pasting.current);
      }}
      onPointerMove={(event) => (pointer.current = { x: event.clientX, y: event.clientY })}
      onPointerLeave={() => {
        pointer.current = null;
        store.draw();
      }}
    >
      <Toolbar act={doCommand} openTemplates={openTemplates} code={code} full={full} toggleFull={toggleFull} />
      <Lost />
      {readOnly && !lost && (
        <p className="nbg-read-only" role="alert">
          Look only: {readOnly}
        </p>
      )}
      {marks && (
        <p className="nbg-run-line nbg-marks" role="note">
          {marks}
        </p>
      )}
      <GraphProblems />
      <div className="nbg-beside">
        <div ref={place} className="nbg-canvas">
          {size && (
            <Canvas
              handle={canvas}
              size={size}
              active={active}
              minimap={minimap ?? mapped}
              openPalette={openPalette}
              openMenu={openMenu}
            />
          )}
          <Start open={begin} search={() => openPalette(paletteAt(root.current!), null)} />
          {opened && (
            <Palette
              at={inside(place.current!, opened.at, PALETTE)}
              loose={opened.loose}
              recent={recent}
              close={close}
              choose={(found) => choose(found, opened)}
            />
          )}
          {menu && (
            <Menu
              label="what can be done here"
              at={inside(place.current!, menu.at, MENU)}
              items={menuOf(view, menu.place)}
              close={closeMenu}
            />
          )}
          {sheet && (
            <KeysSheet
              close={() => {
                setSheet(false);
                back();
              }}
            />
          )}
          <LargeView takeAsInput={takeAsInput} openCanvas={openBelow} back={backTo} />
          <PaintOver back={backTo} />
          {question && (
            <Prompt
              {...question}
              close={() => {
                setQuestion(null);
                root.current?.focus({ preventScroll: true });
              }}
            />
          )}
          <p className={wireText ? "nbg-wire-text" : "nbg-unseen"} role="status">
            {wireText}
          </p>
          <SavedMark />
          <Toasts />
        </div>
        {code && (
          <CodePane
            close={() => {
              setCode(false);
              back();
            }}
          />
        )}
      </div>
    </div>
  );
}

/** Where the palette opens without a pointer: in the middle, over the upper half. */
function paletteAt(root: HTMLElement): Opened["at"] {
  const { x, y } = centre(root);
  return { x: x - PALETTE.width / 2, y: y - PALETTE.height / 2 };
}

function GraphProblems() {
  const problems = useStored((store) => problemsOf(store, ""));
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

/** The wheel scrolls the notebook again once one clicks elsewhere. */
function leaveOutside(root: HTMLElement, leave: () => void): () => void {
  const listen = (event: PointerEvent): void => {
    if (!event.composedPath().includes(root)) leave();
  };
  document.addEventListener("pointerdown", listen, true);
  return () => document.removeEventListener("pointerdown", listen, true);
}

/** A node that has the focus may leave the view, and the page with it: its keys stay the editor's. */
function keepFocus(root: HTMLElement): () => void {
  let last: Element | null = null;
  const note = (event: FocusEvent): void => {
    last = event.target as Element;
  };
  const look = (): void => {
    if (!last || last.isConnected) return;
    last = null;
    const { activeElement } = root.getRootNode() as Document | ShadowRoot;
    if (!activeElement || activeElement === document.body) root.focus({ preventScroll: true });
  };
  const observer = new MutationObserver(look);
  observer.observe(root, { childList: true, subtree: true });
  root.addEventListener("focusin", note);
  return () => {
    observer.disconnect();
    root.removeEventListener("focusin", note);
  };
}

function useFullScreen(root: RefObject<HTMLElement | null>): [boolean, () => void] {
  const [full, setFull] = useState(false);
  useEffect(() => {
    const look = (): void => setFull(document.fullscreenElement === root.current && root.current !== null);
    document.addEventListener("fullscreenchange", look);
    return () => document.removeEventListener("fullscreenchange", look);
  }, [root]);
  const toggle = (): void => {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void root.current?.requestFullscreen?.();
  };
  return [full, toggle];
}
