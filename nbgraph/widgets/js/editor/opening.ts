// What of the graph is in view at first. It is known before anything is drawn, so that nodes are drawn once, as they look
// at that zoom.
import { getNodesBounds, getViewportForBounds, type Viewport } from "@xyflow/react";
import { type RefObject, useLayoutEffect, useState } from "react";

import type { AnyFlowNode } from "./flow.ts";

export const MIN_ZOOM = 0.05;
export const FIT = { padding: 0.15, maxZoom: 1 };
/** A larger graph opens at its origin: to draw all of it takes long, and shows little. */
const FIT_LIMIT = 300;

export interface Size {
  width: number;
  height: number;
}

/** The size that an element has when it is first laid out; null until then. */
export function useFirstSize(element: RefObject<HTMLElement | null>): Size | null {
  const [size, setSize] = useState<Size | null>(null);
  useLayoutEffect(() => {
    const { offsetWidth: width, offsetHeight: height } = element.current!;
    if (size) return;
    if (width && height) return setSize({ width, height });
    const observer = new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width && contentRect.height) setSize({ width: contentRect.width, height: contentRect.height });
    });
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, [element, size]);
  return size;
}

/** All nodes, unless they are very many or none. */
export function openingViewport(nodes: AnyFlowNode[], { width, height }: Size): Viewport {
  if (!nodes.length || nodes.length > FIT_LIMIT) return { x: 0, y: 0, zoom: 1 };
  return getViewportForBounds(getNodesBounds(nodes), width, height, MIN_ZOOM, FIT.maxZoom, FIT.padding);
}
