// Where painted masks go on the canvas: to the input that takes one, or to all that belong to an image.
import { expect, it } from "vitest";

import type { Change } from "./changes.ts";
import { apply, emptyDocument, type GraphDocument } from "./document.ts";
import { givesMask, maskChanges, paintingAt, paintingOf } from "./painting.ts";
import { emptySchema, type InputType } from "./schema.ts";

const image = (name: string): InputType => ({
  name,
  type: "ImageField",
  control: "image",
  required: true,
  optional: false,
  many: false,
});
const type = (title: string, ...inputs: string[]) => ({
  title,
  category: "image",
  description: "",
  inputs: inputs.map(image),
  outputs: [{ name: "image", type: "ImageField" }],
});
const schema = {
  ...emptySchema(),
  types: {
    image: type("Image", "image"),
    crop_to_mask: type("Crop", "image", "mask"),
    paste_region: type("Paste", "image", "painted", "mask"),
    create_denoise_mask: type("Denoise mask", "mask"),
    l2i: type("Decode"),
  },
};
const PHOTO: Change = ["input", "photo", "image", { value: { image_name: "photo1" } }];
const inpaint = apply(emptyDocument(), [
  ["node", "photo", "", { type: "image" }],
  PHOTO,
  ["node", "crop", "", { type: "crop_to_mask" }],
  ["input", "crop", "image", { links: [["photo", "image"]] }],
  ["node", "paste", "", { type: "paste_region" }],
  ["input", "paste", "image", { links: [["photo", "image"]] }],
]);
const state = (document: GraphDocument, more = {}) => ({ document, schema, runs: {}, results: {}, names: {}, ...more });
const used = (mask: string, from = "photo1") => ({ mask, image: from });
const maskOf = (document: GraphDocument, id: string): any => document.nodes.get(id)?.inputs.mask;

it("a mask painted on an image goes to every node that takes the image and has none", () => {
  const painting = paintingOf(state(inpaint), "photo")!;
  expect(painting).toMatchObject({ image: "photo1", mask: null, from: { node: "photo", field: "image" } });
  const after = apply(inpaint, maskChanges(state(inpaint), painting, used("mask1")));
  expect(after.nodes.get("mask")?.inputs.image).toEqual({ value: { image_name: "mask1" } });
  for (const id of ["crop", "paste"]) expect(maskOf(after, id)).toEqual({ links: [["mask", "image"]] });
});

it("painting again begins with the mask that is there, and replaces it in its node", () => {
  const first = apply(inpaint, maskChanges(state(inpaint), paintingOf(state(inpaint), "photo")!, used("mask1")));
  const again = paintingOf(state(first), "crop")!;
  expect(again).toMatchObject({ node: "crop", field: "mask", image: "photo1", mask: "mask1" });
  const second = apply(first, maskChanges(state(first), again, used("mask2")));
  expect(second.nodes.get("mask")?.inputs.image).toEqual({ value: { image_name: "mask2" } });
  expect(second.nodes.size).toBe(first.nodes.size);
});

it("the mask of one input shared by two nodes is one node, and of a lone input its value", () => {
  const shared = apply(inpaint, maskChanges(state(inpaint), paintingAt(state(inpaint), "crop", "mask")!, used("m")));
  expect(maskOf(shared, "paste")).toEqual({ links: [["mask", "image"]] });
  const lone = apply(inpaint, [["node", "paste", ""]]);
  const after = apply(lone, maskChanges(state(lone), paintingAt(state(lone), "crop", "mask")!, used("m")));
  expect(maskOf(after, "crop")).toEqual({ value: { image_name: "m" } });
});

it("an image whose frame was extended takes the place of the image", () => {
  const painting = paintingOf(state(inpaint), "photo")!;
  const after = apply(inpaint, maskChanges(state(inpaint), painting, used("mask1", "larger")));
  expect(after.nodes.get("photo")?.inputs.image).toEqual({ value: { image_name: "larger" } });
});

it("a node without an image of its own is painted on the nearest result, and on nothing where there is none", () => {
  const bare = apply(emptyDocument(), [
    ["node", "decode", "", { type: "l2i" }],
    ["node", "paste", "", { type: "paste_region" }],
    ["input", "paste", "painted", { links: [["decode", "image"]] }],
    ["node", "denoise", "", { type: "create_denoise_mask" }],
  ]);
  expect(paintingOf(state(bare), "denoise")).toBeNull();
  expect(paintingOf(state(bare), "paste")).toBeNull();
  const run = { results: { decode: ["blob:1"] }, names: { "blob:1": "result1" } };
  expect(paintingOf(state(bare, run), "paste")).toMatchObject({ image: "result1", from: null });
});

const template = apply(emptyDocument(), [
  ["node", "photo", "", { type: "image" }],
  PHOTO,
  ["node", "white", "", { type: "image" }],
  ["node", "crop", "", { type: "crop_to_mask" }],
  ["input", "crop", "image", { links: [["photo", "image"]] }],
  ["input", "crop", "mask", { links: [["white", "image"]] }],
]);

it("an image node that is still empty takes the mask that is painted, from whichever node one paints", () => {
  for (const id of ["photo", "white", "crop"]) {
    const painting = paintingOf(state(template), id)!;
    expect(painting).toMatchObject({ image: "photo1", mask: null });
    const after = apply(template, maskChanges(state(template), painting, used("mask1")));
    expect(after.nodes.get("white")?.inputs.image).toEqual({ value: { image_name: "mask1" } });
    expect(after.nodes.size).toBe(3);
  }
});

it("an image node gives a mask where nodes take it as that alone", () => {
  expect(["photo", "white", "crop"].map((id) => givesMask(state(template), id))).toEqual([false, true, false]);
  const both = apply(template, [["input", "crop", "image", { links: [["white", "image"]] }]]);
  expect(givesMask(state(both), "white")).toBe(false);
});
