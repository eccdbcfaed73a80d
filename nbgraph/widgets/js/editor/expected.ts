// How large a node will be and where its handles will stand, as its rows let one expect: React Flow draws only what is
// in view of nodes it knows that of, and all others once to measure them.
import { Position, type NodeHandle } from "@xyflow/react";

import type { GraphNode } from "./document.ts";
import type { InputType, NodeType } from "./schema.ts";

const WIDTH = 240;
const HEAD = 38;
const ROW = 26;
const TEXT_ROW = 91;
const HANDLE = 18;

export interface Expected {
  initialWidth: number;
  initialHeight: number;
  handles: NodeHandle[];
}

export function expected(node: GraphNode, type: NodeType | undefined): Expected | undefined {
  if (!type) return undefined;
  const handles: NodeHandle[] = [];
  let y = HEAD;
  const add = (kind: "source" | "target", id: string, height: number): void => {
    const right = kind === "source";
    const place = { x: (right ? WIDTH : 0) - HANDLE / 2, y: y + (ROW - HANDLE) / 2 };
    handles.push({ id, type: kind, position: right ? Position.Right : Position.Left, ...place, width: HANDLE, height: HANDLE });
    if (!node.layout.collapsed) y += height;
  };
  for (const output of type.outputs) add("source", output.name, ROW);
  for (const input of type.inputs) add("target", input.name, isTall(node, input) ? TEXT_ROW : ROW);
  return { initialWidth: WIDTH, initialHeight: y, handles };
}

const isTall = (node: GraphNode, input: InputType): boolean => input.control === "text" && !("links" in (node.inputs[input.name] ?? {}));
