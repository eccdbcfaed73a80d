// How large a node will be and where its handles will stand, as its rows let one expect (editor.css has the same sizes).
// React Flow so knows both before anything is drawn: it draws only what is in view, and measures nothing twice.
import { type NodeHandle, Position } from "@xyflow/react";

import type { GraphNode } from "./document.ts";
import type { InputType, NodeType } from "./schema.ts";

const WIDTH = 242;
const HEAD = 38;
const ROW = 26;
const TEXT_ROW = 86;
const FOOT = 5;
const COLLAPSED = 39;
const PLACEHOLDER = 90;
const HANDLE = 18;
const STUB = 6;

export interface Expected {
  measured: { width: number; height: number };
  handles: NodeHandle[];
}

export function expected(node: GraphNode, type: NodeType | undefined): Expected {
  if (!type) return { measured: { width: WIDTH, height: PLACEHOLDER }, handles: [] };
  const handles: NodeHandle[] = [];
  const { collapsed } = node.layout;
  let y = HEAD;
  const add = (kind: "source" | "target", id: string, height: number): void => {
    handles.push({
      id,
      type: kind,
      ...place(kind === "source", collapsed ? STUB : HANDLE, collapsed ? HEAD / 2 - 1 : y + ROW / 2),
    });
    y += height;
  };
  for (const output of type.outputs) add("source", output.name, ROW);
  for (const input of type.inputs) add("target", input.name, isTall(node, input) ? TEXT_ROW : ROW);
  return { measured: { width: WIDTH, height: collapsed ? COLLAPSED : y + FOOT }, handles };
}

/** A handle whose middle is on the border, or within it where it is as large as its mark. */
function place(
  right: boolean,
  size: number,
  middle: number,
): Pick<NodeHandle, "x" | "y" | "width" | "height" | "position"> {
  const inset = size === HANDLE ? 1 : 0;
  const x = (right ? WIDTH - inset : inset) - size / 2;
  return { position: right ? Position.Right : Position.Left, x, y: middle - size / 2, width: size, height: size };
}

const isTall = (node: GraphNode, input: InputType): boolean =>
  input.control === "text" && !("links" in (node.inputs[input.name] ?? {}));
