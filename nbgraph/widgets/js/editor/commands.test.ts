import { describe, expect, it } from "vitest";

import { copy, paste } from "./clipboard.ts";
import { connect, disconnect, freeId, linkTo, remove, rename, toggle } from "./commands.ts";
import { whyNot } from "./connect.ts";
import { apply, emptyDocument, linksOf } from "./document.ts";
import { listText, numberText, readList, readNumber } from "./exact.ts";
import { ASSIGNABLE, SNAPSHOT, TYPES } from "./fake.test.ts";
import { commandOf } from "./keys.ts";
import { layout } from "./layout.ts";
import { stepped, whyNoNumber } from "./NumberInput.tsx";
import { emptySchema, shortType } from "./schema.ts";
import { search } from "./search.ts";

const document = apply(emptyDocument(), SNAPSHOT.changes);
const schema = { ...emptySchema(), types: TYPES, assignable: ASSIGNABLE };
const press = (key: string, more = {}) => ({
  key,
  code: /^[a-z]$/i.test(key) ? `Key${key.toUpperCase()}` : key,
  ctrlKey: false,
  metaKey: false,
  shiftKey: false,
  altKey: false,
  ...more,
});

describe("the document", () => {
  it("shares the nodes that a change does not touch", () => {
    const after = apply(document, [["input", "one", "value", { value: 5 }]]);
    expect(after.nodes.get("sum")).toBe(document.nodes.get("sum"));
    expect(after.nodes.get("one")!.inputs.value).toEqual({ value: 5 });
    expect(document.nodes.get("one")!.inputs.value).toEqual({ value: 1 });
  });
  it("takes fields of a node that comes later in the same list", () => {
    const after = apply(emptyDocument(), [
      ["input", "n", "value", { value: 2 }],
      ["node", "n", "", { type: "integer" }],
    ]);
    expect(after.nodes.get("n")!.inputs.value).toEqual({ value: 2 });
  });
});

describe("an edge", () => {
  const ends = { source: "one", output: "value", target: "sum", field: "b" };
  it("is allowed where the types fit", () => expect(whyNot(document, schema, ends)).toBe(""));
  it.each([
    [{ ...ends, target: "ask", field: "clip" }, "ask.clip takes ClipField, and one.value is int"],
    [{ ...ends, field: "a" }, "there already"],
    [{ ...ends, source: "sum", target: "one", field: "value" }, "close a circle"],
    [{ ...ends, source: "sum" }, "to itself"],
  ])("is refused with the reason", (wrong, reason) => expect(whyNot(document, schema, wrong)).toContain(reason));
  it("takes the place of the one before at an input for one edge, and joins others at an input for many", () => {
    expect(connect(document, schema, { ...ends, source: "ask", output: "x", field: "a" })[0][3]).toEqual({
      links: [["ask", "x"]],
    });
    const one = apply(document, connect(document, schema, { ...ends, target: "all", field: "item" }));
    const two = apply(one, connect(one, schema, { ...ends, source: "sum", target: "all", field: "item" }));
    expect(linksOf(two.nodes.get("all")!.inputs.item)).toEqual([
      ["one", "value"],
      ["sum", "value"],
    ]);
  });
  it("goes without a trace", () => {
    const after = apply(document, disconnect(document, [{ ...ends, field: "a" }]));
    expect(after.nodes.get("sum")!.inputs).toEqual({});
  });
});

describe("commands", () => {
  it("delete a node and the edges that left it", () => {
    const after = apply(document, remove(document, ["one"]));
    expect(after.nodes.has("one")).toBe(false);
    expect(after.nodes.get("sum")!.inputs).toEqual({});
  });
  it("rename a node and keep its edges", () => {
    const after = apply(document, rename(document, "one", "first"));
    expect(linksOf(after.nodes.get("sum")!.inputs.a)).toEqual([["first", "value"]]);
    expect(after.nodes.get("first")!.inputs.value).toEqual({ value: 1 });
  });
  it("paste nodes with the edges among them, and from elsewhere only on wish", () => {
    const both = paste(document, copy(document, ["one", "sum"]), false);
    expect(linksOf(apply(document, both.changes).nodes.get("sum_2")!.inputs.a)).toEqual([["one_2", "value"]]);
    const alone = paste(document, copy(document, ["sum"]), false);
    expect(apply(document, alone.changes).nodes.get("sum_2")!.inputs).toEqual({});
    const linked = paste(document, copy(document, ["sum"]), true);
    expect(linksOf(apply(document, linked.changes).nodes.get("sum_2")!.inputs.a)).toEqual([["one", "value"]]);
  });
  it("mute all, then none", () => {
    const muted = apply(document, toggle(document, ["one", "sum"], "mode", "mute"));
    expect(muted.nodes.get("one")!.layout.mode).toBe("mute");
    expect(apply(muted, toggle(muted, ["one", "sum"], "mode", "mute")).nodes.get("sum")!.layout.mode).toBeUndefined();
  });
  it("link a new node to the loose end that opened the palette", () => {
    expect(linkTo(schema, document, { node: "one", name: "value", side: "source" }, "new", "add")).toEqual([
      ["input", "new", "a", { links: [["one", "value"]] }],
    ]);
  });
  it("find free ids", () => expect(freeId(document, "one")).toBe("one_2"));
  it("lay nodes out from left to right", () => {
    const after = apply(
      document,
      layout(document, [], () => ({ width: 240, height: 100 })),
    );
    expect(after.nodes.get("sum")!.layout.x!).toBeGreaterThan(after.nodes.get("one")!.layout.x! + 240);
  });
});

describe("keys", () => {
  it("are commands on the canvas and text in a field", () => {
    expect(commandOf(press("a", { shiftKey: true }), "DIV")).toBe("add");
    expect(commandOf(press("Delete"), "DIV")).toBe("delete");
    expect(commandOf(press("Delete"), "INPUT")).toBeNull();
    expect(commandOf(press("Enter", { ctrlKey: true }), "TEXTAREA")).toBe("run");
    expect(commandOf(press("x"), "DIV")).toBeNull();
  });
});

describe("fields and search", () => {
  const spec: any = { ...TYPES.integer.inputs[0], min: 1, max: 10 };
  it.each([
    ["", "a number is needed"],
    ["x", "no number"],
    ["1.5", "whole"],
    ["0", "at least 1"],
    ["11", "at most 10"],
    ["5", ""],
  ])("a number %s", (text, reason) => {
    if (reason) expect(whyNoNumber(spec, text)).toContain(reason);
    else expect(whyNoNumber(spec, text)).toBe("");
  });
  const seed: any = { ...spec, control: "seed", optional: true, min: 0, max: { $int: "18446744073709551615" } };
  it.each([
    ["18446744073709551615", ""],
    ["18446744073709551616", "at most 18446744073709551615"],
    ["-18446744073709551615", "at least 0"],
  ])("a seed %s", (text, reason) => {
    expect(whyNoNumber(seed, text)).toBe(reason);
  });
  it.each([
    ["7", 7],
    ["9007199254740991", 9007199254740991],
    ["18446744073709551615", { $int: "18446744073709551615" }],
    ["9007199254740993", { $int: "9007199254740993" }],
    ["0.5", 0.5],
  ])("reads %s exactly", (text, value) => {
    expect(readNumber(text)).toEqual(value);
    expect(numberText(value)).toBe(text);
  });
  it.each([
    [{ control: "int", min: 1, max: 10 }, 5, 2, 7],
    [{ control: "int", min: 1, max: 10 }, 9, 5, 10],
    [{ control: "float", min: 0 }, 0.1, -3, 0],
    [{ control: "float", min: 0, max: 1 }, 0.3, 1, 0.31],
    [{ control: "int", min: 1, step: 8 }, 64, 1, 72],
    [{ control: "int", min: 4 }, null, 1, 5],
  ])("steps a number within its limits", (limits, from, times, to) => {
    expect(stepped({ ...spec, max: undefined, ...limits } as any, from, times)).toBe(to);
  });
  it("reads lists of large numbers exactly, and leaves texts alone", () => {
    const text = '[18446744073709551615,1,"18446744073709551615"]';
    expect(readList(text)).toEqual([{ $int: "18446744073709551615" }, 1, "18446744073709551615"]);
    expect(listText(readList(text))).toBe(text);
  });
  it("offers only what fits a loose link", () => {
    const asked = { schema, document, templates: [], recent: [], text: "", loose: null };
    const loose = { node: "ask", name: "conditioning", side: "source" } as const;
    expect(search({ ...asked, loose }).map((one) => one.key)).toEqual(["collect"]);
    expect(search({ ...asked, text: "add" })[0].key).toBe("add");
  });
  it("reads types", () =>
    expect([shortType("list[int]"), shortType("ImageField | None")]).toEqual([
      { base: "int", list: true },
      { base: "Image", list: false },
    ]));
});
