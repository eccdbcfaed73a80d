import { describe, expect, it } from "vitest";

import type { Change } from "./changes.ts";
import { apply, emptyDocument, type GraphDocument } from "./document.ts";
import { layout } from "./layout.ts";
import { wirePath } from "./route.ts";

const SIZE = { width: 200, height: 100 };
const size = () => SIZE;
const note = (kind: "frame" | "comment", x: number, y: number, width = 400, height = 300): any => ({
  kind,
  x,
  y,
  width,
  height,
  text: "",
  colour: "",
});

/** Nodes at the given places, and edges "from>to". */
function graph(
  places: Record<string, [number, number]>,
  edges: string[],
  notes: Record<string, any> = {},
): GraphDocument {
  const into = new Map<string, [string, string][]>();
  for (const edge of edges) {
    const [from, to] = edge.split(">");
    into.set(to, [...(into.get(to) ?? []), [from, "out"]]);
  }
  return apply(emptyDocument(), [
    ...Object.entries(places).flatMap(([id, [x, y]]): Change[] => [
      ["node", id, "", { type: "any" }],
      ["layout", id, "x", x],
      ["layout", id, "y", y],
    ]),
    ...[...into].map(([id, links]): Change => ["input", id, "in", { links }]),
    ...Object.entries(notes).map(([id, value]): Change => ["note", id, "", value]),
  ]);
}

const places = (document: GraphDocument) =>
  new Map([...document.nodes].map(([id, { layout: at }]) => [id, { x: at.x ?? 0, y: at.y ?? 0 }]));

function overlaps(document: GraphDocument): string[] {
  const all = [...places(document)];
  return all.flatMap(([one, a]) =>
    all
      .filter(([other, b]) => one < other && Math.abs(a.x - b.x) < SIZE.width && Math.abs(a.y - b.y) < SIZE.height)
      .map(([other]) => `${one} ${other}`),
  );
}

describe("layout", () => {
  it("goes from left to right, without overlaps, from the corner where the graph was", () => {
    const before = graph({ a: [50, 70], b: [50, 70], c: [90, 90], d: [60, 80] }, ["a>b", "a>c", "b>d", "c>d"]);
    const after = apply(before, layout(before, [], size));
    const at = places(after);
    expect(overlaps(after)).toEqual([]);
    expect([at.get("a")!.x < at.get("b")!.x, at.get("b")!.x < at.get("d")!.x]).toEqual([true, true]);
    expect(at.get("b")!.x).toBe(at.get("c")!.x);
    expect(Math.min(...[...at.values()].map(({ y }) => y))).toBe(70);
  });
  it("keeps a chain straight", () => {
    const before = graph({ a: [0, 0], b: [0, 300], c: [0, 600] }, ["a>b", "b>c"]);
    const at = places(apply(before, layout(before, [], size)));
    expect(new Set([...at.values()].map(({ y }) => y)).size).toBe(1);
  });
  it("packs parts that are not linked into the shape of the view", () => {
    const ids = Array.from({ length: 24 }, (_, number) => `n${number}`);
    const before = graph(Object.fromEntries(ids.map((id) => [id, [0, 0] as [number, number]])), []);
    const wide = places(apply(before, layout(before, [], size, 3)));
    const tall = places(apply(before, layout(before, [], size, 0.5)));
    const width = (at: Map<string, { x: number }>): number => Math.max(...[...at.values()].map(({ x }) => x));
    expect(width(wide)).toBeGreaterThan(2 * width(tall));
    expect(overlaps(apply(before, layout(before, [], size, 3)))).toEqual([]);
  });
  it("keeps the nodes of a frame together in it, and a comment with its node", () => {
    const before = graph({ a: [20, 20], b: [20, 140], c: [900, 900], far: [900, 0] }, ["a>c", "b>c", "far>c"], {
      box: note("frame", 0, 0),
      words: note("comment", 900, 860, 100, 30),
    });
    const after = apply(before, layout(before, [], size));
    const frame = after.notes.get("box")!;
    for (const id of ["a", "b"]) {
      const { x, y } = places(after).get(id)!;
      expect([x >= frame.x, y >= frame.y, x + 200 <= frame.x + frame.width, y + 100 <= frame.y + frame.height]).toEqual(
        [true, true, true, true],
      );
    }
    expect(overlaps(after)).toEqual([]);
    const c = places(after).get("c")!;
    expect(after.notes.get("words")).toMatchObject({ x: c.x, y: c.y - 40 });
  });
  it("moves only the chosen nodes, and ends although edges go around", () => {
    const before = graph({ a: [0, 0], b: [10, 10], c: [20, 20] }, ["a>b", "b>a", "b>c"]);
    expect(new Set(layout(before, ["a", "b"], size).map(([, id]) => id))).toEqual(new Set(["a", "b"]));
    expect(overlaps(apply(before, layout(before, [], size)))).toEqual([]);
  });
});

describe("a wire", () => {
  const ends = { sourceX: 0, sourceY: 0, targetX: 800, targetY: 0 };
  it("is a curve where nothing lies between", () => expect(wirePath(ends, [])).toMatch(/^M0 0C/));
  it("runs above or below a node in its way, whichever is nearer", () => {
    const path = wirePath(ends, [{ x: 300, y: -20, width: 200, height: 300 }]);
    const y = Number(/ (-?\d+)L/.exec(path)![1]);
    expect(y).toBeLessThan(-20);
    expect(y).toBeGreaterThan(-60);
  });
  it("does not mind a node beside its way", () => {
    expect(wirePath(ends, [{ x: 300, y: 100, width: 200, height: 300 }])).not.toContain("L");
  });
});
