// Auto layout, from left to right in layers. Parts of the graph that are not linked are laid out by themselves and packed
// to the shape of the view; the nodes in a frame stay together. It takes milliseconds for a thousand nodes.
import type { Change } from "./changes.ts";
import { place } from "./commands.ts";
import { type GraphDocument, linksOf, type Note } from "./document.ts";

export interface Size {
  width: number;
  height: number;
}

interface Point {
  x: number;
  y: number;
}

interface Box extends Size {
  id: string;
}

/** An edge and how far below the top of its node each end is. */
interface Line {
  from: string;
  to: string;
  fromY: number;
  toY: number;
}

interface Plan extends Size {
  places: Map<string, Point>;
}

export const GAP_ACROSS = 74;
export const GAP_DOWN = 28;
const GAP_PARTS = 64;
const FRAME = { left: 24, top: 48, right: 24, bottom: 24 };
const SWEEPS = 6;

/** Places for these nodes (all of them where fewer than two are given); the top left corner of the whole stays. */
export function layout(
  document: GraphDocument,
  ids: string[],
  sizeOf: (id: string) => Size,
  aspect = 1.8,
  heightOf: (id: string, name: string, side: "source" | "target") => number = () => 0,
): Change[] {
  const chosen = ids.filter((id) => document.nodes.has(id));
  const all = chosen.length < 2;
  const members = new Set(all ? document.nodes.keys() : chosen);
  if (!members.size) return [];
  const frames = all ? framed(document, sizeOf) : new Map<string, string[]>();
  const owner = new Map([...frames].flatMap(([frame, own]) => own.map((id): [string, string] => [id, frame])));
  const lines = linesOf(document, members, heightOf);
  const inner = new Map<string, Plan>();
  for (const [frame, own] of frames) inner.set(frame, arranged(boxes(own, sizeOf), lines, aspect));
  const outer: Box[] = [];
  for (const id of members) if (!owner.has(id)) outer.push({ id, ...sizeOf(id) });
  for (const [frame, { width, height }] of inner) {
    outer.push({
      id: `frame ${frame}`,
      width: width + FRAME.left + FRAME.right,
      height: height + FRAME.top + FRAME.bottom,
    });
  }
  const within = (id: string): Point => {
    const place = inner.get(owner.get(id) ?? "")?.places.get(id);
    return place ? { x: place.x + FRAME.left, y: place.y + FRAME.top } : { x: 0, y: 0 };
  };
  const name = (id: string): string => (owner.has(id) ? `frame ${owner.get(id)}` : id);
  const across = lines
    .filter(({ from, to }) => name(from) !== name(to))
    .map(({ from, to, fromY, toY }) => ({
      from: name(from),
      to: name(to),
      fromY: fromY + within(from).y,
      toY: toY + within(to).y,
    }));
  const { places } = arranged(outer, across, aspect);
  const corner = cornerOf(document, members);
  const changes: Change[] = [];
  const moved = new Map<string, Point>();
  for (const id of members) {
    const base = places.get(name(id))!;
    const to = { x: corner.x + base.x + within(id).x, y: corner.y + base.y + within(id).y };
    const { x = 0, y = 0 } = document.nodes.get(id)!.layout;
    moved.set(id, { x: to.x - x, y: to.y - y });
    changes.push(...place(id, to.x, to.y));
  }
  for (const [frame, plan] of inner) {
    const base = places.get(`frame ${frame}`)!;
    changes.push(noteAt(frame, document.notes.get(frame)!, corner.x + base.x, corner.y + base.y, plan));
  }
  return all ? [...changes, ...comments(document, moved)] : changes;
}

const boxes = (ids: string[], sizeOf: (id: string) => Size): Box[] => ids.map((id) => ({ id, ...sizeOf(id) }));

function cornerOf(document: GraphDocument, members: Set<string>): Point {
  const places = [...members].map((id) => document.nodes.get(id)!.layout);
  return { x: Math.min(...places.map(({ x = 0 }) => x)), y: Math.min(...places.map(({ y = 0 }) => y)) };
}

function noteAt(id: string, note: Note, x: number, y: number, plan: Size): Change {
  const width = Math.round(plan.width + FRAME.left + FRAME.right);
  const height = Math.round(plan.height + FRAME.top + FRAME.bottom);
  return ["note", id, "", { ...note, x: Math.round(x), y: Math.round(y), width, height }];
}

/** The nodes whose middle is in a frame, by frame; a node in two belongs to the first. */
function framed(document: GraphDocument, sizeOf: (id: string) => Size): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const frames = [...document.notes].filter(([, note]) => note.kind === "frame");
  for (const [id, { layout }] of frames.length ? document.nodes : []) {
    const { width, height } = sizeOf(id);
    const x = (layout.x ?? 0) + width / 2;
    const y = (layout.y ?? 0) + height / 2;
    const frame = frames.find(([, f]) => x > f.x && x < f.x + f.width && y > f.y && y < f.y + f.height);
    if (frame) found.set(frame[0], [...(found.get(frame[0]) ?? []), id]);
  }
  return found;
}

/** Comments go along with the node they are nearest to. */
function comments(document: GraphDocument, moved: Map<string, Point>): Change[] {
  return [...document.notes].flatMap(([id, note]): Change[] => {
    if (note.kind !== "comment") return [];
    let nearest = { id: "", distance: Number.POSITIVE_INFINITY };
    for (const [node, { layout }] of document.nodes) {
      const distance = Math.hypot((layout.x ?? 0) - note.x, (layout.y ?? 0) - note.y);
      if (distance < nearest.distance) nearest = { id: node, distance };
    }
    const by = moved.get(nearest.id);
    return by ? [["note", id, "", { ...note, x: Math.round(note.x + by.x), y: Math.round(note.y + by.y) }]] : [];
  });
}

function linesOf(
  document: GraphDocument,
  members: Set<string>,
  heightOf: (id: string, name: string, side: "source" | "target") => number,
): Line[] {
  const lines: Line[] = [];
  for (const id of members) {
    for (const [field, input] of Object.entries(document.nodes.get(id)!.inputs)) {
      for (const [source, output] of linksOf(input)) {
        if (!members.has(source) || source === id) continue;
        lines.push({
          from: source,
          to: id,
          fromY: heightOf(source, output, "source"),
          toY: heightOf(id, field, "target"),
        });
      }
    }
  }
  return lines;
}

/** Each linked part by itself, then all of them in rows about as wide as the view wants. */
function arranged(all: Box[], lines: Line[], aspect: number): Plan {
  const known = new Set(all.map((box) => box.id));
  const own = lines.filter(({ from, to }) => known.has(from) && known.has(to));
  return packed(
    parts(all, own).map(({ boxes, lines }) => layered(boxes, lines)),
    aspect,
  );
}

function parts(all: Box[], lines: Line[]): { boxes: Box[]; lines: Line[] }[] {
  const root = new Map(all.map(({ id }) => [id, id]));
  const find = (id: string): string => {
    let at = id;
    while (root.get(at) !== at) at = root.get(at)!;
    root.set(id, at);
    return at;
  };
  for (const { from, to } of lines) root.set(find(from), find(to));
  const found = new Map<string, { boxes: Box[]; lines: Line[] }>();
  for (const box of all) {
    const part = found.get(find(box.id)) ?? { boxes: [], lines: [] };
    part.boxes.push(box);
    found.set(find(box.id), part);
  }
  for (const line of lines) found.get(find(line.from))!.lines.push(line);
  return [...found.values()];
}

function packed(plans: Plan[], aspect: number): Plan {
  const area = plans.reduce((sum, { width, height }) => sum + (width + GAP_PARTS) * (height + GAP_PARTS), 0);
  const wide = Math.max(Math.sqrt(area * aspect), ...plans.map(({ width }) => width));
  const places = new Map<string, Point>();
  let [x, y, rowHeight, width] = [0, 0, 0, 0];
  for (const plan of plans) {
    if (x && x + plan.width > wide) [x, y, rowHeight] = [0, y + rowHeight + GAP_PARTS, 0];
    for (const [id, point] of plan.places) places.set(id, { x: x + point.x, y: y + point.y });
    width = Math.max(width, x + plan.width);
    rowHeight = Math.max(rowHeight, plan.height);
    x += plan.width + GAP_PARTS;
  }
  return { places, width, height: y + rowHeight };
}

/** One linked part: layers by depth, in each an order with few crossings, then heights that keep wires straight. */
function layered(all: Box[], lines: Line[]): Plan {
  const into = new Map<string, Line[]>(all.map(({ id }) => [id, []]));
  const out = new Map<string, Line[]>(all.map(({ id }) => [id, []]));
  for (const line of lines) {
    into.get(line.to)!.push(line);
    out.get(line.from)!.push(line);
  }
  const layers = layersOf(all, into, out);
  const y = new Map<string, number>();
  for (const layer of layers) stack(layer, y);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forward = sweep % 2 === 0;
    for (const layer of forward ? layers : [...layers].reverse())
      align(layer, forward ? into : out, y, sweep < SWEEPS - 2);
  }
  const top = Math.min(...y.values());
  const places = new Map<string, Point>();
  let x = 0;
  let height = 0;
  for (const layer of layers) {
    for (const box of layer) {
      const at = y.get(box.id)! - top;
      places.set(box.id, { x, y: at });
      height = Math.max(height, at + box.height);
    }
    x += Math.max(...layer.map((box) => box.width)) + GAP_ACROSS;
  }
  return { places, width: x - GAP_ACROSS, height };
}

/** The longest way to each node; then each goes as far right as what it is for allows. Edges of a cycle are passed over. */
function layersOf(all: Box[], into: Map<string, Line[]>, out: Map<string, Line[]>): Box[][] {
  const depth = new Map<string, number>();
  const waiting = new Map(all.map(({ id }) => [id, into.get(id)!.length]));
  const ready = all.filter(({ id }) => !waiting.get(id)).map(({ id }) => id);
  const order: string[] = [];
  for (let at = 0; order.length < all.length; at++) {
    if (at === ready.length) ready.push(all.find(({ id }) => waiting.get(id)! > 0 && !depth.has(id))!.id);
    const id = ready[at];
    if (!depth.has(id)) depth.set(id, 0);
    waiting.set(id, 0);
    order.push(id);
    for (const { to } of out.get(id)!) {
      if (!waiting.get(to)) continue;
      depth.set(to, Math.max(depth.get(to) ?? 0, depth.get(id)! + 1));
      waiting.set(to, waiting.get(to)! - 1);
      if (!waiting.get(to)) ready.push(to);
    }
  }
  const rank = new Map(order.map((id, number) => [id, number]));
  for (const id of order.reverse()) {
    const later = out.get(id)!.filter(({ to }) => rank.get(to)! > rank.get(id)!);
    if (later.length && into.get(id)!.length) {
      depth.set(id, Math.max(depth.get(id)!, Math.min(...later.map(({ to }) => depth.get(to)!)) - 1));
    }
  }
  const layers: Box[][] = [];
  for (const box of all) {
    const at = depth.get(box.id)!;
    layers[at] = [...(layers[at] ?? []), box];
  }
  return layers.filter(Boolean);
}

function stack(layer: Box[], y: Map<string, number>): void {
  let at = 0;
  for (const box of layer) {
    y.set(box.id, at);
    at += box.height + GAP_DOWN;
  }
}

/** Move the nodes of a layer to where their wires would be straight, in that order if it may change, without overlaps. */
function align(layer: Box[], lines: Map<string, Line[]>, y: Map<string, number>, reorder: boolean): void {
  const wanted = new Map(
    layer.map((box) => {
      const own = lines.get(box.id)!;
      if (!own.length) return [box.id, y.get(box.id)!];
      const ends = own.map(({ from, to, fromY, toY }) =>
        to === box.id ? y.get(from)! + fromY - toY : y.get(to)! + toY - fromY,
      );
      return [box.id, ends.reduce((sum, one) => sum + one, 0) / ends.length];
    }),
  );
  if (reorder) layer.sort((one, other) => wanted.get(one.id)! - wanted.get(other.id)!);
  settle(layer, wanted, y);
}

/** Heights as near to the wanted ones as their order allows: blocks of nodes that touch stand at their mean. */
function settle(layer: Box[], wanted: Map<string, number>, y: Map<string, number>): void {
  const blocks: { boxes: Box[]; at: number; height: number; count: number }[] = [];
  for (const box of layer) {
    let block = { boxes: [box], at: wanted.get(box.id)!, height: box.height + GAP_DOWN, count: 1 };
    for (let last = blocks.at(-1); last && last.at + last.height > block.at; last = blocks.at(-1)) {
      blocks.pop();
      const count = last.count + block.count;
      const at = (last.at * last.count + (block.at - last.height) * block.count) / count;
      block = { boxes: [...last.boxes, ...block.boxes], at, height: last.height + block.height, count };
    }
    blocks.push(block);
  }
  for (const block of blocks) {
    let at = block.at;
    for (const box of block.boxes) {
      y.set(box.id, at);
      at += box.height + GAP_DOWN;
    }
  }
}
