// Commands on a view: what is selected there, where its middle is, and the store that all views share.
import type { ReactFlowInstance } from "@xyflow/react";
import type { Change } from "./changes.ts";
import { type Clip, copy, paste } from "./clipboard.ts";
import { addNode, disconnect, freeId, type LooseEnd, linkTo, place, remove, rename, toggle } from "./commands.ts";
import type { GraphDocument } from "./document.ts";
import { expected, HEAD } from "./expected.ts";
import { type AnyFlowNode, endsOf } from "./flow.ts";
import type { Command } from "./keys.ts";
import { layout, type Size } from "./layout.ts";
import { modelFor } from "./needs.ts";
import { FIT, readableFrom } from "./opening.ts";
import type { Template } from "./protocol.ts";
import { usedOutputs } from "./rows.ts";
import { typeOf } from "./schema.ts";
import type { EditorStore } from "./store.ts";
import { inserted } from "./templates.ts";

export interface View {
  store: EditorStore;
  flow: ReactFlowInstance<AnyFlowNode>;
  root: HTMLElement;
  selected: () => string[];
  selectedEdges: () => string[];
  select: (ids: string[]) => void;
  /** Bring nodes that were just added into view. */
  look: (ids: string[]) => void;
  openPalette: () => void;
  toggleMinimap: () => void;
  toggleCode: () => void;
  showKeys: () => void;
  /** Ask for a short text in a small dialog; null if the person lets it be. */
  prompt: (label: string, text: string) => Promise<string | null>;
}

const clipboard: { clip: Clip; times: number } = { clip: { nodes: [], notes: [] }, times: 0 };
const STEP = 10;

export function act(view: View, command: Command): void {
  const { store, flow } = view;
  const ids = view.selected();
  const { document } = store;
  switch (command) {
    case "add":
      return view.openPalette();
    case "delete":
      return removeSelected(view);
    case "copy":
      return keep(view, ids);
    case "cut":
      keep(view, ids);
      return removeSelected(view);
    case "paste":
    case "pasteLinked":
      return putIn(view, clipboard.clip, command === "pasteLinked", ++clipboard.times);
    case "duplicate":
      return putIn(view, copy(document, ids), true, 1);
    case "selectAll":
      return view.select([...document.nodes.keys(), ...document.notes.keys()]);
    case "undo":
      return store.undo();
    case "redo":
      return store.redo();
    case "run":
    case "runFront":
      return store.runAll(null, command === "runFront");
    case "runTo":
      return runTo(view, ids);
    case "code":
      return view.toggleCode();
    case "keys":
      return view.showKeys();
    case "cancel":
      return store.cancel();
    case "mute":
    case "bypass":
      return store.edit(toggle(document, ids, "mode", command));
    case "collapse":
      return store.edit(toggle(document, ids, "collapsed", true));
    case "frame":
    case "comment":
      return addNote(view, command, ids);
    case "subgraph":
      return void collapse(view, ids);
    case "open":
      return openLibrary(view, ids);
    case "layout":
      return layOut(view, ids);
    case "fit":
      return void flow.fitView({ ...FIT, nodes: ids.length ? ids.map((id) => ({ id })) : undefined });
    case "minimap":
      return view.toggleMinimap();
    case "zoomIn":
      return void flow.zoomIn();
    case "zoomOut":
      return void flow.zoomOut();
    case "rename":
      return void renameNode(view, ids);
    case "left":
      return move(view, ids, -STEP, 0);
    case "right":
      return move(view, ids, STEP, 0);
    case "up":
      return move(view, ids, 0, -STEP);
    case "down":
      return move(view, ids, 0, STEP);
    case "refresh":
      return void store.ask({ type: "ready" });
    case "escape":
      view.select([]);
      return view.root.focus({ preventScroll: true });
  }
}

function runTo({ store }: View, ids: string[]): void {
  const nodes = ids.filter((id) => store.document.nodes.has(id));
  if (nodes.length) store.runAll(nodes);
  else store.toast("select the node to run to");
}

/** Lay these nodes out, or all of them, in the shape of the view. */
function layOut(view: View, ids: string[]): void {
  const { store } = view;
  const size = (id: string): Size => sizeOf(view, id);
  const middle = (id: string, name: string, side: "source" | "target"): number => portHeight(view, id, name, side);
  store.edit(layout(store.document, ids, size, aspectOf(view.root), middle));
}

/** How far below the top of its node a port is. */
function portHeight({ store }: View, id: string, name: string, side: "source" | "target"): number {
  const node = store.document.nodes.get(id)!;
  const { handles } = expected(node, typeOf(store.schema, node), usedOutputs(store.document, id));
  const handle = handles.find((one) => one.id === name && one.type === side);
  return handle ? handle.y! + handle.height! / 2 : HEAD / 2;
}

export function aspectOf(root: HTMLElement): number {
  const { clientWidth, clientHeight } = root;
  return clientWidth && clientHeight ? clientWidth / clientHeight : 1.8;
}

/** Put a library graph onto the canvas, at its start where it is empty, else about a place; look at its `end` or start. */
export function insert(view: View, template: Template, at: { x: number; y: number } | null, end = false): void {
  const { store } = view;
  const size = (document: GraphDocument, id: string): Size => {
    const node = document.nodes.get(id)!;
    return expected(node, typeOf(store.schema, node), usedOutputs(document, id)).measured;
  };
  const empty = !store.document.nodes.size;
  const { changes, ids } = inserted(store.document, template, at ?? { x: 0, y: 0 }, size, aspectOf(view.root));
  store.edit(changes);
  if (!empty) view.select(ids);
  const places = ids.map((id) => ({ id, x: store.document.nodes.get(id)?.layout.x ?? 0 }));
  view.look(readableFrom(places, view.root.clientWidth, end));
}

/** Add a node at a place on the canvas, linked to the loose end if there is one. */
export function addAt(view: View, type: string, at: { x: number; y: number }, loose: LooseEnd | null): void {
  const { store } = view;
  const id = freeId(store.document, type);
  const links = loose ? linkTo(store.schema, store.document, loose, id, type) : [];
  const { x, y } = freePlace(view, at);
  store.edit([...addNode(id, type, x, y), ...modelFor(store, id, type), ...links]);
  view.select([id]);
}

const [GAP, NEW] = [40, { width: 240, height: 120 }];

/** This place, or the next one to its right where a new node would lie on no other. */
function freePlace(view: View, at: { x: number; y: number }): { x: number; y: number } {
  const boxes = [...view.store.document.nodes.values()].map(({ id, layout: { x = 0, y = 0 } }) => ({
    x,
    y,
    ...sizeOf(view, id),
  }));
  const place = { ...at };
  for (let tries = 0; tries < boxes.length; tries++) {
    const under = boxes.find(
      (box) =>
        place.x < box.x + box.width &&
        place.x + NEW.width > box.x &&
        place.y < box.y + box.height &&
        place.y + NEW.height > box.y,
    );
    if (!under) break;
    place.x = under.x + under.width + GAP;
  }
  return place;
}

function removeSelected(view: View): void {
  const { store } = view;
  const ids = view.selected();
  const edges = view
    .selectedEdges()
    .map(endsOf)
    .filter((one) => !ids.includes(one.target));
  store.edit([...disconnect(store.document, edges), ...remove(store.document, ids)]);
  view.select([]);
  view.root.focus({ preventScroll: true });
}

function keep(view: View, ids: string[]): void {
  if (!ids.length) return;
  clipboard.clip = copy(view.store.document, ids);
  clipboard.times = 0;
}

function putIn(view: View, clip: Clip, outside: boolean, times: number): void {
  const { changes, ids } = paste(view.store.document, clip, outside, times);
  view.store.edit(changes);
  if (ids.length) view.select(ids);
}

function move(view: View, ids: string[], dx: number, dy: number): void {
  const { document } = view.store;
  const changes = ids.flatMap((id): Change[] => {
    const node = document.nodes.get(id);
    const note = document.notes.get(id);
    if (node) return place(id, (node.layout.x ?? 0) + dx, (node.layout.y ?? 0) + dy);
    return note ? [["note", id, "", { ...note, x: note.x + dx, y: note.y + dy }]] : [];
  });
  view.store.edit(changes, `move ${ids.join(" ")}`);
}

function addNote(view: View, kind: "frame" | "comment", ids: string[]): void {
  const { store, flow } = view;
  const id = freeId(store.document, kind);
  const bounds = ids.length ? flow.getNodesBounds(ids) : null;
  const middle = flow.screenToFlowPosition(centre(view.root));
  const place =
    kind === "frame" && bounds
      ? { x: bounds.x - 24, y: bounds.y - 48, width: bounds.width + 48, height: bounds.height + 72 }
      : {
          x: bounds ? bounds.x : middle.x,
          y: bounds ? bounds.y - 110 : middle.y,
          width: 240,
          height: kind === "frame" ? 180 : 90,
        };
  const rounded = Object.fromEntries(Object.entries(place).map(([name, value]) => [name, Math.round(value)]));
  store.edit([["note", id, "", { kind, text: "", colour: "", ...rounded }]]);
  view.select([id]);
}

async function collapse(view: View, ids: string[]): Promise<void> {
  const nodes = ids.filter((id) => view.store.document.nodes.has(id));
  if (nodes.length < 2) return view.store.toast("choose two nodes or more to make a library graph of them");
  const name = await view.prompt("Name of the library graph", "Group");
  if (name) await view.store.ask({ type: "collapse", ids: nodes, name });
}

function openLibrary(view: View, ids: string[]): void {
  const node = ids.length === 1 ? view.store.document.nodes.get(ids[0]) : undefined;
  if (node?.type === "graph") void view.store.ask({ type: "open", id: node.id });
}

async function renameNode(view: View, ids: string[]): Promise<void> {
  const [id] = ids.filter((one) => view.store.document.nodes.has(one));
  if (!id) return;
  const name = (await view.prompt(`A new id for ${id}`, id))?.trim();
  if (!name || name === id) return;
  if (view.store.document.nodes.has(name)) return view.store.toast(`there is a node ${name} already`, "refusal");
  view.store.edit(rename(view.store.document, id, name));
  view.select([name]);
}

/** The size of a node as measured, or as its rows let one expect where it was never drawn. */
export function sizeOf(view: View, id: string): Size {
  const measured = view.flow.getNode(id)?.measured;
  if (measured?.width && measured.height) return { width: measured.width, height: measured.height };
  const node = view.store.document.nodes.get(id)!;
  return expected(node, typeOf(view.store.schema, node), usedOutputs(view.store.document, id)).measured;
}

export function centre(root: HTMLElement): { x: number; y: number } {
  const { left, top, width, height } = root.getBoundingClientRect();
  return { x: left + width / 2, y: top + height / 2 };
}
