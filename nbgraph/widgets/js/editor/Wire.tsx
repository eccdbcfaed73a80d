// A wire: its way, and the moving dashes while its node runs.
import { BaseEdge, type Edge, type EdgeProps, useStoreApi } from "@xyflow/react";
import { memo } from "react";

import { useStored } from "./context.ts";
import { type Rect, wirePath } from "./route.ts";

export type FlowWire = Edge<Record<string, never>, "wire">;
/** Looking for a way around takes a look at every node; beyond so many, wires are plain curves. */
const ROUTED = 400;

export const Wire = memo(function Wire({
  id,
  source,
  target,
  style,
  interactionWidth,
  sourceX,
  sourceY,
  targetX,
  targetY,
}: EdgeProps<FlowWire>) {
  const flow = useStoreApi();
  const flowing = useStored((state) => state.runs[target]?.status === "running");
  const path = wirePath({ sourceX, sourceY, targetX, targetY }, boxes(flow.getState().nodeLookup, source, target));
  return (
    <BaseEdge
      id={id}
      path={path}
      style={style}
      interactionWidth={interactionWidth}
      className={flowing ? "nbg-flowing" : undefined}
    />
  );
});

type Lookup = ReturnType<ReturnType<typeof useStoreApi>["getState"]>["nodeLookup"];

function boxes(nodes: Lookup, source: string, target: string): Rect[] {
  if (nodes.size > ROUTED) return [];
  const found: Rect[] = [];
  for (const [id, node] of nodes) {
    if (id === source || id === target || node.type === "note") continue;
    const { x, y } = node.internals.positionAbsolute;
    found.push({ x, y, width: node.measured.width ?? 0, height: node.measured.height ?? 0 });
  }
  return found;
}
