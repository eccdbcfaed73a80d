// What helps a stranger: words of the trade, graphs to begin with, inputs that are supplied, rows that stay few.
import { describe, expect, it } from "vitest";

import { apply, emptyDocument, type GraphDocument, linksOf } from "./document.ts";
import { expected } from "./expected.ts";
import { firstFit } from "./fitting.ts";
import { supply } from "./needs.ts";
import { readableFrom } from "./opening.ts";
import { foldText, isNegative, rowsOf, usedOutputs } from "./rows.ts";
import { emptySchema, type InputType, type NodeType } from "./schema.ts";
import { type Found, LIBRARY, OWN, RECENT, search } from "./search.ts";
import { inserted, isRunnable } from "./templates.ts";
import { WORDS } from "./words.ts";

const port = (name: string, type: string, more: Partial<InputType> = {}): InputType => ({
  name,
  type,
  control: "none",
  required: true,
  optional: false,
  many: false,
  ...more,
});
const free = (name: string, type: string): InputType =>
  port(name, `${type} | None`, { required: false, optional: true });
const value = (name: string, type: string, control: InputType["control"], usual: unknown): InputType =>
  port(name, type, { control, required: false, default: usual });
const type = (title: string, category: string, inputs: InputType[], outputs: [string, string][]): NodeType => ({
  title,
  category,
  description: "",
  inputs,
  outputs: outputs.map(([name, kind]) => ({ name, type: kind })),
});
const SIZES: [string, string][] = [
  ["width", "int"],
  ["height", "int"],
];
const types: Record<string, NodeType> = {
  model_loader: type(
    "Model",
    "model",
    [port("model", "str", { control: "model" })],
    [
      ["unet", "UNetField"],
      ["clip", "ClipField"],
      ["vae", "VaeField"],
    ],
  ),
  prompt: type(
    "Prompt",
    "conditioning",
    [value("text", "str", "text", ""), port("clip", "ClipField")],
    [["conditioning", "ConditioningField"]],
  ),
  noise: type(
    "Noise",
    "latents",
    [
      port("unet", "UNetField"),
      { ...value("seed", "int | None", "seed", null), optional: true },
      { ...value("width", "int | None", "int", null), optional: true },
    ],
    [["noise", "LatentsField"], ...SIZES],
  ),
  denoise_latents: type(
    "Denoise",
    "latents",
    [
      port("unet", "UNetField"),
      port("positive", "ConditioningField"),
      free("negative", "ConditioningField"),
      free("noise", "LatentsField"),
      free("latents", "LatentsField"),
      free("denoise_mask", "DenoiseMaskField"),
      { ...value("steps", "int", "int", 20), min: 1, max: 1000 },
      value("cfg_scale", "float", "float", 7.5),
      { ...value("denoising_start", "float", "float", 0), rare: true },
    ],
    [["latents", "LatentsField"], ...SIZES],
  ),
  l2i: type(
    "Latents to image",
    "latents",
    [port("latents", "LatentsField"), port("vae", "VaeField")],
    [["image", "ImageField"], ...SIZES],
  ),
  save_image: type("Save image", "image", [port("image", "ImageField")], [["image", "ImageField"]]),
  iterate: type("Iterate", "control flow", [port("collection", "list")], [["item", "Any"]]),
  shout: { ...type("Shout", "strings", [value("text", "str", "line", "")], [["text", "str"]]), own: true },
};
const assignable = Object.fromEntries(
  ["UNet", "Clip", "Vae", "Conditioning", "Latents", "Image"].map((name) => [
    `${name}Field`,
    [`${name}Field`, `${name}Field | None`, "Any"],
  ]),
);
const schema = { ...emptySchema(), types, assignable };
const context = (document: GraphDocument) => ({ document, schema, models: ["sd15", "emoji"] });
const node = (id: string, kind: string): GraphDocument["nodes"] =>
  apply(emptyDocument(), [["node", id, "", { type: kind }]]).nodes;
const with_ = (...nodes: [string, string][]): GraphDocument =>
  apply(
    emptyDocument(),
    nodes.map(([id, kind]) => ["node", id, "", { type: kind }]),
  );
const template = {
  name: "text to image",
  description: "Draws a picture.",
  changes: [
    ["node", "m", "", { type: "model_loader" }],
    ["input", "m", "model", { value: "emoji" }],
    ["node", "p", "", { type: "prompt" }],
    ["input", "p", "clip", { links: [["m", "clip"]] }],
    ["node", "d", "", { type: "denoise_latents" }],
    ["input", "d", "unet", { links: [["m", "unet"]] }],
    ["input", "d", "positive", { links: [["p", "conditioning"]] }],
  ] as any,
};
const ask = (text: string, more = {}): Found[] =>
  search({ schema, document: emptyDocument(), templates: [template], recent: [], text, loose: null, ...more });

describe("an input that misses something", () => {
  const document = with_(["out", "l2i"]);
  const after = apply(document, supply(context(document), "out", "latents"));
  it("gets a node with all that one needs in turn", () => {
    expect([...after.nodes.keys()].sort()).toEqual(
      ["denoise_latents", "model_loader", "negative_prompt", "noise", "out", "prompt"].sort(),
    );
    const denoise = after.nodes.get("denoise_latents")!;
    expect(linksOf(denoise.inputs.noise)).toEqual([["noise", "noise"]]);
    expect(linksOf(denoise.inputs.negative)).toEqual([["negative_prompt", "conditioning"]]);
    expect(linksOf(after.nodes.get("prompt")!.inputs.clip)).toEqual([["model_loader", "clip"]]);
    expect(after.nodes.get("model_loader")!.inputs.model).toEqual({ value: "emoji" });
  });
  it("is wired to the model that is there already", () => {
    expect(supply(context(after), "out", "vae")).toEqual([
      ["input", "out", "vae", { links: [["model_loader", "vae"]] }],
    ]);
  });
  it("takes a prompt that nobody uses, and makes another where all are used", () => {
    const two = with_(["ask", "prompt"], ["d", "denoise_latents"]);
    const first = apply(two, supply(context(two), "d", "positive"));
    expect(linksOf(first.nodes.get("d")!.inputs.positive)).toEqual([["ask", "conditioning"]]);
    const second = apply(first, supply(context(first), "d", "negative"));
    expect(linksOf(second.nodes.get("d")!.inputs.negative)).toEqual([["negative_prompt", "conditioning"]]);
  });
  it("puts new nodes where no other stands", () => {
    const boxes = [...after.nodes.values()].map((one) => ({
      x: one.layout.x ?? 0,
      y: one.layout.y ?? 0,
      ...expected(one, types[one.type]).measured,
    }));
    const overlapping = boxes.filter((a) =>
      boxes.some(
        (b) => a !== b && a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height,
      ),
    );
    expect(overlapping).toEqual([]);
  });
});

describe("the palette", () => {
  it.each([
    ["txt2img", '"text to image"'],
    ["generate", '"text to image"'],
    ["ksampler", "denoise_latents"],
    ["checkpoint", "model_loader"],
    ["vae decode", "l2i"],
    ["loop", "iterate"],
    ["cfg", "denoise_latents"],
    ["cfg_scale", "denoise_latents"],
    ["conditioning", "prompt"],
    ["dns", "denoise_latents"],
    ["save", "save_image"],
  ])("finds what %s means first", (text, key) => expect(ask(text)[0].key).toBe(key));
  it("says that nothing is called so", () => expect(ask("qqqq")).toEqual([]));
  it("shows what was added last, what the notebook defines, and library graphs before all else", () => {
    const groups = [...new Set(ask("", { recent: ["noise"] }).map((one) => one.group))];
    expect(groups.slice(0, 3)).toEqual([RECENT, OWN, LIBRARY]);
  });
  it("ranks what fits a loose wire: what is made for it first, what takes anything last", () => {
    const document = with_(["d", "denoise_latents"]);
    const out = { node: "d", name: "latents", side: "source" };
    expect(ask("", { document, loose: out }).map((one) => one.key)).toEqual(["l2i", "denoise_latents"]);
    const into = { node: "d", name: "noise", side: "target" };
    expect(ask("", { document, loose: into })[0].key).toBe("noise");
  });
  it("has no word twice", () => {
    for (const [word, keys] of Object.entries(WORDS)) expect([word, new Set(keys).size]).toEqual([word, keys.length]);
  });
});

describe("a library graph", () => {
  it("comes onto the canvas with a text to begin with, under ids that are free", () => {
    const size = () => ({ width: 232, height: 150 });
    const document = with_(["p", "prompt"]);
    const { changes, ids } = inserted(document, template, { x: 100, y: 50 }, size);
    const after = apply(document, changes);
    expect(ids).toEqual(["m", "p_2", "d"]);
    expect(after.nodes.get("p_2")!.inputs.text).toEqual({ value: "a red apple" });
    expect(linksOf(after.nodes.get("d")!.inputs.positive)).toEqual([["p_2", "conditioning"]]);
    expect(Math.min(...ids.map((id) => after.nodes.get(id)!.layout.x!))).toBe(100);
  });
  it("can be run at once if it has all it needs", () => {
    expect(isRunnable(template, schema)).toBe(true);
    expect(isRunnable({ ...template, changes: template.changes.slice(2) }, schema)).toBe(true);
    expect(isRunnable({ ...template, changes: [["node", "m", "", { type: "model_loader" }]] }, schema)).toBe(false);
  });
});

describe("rows", () => {
  const bare = node("d", "denoise_latents").get("d")!;
  const names = (one: { name: string }[]): string[] => one.map(({ name }) => name);
  it("show what is needed or used, and fold the rest", () => {
    const rows = rowsOf(bare, types.denoise_latents, "", false);
    expect(names(rows.ports)).toEqual(["unet", "positive", "negative", "noise"]);
    expect(names(rows.fields)).toEqual(["steps", "cfg_scale"]);
    expect(names(rows.outputs)).toEqual(["latents"]);
    expect(foldText(rows, String)).toBe("latents, denoise_mask, denoising_start");
  });
  it("show an input that has an edge or another value than usual, and an output that is used", () => {
    const used = {
      ...bare,
      inputs: { latents: { links: [["x", "latents"]] }, denoising_start: { value: 0.4 } } as any,
    };
    const rows = rowsOf(used, types.denoise_latents, "width", false);
    expect(names(rows.ports)).toContain("latents");
    expect(names(rows.fields)).toContain("denoising_start");
    expect(names(rows.outputs)).toEqual(["latents", "width"]);
  });
  it("show everything when unfolded", () => {
    const rows = rowsOf(bare, types.denoise_latents, "", true);
    expect(rows.folded).toEqual([]);
    expect(rows.ports.length + rows.fields.length).toBe(types.denoise_latents.inputs.length);
  });
  it("know the outputs with an edge, and the prompts of what should not show", () => {
    const document = apply(with_(["a", "prompt"], ["b", "prompt"], ["d", "denoise_latents"]), [
      ["input", "d", "positive", { links: [["a", "conditioning"]] }],
      ["input", "d", "negative", { links: [["b", "conditioning"]] }],
    ]);
    expect(usedOutputs(document, "a")).toBe("conditioning");
    expect([isNegative(document, "a"), isNegative(document, "b"), isNegative(document, "d")]).toEqual([
      false,
      true,
      false,
    ]);
  });
});

describe("a wire dropped on a node", () => {
  it("goes to the first free input that fits", () => {
    const document = apply(with_(["n", "noise"], ["m", "noise"], ["d", "denoise_latents"]), [
      ["input", "d", "noise", { links: [["m", "noise"]] }],
    ]);
    const loose = { node: "n", name: "noise", side: "source" } as const;
    expect(firstFit(document, schema, loose, "d")).toMatchObject({ target: "d", field: "latents" });
    expect(firstFit(document, schema, loose, "m")).toBeUndefined();
  });
});

describe("what of a new graph is in view", () => {
  const nodes = [0, 300, 300, 600, 900].map((x, number) => ({ id: String(number), x }));
  it("is all of it where there is room, else its beginning, and its end where it runs at once", () => {
    expect(readableFrom(nodes, 1100, false)).toHaveLength(5);
    expect(readableFrom(nodes, 600, false)).toEqual(["0", "1", "2"]);
    expect(readableFrom(nodes, 600, true)).toEqual(["4", "3"]);
    expect(readableFrom(nodes, 100, true)).toEqual(["4"]);
    expect(readableFrom([], 600, true)).toEqual([]);
  });
});
