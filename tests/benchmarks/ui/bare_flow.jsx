// A canvas of React Flow with so many plain nodes and wires in the places of the benchmark's graph, and nothing of ours.
import { applyNodeChanges, Background, ReactFlow } from "@xyflow/react";
import { createElement, useCallback, useState } from "react";
import { createRoot } from "react-dom/client";
import "@xyflow/react/dist/style.css";

const PLACES = [[0, 0], [300, 0], [300, 220], [600, 0], [900, 0]];
const LINKS = [[0, 1], [0, 2], [0, 3], [1, 3], [2, 3], [3, 4], [0, 4]];
const SIDES = { sourcePosition: "right", targetPosition: "left", style: { width: 232, height: 180 } };

function graph(size) {
  const groups = Array.from({ length: size / 5 }, (_, group) => group);
  return {
    nodes: groups.flatMap((group) =>
      PLACES.map(([x, y], place) => ({
        id: `${group}.${place}`,
        data: { label: `node ${group}.${place}` },
        position: { x: x + (group % 5) * 1300, y: y + Math.floor(group / 5) * 620 },
        ...SIDES,
      })),
    ),
    edges: groups.flatMap((group) =>
      LINKS.map(([from, to]) => ({ id: `${group}.${from}-${to}`, source: `${group}.${from}`, target: `${group}.${to}` })),
    ),
  };
}

function Bare({ size }) {
  const [first] = useState(() => graph(size));
  const [nodes, setNodes] = useState(first.nodes);
  const onNodesChange = useCallback((changes) => setNodes((before) => applyNodeChanges(changes, before)), []);
  const view = { defaultViewport: { x: 40, y: 40, zoom: 0.8 }, onlyRenderVisibleElements: size > 40 };
  const flow = createElement(ReactFlow, { nodes, edges: first.edges, onNodesChange, ...view }, createElement(Background));
  return createElement("div", { className: "nbg-canvas", style: { width: 1160, height: 640, margin: 60 } }, flow);
}

globalThis.showBareFlow = (size) => {
  const place = document.createElement("div");
  document.body.append(place);
  createRoot(place).render(createElement(Bare, { size }));
};
