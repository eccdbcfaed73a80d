// The picture of a run comes into view when the run has ended, unless the person has done something since it began.
import { useReactFlow, useStoreApi } from "@xyflow/react";
import { useEffect, useRef } from "react";

import { useStore, useStored } from "./context.ts";
import type { AnyFlowNode } from "./flow.ts";
import type { EditorState } from "./state.ts";

const EDGE = 20;
const MILLISECONDS = 250;
const INPUTS = ["pointerdown", "keydown", "wheel"] as const;

/** Move the view as little as it takes; `nodes` are drawn anew when the picture makes its node higher. */
export function useReveal(nodes: AnyFlowNode[]): void {
  const store = useStore();
  const flow = useReactFlow<AnyFlowNode>();
  const view = useStoreApi();
  const { session, status } = useStored((state) => state.run);
  // What has run before this view was opened is where it opened.
  const seen = useRef(session);
  useEffect(() => {
    const canvas = view.getState().domNode;
    // Of an older run: the keys that start a run are pressed before it is known.
    const touch = (): void => {
      seen.current = store.run.session;
    };
    for (const kind of INPUTS) canvas?.addEventListener(kind, touch, { capture: true, passive: true });
    return () => {
      for (const kind of INPUTS) canvas?.removeEventListener(kind, touch, { capture: true });
    };
  }, [store, view]);
  useEffect(() => {
    if (status !== "completed" || session === seen.current) return;
    const node = lastPicture(nodes, store.state.getState());
    const { width, height, transform } = view.getState();
    if (!node?.measured?.width || !node.measured.height || !width || !height) return;
    const [x, y, zoom] = transform;
    const left = node.position.x * zoom + x;
    const top = node.position.y * zoom + y;
    const right = shiftInto(left, left + node.measured.width * zoom, width);
    const down = shiftInto(top, top + node.measured.height * zoom, height);
    if (right || down) void flow.setViewport({ x: x + right, y: y + down, zoom }, { duration: MILLISECONDS });
  }, [nodes, session, status, store, flow, view]);
}

/** The node with a picture of the run that is nearest to the end of the graph. */
function lastPicture(nodes: AnyFlowNode[], { runs, results }: EditorState): AnyFlowNode | undefined {
  const shown = nodes.filter(({ id }) => runs[id]?.image && results[id]?.length);
  return shown.sort((a, b) => b.position.x - a.position.x)[0];
}

/** How far a stretch must move to lie within a view; of one that is too long its end does, where the results are. */
export function shiftInto(start: number, end: number, size: number): number {
  if (end > size - EDGE || end - start > size - 2 * EDGE) return size - EDGE - end;
  return start < EDGE ? EDGE - start : 0;
}
