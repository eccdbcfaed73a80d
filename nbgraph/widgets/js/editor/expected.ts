// How large a node will be and where its handles will stand, as its rows let one expect (editor.css has the same sizes).
// React Flow so knows both before anything is drawn: it draws only what is in view, and measures nothing twice.
import { type NodeHandle, Position } from "@xyflow/react";

import type { GraphNode } from "./document.ts";
import { foldText, type Rows, rowsOf } from "./rows.ts";
import type { InputType, NodeType } from "./schema.ts";

export const WIDTH = 232;
export const HEAD = 36;
const ROW = 24;
const FIELD = 30;
const TEXT_FIELD = 66;
const FOLD = 26;
const TOP = 3;
const FOOT = 8;
const COLLAPSED = 37;
const PLACEHOLDER = 90;
const HANDLE = 14;
const STUB = 8;

export interface Expected {
  measured: { width: number; height: number };
  handles: NodeHandle[];
}

/** Texts, and images: an image that is chosen changes no height. */
export const isTall = (input: InputType): boolean => input.control === "text" || input.control === "image";

export function expected(node: GraphNode, type: NodeType | undefined, used = "", open = false): Expected {
  if (!type) return { measured: { width: WIDTH, height: PLACEHOLDER }, handles: [] };
  const rows = rowsOf(node, type, used, open);
  if (node.layout.collapsed) return { measured: { width: WIDTH, height: COLLAPSED }, handles: stubs(rows, HEAD / 2) };
  const handles: NodeHandle[] = [];
  rows.outputs.forEach((one, number) => {
    handles.push({ id: one.name, type: "source", ...place(true, HANDLE, HEAD + TOP + ROW * (number + 0.5)) });
  });
  rows.ports.forEach((one, number) => {
    handles.push({ id: one.name, type: "target", ...place(false, HANDLE, HEAD + TOP + ROW * (number + 0.5)) });
  });
  let y = HEAD + TOP + ROW * Math.max(rows.ports.length, rows.outputs.length);
  for (const field of rows.fields) {
    const height = isTall(field) ? TEXT_FIELD : FIELD;
    handles.push({ id: field.name, type: "target", ...place(false, HANDLE, y + Math.min(height, FIELD) / 2) });
    y += height;
  }
  const folded = foldText(rows, String) !== "" || open;
  return { measured: { width: WIDTH, height: y + (folded ? FOLD : FOOT) }, handles };
}

/** Handles of a node that is collapsed: all on one point of each side. */
function stubs(rows: Rows, middle: number): NodeHandle[] {
  const inputs = [...rows.ports, ...rows.fields].map((one) => ({ id: one.name, type: "target" as const }));
  const outputs = rows.outputs.map((one) => ({ id: one.name, type: "source" as const }));
  return [...outputs, ...inputs].map((one) => ({ ...one, ...place(one.type === "source", STUB, middle) }));
}

/** A handle whose middle is on the border. */
function place(
  right: boolean,
  size: number,
  middle: number,
): Pick<NodeHandle, "x" | "y" | "width" | "height" | "position"> {
  const x = (right ? WIDTH : 0) - size / 2;
  return { position: right ? Position.Right : Position.Left, x, y: middle - size / 2, width: size, height: size };
}
