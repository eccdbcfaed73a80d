// What of the graph is in view at first. It is known before anything is drawn, so that nodes are drawn once, as they look
// at that zoom.
import { getNodesBounds, getViewportForBounds, type Viewport } from "@xyflow/react";
import { type RefObject, useLayoutEffect, useState } from "react";

import type { AnyFlowNode } from "./flow.ts";

export const MIN_ZOOM = 0.05;
export const FIT = { padding: 0.15, maxZoom: 1 };
/** Texts can be read from here on. */
export const READABLE = 0.8;
const OPENING_PADDING = 0.06;
const EDGE = 32;
const COLUMN = 240;

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

/** All nodes where they can be read then; else where the graph begins. */
export function openingViewport(nodes: AnyFlowNode[], { width, height }: Size): Viewport {
  if (!nodes.length) return { x: 0, y: 0, zoom: 1 };
  const bounds = getNodesBounds(nodes);
  const whole = getViewportForBounds(bounds, width, height, MIN_ZOOM, FIT.maxZoom, OPENING_PADDING);
  if (whole.zoom >= READABLE) return whole;
  const first = beginning(nodes);
  const fits = bounds.height * READABLE < height - 2 * EDGE;
  const y = fits ? (height - bounds.height * READABLE) / 2 - bounds.y * READABLE : EDGE - first.y * READABLE;
  return { x: EDGE - first.x * READABLE, y, zoom: READABLE };
}

/**
 * Of nodes that do not all fit into a view where they can be read, those that do: from the beginning of the graph, or from
 * its end, where the picture is.
 */
export function readableFrom(nodes: { id: string; x: number }[], width: number, end: boolean): string[] {
  const sorted = [...nodes].sort((a, b) => (end ? b.x - a.x : a.x - b.x));
  const room = (width * (1 - FIT.padding)) / READABLE - COLUMN;
  return sorted.filter(({ x }) => Math.abs(x - sorted[0].x) <= room || x === sorted[0].x).map(({ id }) => id);
}

/** The top left corner of where the graph begins: of its leftmost nodes the highest. */
function beginning(nodes: AnyFlowNode[]): { x: number; y: number } {
  const x = Math.min(...nodes.map((node) => node.position.x));
  const near = nodes.filter((node) => node.position.x < x + COLUMN);
  return { x, y: Math.min(...near.map((node) => node.position.y)) };
}
