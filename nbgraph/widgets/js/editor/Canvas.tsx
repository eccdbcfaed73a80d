// The canvas: React Flow over the document of the store.
import {
  applyNodeChanges,
  Background,
  type Connection,
  ConnectionMode,
  Controls,
  type Edge,
  type EdgeChange,
  type FinalConnectionState,
  MiniMap,
  type NodeChange,
  ReactFlow,
  useReactFlow,
  useStoreApi,
} from "@xyflow/react";
import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ConnectionHint, endsFrom } from "./ConnectionHint.tsx";
import type { Change } from "./changes.ts";
import { connect, disconnect, type LooseEnd, place } from "./commands.ts";
import { whyNot } from "./connect.ts";
import { useStore, useStored } from "./context.ts";
import type { GraphDocument } from "./document.ts";
import { firstFit, markFits } from "./fitting.ts";
import { type AnyFlowNode, endsOf, flowEdges, flowNodes, measured } from "./flow.ts";
import type { Place } from "./menus.ts";
import { NodeView } from "./NodeView.tsx";
import { NoteView } from "./NoteView.tsx";
import { FIT, MIN_ZOOM, openingViewport, READABLE, type Size } from "./opening.ts";
import { useReveal } from "./reveal.ts";
import { type FlowWire, Wire } from "./Wire.tsx";

const NODE_TYPES = { node: NodeView, note: NoteView };
const EDGE_TYPES = { wire: Wire };
const MAP_SIZE = { width: 160, height: 110 };
/** From here on only nodes in view are in the page: each costs something whenever one moves. */
const MANY = 40;

export interface CanvasHandle {
  selected: () => string[];
  selectedEdges: () => string[];
  select: (ids: string[]) => void;
  /** Bring nodes into view, as soon as they are drawn. */
  look: (ids: string[]) => void;
}

interface Props {
  handle: RefObject<CanvasHandle | null>;
  /** Its size when it opens. */
  size: Size;
  active: boolean;
  minimap: boolean;
  openPalette: (at: Point, loose: LooseEnd | null) => void;
  openMenu: (at: Point, place: Place) => void;
}

interface Point {
  x: number;
  y: number;
}

export function Canvas({ handle, size, active, minimap, openPalette, openMenu }: Props) {
  const store = useStore();
  const flow = useReactFlow<AnyFlowNode>();
  const document = useStored((one) => one.document);
  const schema = useStored((one) => one.schema);
  const readOnly = useStored((one) => one.readOnly !== "");
  const unfolded = useStored((one) => one.unfolded);
  const [nodes, setNodes] = useState<AnyFlowNode[]>(() => flowNodes(document, schema, unfolded, []));
  const [chosenEdges, setChosenEdges] = useState<Set<string>>(() => new Set());
  const [opening] = useState(() => openingViewport(nodes, size));
  const wanted = useRef<Set<string> | null>(null);
  useReveal(nodes);

  useEffect(() => {
    setNodes((before) => {
      const now = flowNodes(document, store.schema, unfolded, before);
      const select = wanted.current;
      if (!select || ![...select].every((id) => document.nodes.has(id) || document.notes.has(id))) return now;
      wanted.current = null;
      return now.map((node) =>
        Boolean(node.selected) === select.has(node.id) ? node : { ...node, selected: select.has(node.id) },
      );
    });
  }, [document, unfolded, store]);

  const drawn = useRef<FlowWire[]>([]);
  const edges = useMemo(
    () => (drawn.current = flowEdges(document, schema, chosenEdges, drawn.current)),
    [document, schema, chosenEdges],
  );
  const current = useRef({ nodes, edges });
  current.current = { nodes, edges };

  useEffect(() => {
    handle.current = {
      selected: () => current.current.nodes.filter((node) => node.selected).map((node) => node.id),
      selectedEdges: () => current.current.edges.filter((edge) => edge.selected).map((edge) => edge.id),
      select: (ids) => {
        const chosen = new Set(ids);
        wanted.current = chosen;
        setChosenEdges(new Set());
        setNodes((before) =>
          before.map((node) =>
            Boolean(node.selected) === chosen.has(node.id) ? node : { ...node, selected: chosen.has(node.id) },
          ),
        );
      },
      look: (ids) => void setTimeout(() => void flow.fitView({ ...FIT, minZoom: READABLE, nodes: asNodes(ids) }), 80),
    };
  }, [handle, flow]);

  const onNodesChange = useCallback((changes: NodeChange<AnyFlowNode>[]) => {
    const kept = changes.filter((change) => change.type !== "remove");
    if (kept.some((change) => change.type === "select")) wanted.current = null;
    const sized = new Set(kept.flatMap((change) => (change.type === "dimensions" ? [change.id] : [])));
    setNodes((before) =>
      sized.size ? measured(applyNodeChanges(kept, before), sized) : applyNodeChanges(kept, before),
    );
  }, []);

  const view = useStoreApi();
  const moves = (on: boolean): void => void view.getState().domNode?.classList.toggle("nbg-moving", on);

  const onEdgesChange = useCallback((changes: EdgeChange[]) => {
    const chosen = changes.filter((change) => change.type === "select");
    if (!chosen.length) return;
    setChosenEdges((before) => {
      const now = new Set(before);
      for (const { id, selected } of chosen)
        if (selected) now.add(id);
        else now.delete(id);
      return now;
    });
  }, []);

  const inFrame = useRef<Map<string, { x: number; y: number }>>(new Map());
  const onDragStart = useCallback(
    (_: unknown, node: AnyFlowNode) => {
      inFrame.current = new Map();
      if (node.type !== "note" || node.data.note.kind !== "frame") return;
      for (const other of flow.getIntersectingNodes(node, false)) {
        if (!other.selected)
          inFrame.current.set(other.id, {
            x: other.position.x - node.position.x,
            y: other.position.y - node.position.y,
          });
      }
    },
    [flow],
  );
  const onDrag = useCallback((_: unknown, node: AnyFlowNode) => {
    if (!inFrame.current.size) return;
    setNodes((before) =>
      before.map((other) => {
        const offset = inFrame.current.get(other.id);
        return offset
          ? { ...other, position: { x: node.position.x + offset.x, y: node.position.y + offset.y } }
          : other;
      }),
    );
  }, []);
  const onDragStop = useCallback(
    (_: unknown, node: AnyFlowNode, dragged: AnyFlowNode[]) => {
      const inside = [...inFrame.current].flatMap(([id, offset]): Change[] =>
        moved(store.document, id, node.position.x + offset.x, node.position.y + offset.y),
      );
      inFrame.current = new Map();
      store.edit([
        ...dragged.flatMap((one) => moved(store.document, one.id, one.position.x, one.position.y)),
        ...inside,
      ]);
    },
    [store],
  );

  const isValid = useCallback(
    (connection: Connection | Edge) => whyNot(store.document, store.schema, endsFrom(connection)) === "",
    [store],
  );
  const onConnect = useCallback(
    (connection: Connection) => store.edit(connect(store.document, store.schema, endsFrom(connection))),
    [store],
  );
  const onConnectEnd = useCallback(
    (event: MouseEvent | TouchEvent, state: FinalConnectionState) => {
      if (state.isValid || !state.fromHandle) return;
      const loose: LooseEnd = {
        node: state.fromHandle.nodeId,
        name: state.fromHandle.id ?? "",
        side: state.fromHandle.type,
      };
      if (state.toHandle) {
        const forward = state.fromHandle.type === "source";
        const [from, to] = forward ? [state.fromHandle, state.toHandle] : [state.toHandle, state.fromHandle];
        const ends = { source: from.nodeId, output: from.id ?? "", target: to.nodeId, field: to.id ?? "" };
        store.toast(
          from.type === to.type
            ? "an edge leads from an output to an input"
            : whyNot(store.document, store.schema, ends),
          "refusal",
        );
        return;
      }
      const point = "changedTouches" in event ? event.changedTouches[0] : event;
      const root = (event.target as Node).getRootNode() as Document | ShadowRoot;
      const element = root.elementFromPoint(point.clientX, point.clientY);
      const over = element?.closest<HTMLElement>(".react-flow__node")?.dataset.id;
      if (over === loose.node) return;
      const fit = over && firstFit(store.document, store.schema, loose, over);
      if (fit) return store.edit(connect(store.document, store.schema, fit));
      if (over && store.document.nodes.has(over)) return store.toast(`nothing of ${over} fits this wire`, "refusal");
      if (element?.closest(".react-flow")) openPalette({ x: point.clientX, y: point.clientY }, loose);
    },
    [store, openPalette],
  );

  const menu = (event: { clientX: number; clientY: number; preventDefault(): void }, place: Place): void => {
    event.preventDefault();
    openMenu({ x: event.clientX, y: event.clientY }, place);
  };
  const marks = useRef(() => {});

  const reconnected = useRef(false);
  const onReconnect = useCallback(
    (old: Edge, connection: Connection) => {
      reconnected.current = true;
      const gone = endsOf(old.id);
      const ends = endsFrom(connection);
      const same = gone.target === ends.target && gone.field === ends.field;
      store.edit([...(same ? [] : disconnect(store.document, [gone])), ...connect(store.document, store.schema, ends)]);
    },
    [store],
  );
  const onReconnectEnd = useCallback(
    (_: unknown, edge: Edge, __: unknown, state: FinalConnectionState) => {
      if (!reconnected.current && !state.toHandle) store.edit(disconnect(store.document, [endsOf(edge.id)]));
      reconnected.current = false;
    },
    [store],
  );

  return (
    <ReactFlow<AnyFlowNode>
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      edgeTypes={EDGE_TYPES}
      onNodesChange={onNodesChange}
      onEdgesChange={onEdgesChange}
      onNodeDragStart={onDragStart}
      onNodeDrag={onDrag}
      onNodeDragStop={onDragStop}
      onConnect={onConnect}
      onConnectStart={(_, { nodeId, handleId, handleType }) => {
        if (!nodeId || !handleType) return;
        const loose: LooseEnd = { node: nodeId, name: handleId ?? "", side: handleType };
        marks.current = markFits(view.getState().domNode!, store.document, store.schema, loose);
      }}
      onConnectEnd={(event, state) => {
        marks.current();
        onConnectEnd(event, state);
      }}
      onNodeContextMenu={(event, node) => {
        if (!node.selected) handle.current?.select([node.id]);
        menu(event, { kind: node.type === "note" ? "note" : "node", id: node.id });
      }}
      onEdgeContextMenu={(event, edge) => menu(event, { kind: "edge", id: edge.id })}
      onPaneContextMenu={(event) => menu(event, { kind: "pane" })}
      connectionRadius={26}
      onReconnect={onReconnect}
      onReconnectStart={() => (reconnected.current = false)}
      onReconnectEnd={onReconnectEnd}
      isValidConnection={isValid}
      connectionMode={ConnectionMode.Strict}
      onDoubleClick={(event) => {
        if ((event.target as Element).classList.contains("react-flow__pane"))
          openPalette({ x: event.clientX, y: event.clientY }, null);
      }}
      zoomOnDoubleClick={false}
      nodesDraggable={!readOnly}
      nodesConnectable={!readOnly}
      edgesReconnectable={!readOnly}
      deleteKeyCode={null}
      selectionKeyCode="Shift"
      multiSelectionKeyCode={["Control", "Meta"]}
      disableKeyboardA11y
      zoomOnScroll={active}
      panOnScroll={false}
      preventScrolling={active}
      onlyRenderVisibleElements={document.nodes.size > MANY}
      defaultViewport={opening}
      fitViewOptions={FIT}
      minZoom={MIN_ZOOM}
      maxZoom={2}
      onMoveStart={() => moves(true)}
      onMoveEnd={() => moves(false)}
      proOptions={{ hideAttribution: true }}
      aria-label="graph"
    >
      <Background gap={20} size={1.4} />
      <Controls showInteractive={false} position="bottom-left" />
      {minimap && <MiniMap pannable zoomable position="bottom-right" style={MAP_SIZE} />}
      <ConnectionHint />
    </ReactFlow>
  );
}

const asNodes = (ids: string[]): { id: string }[] | undefined => (ids.length ? ids.map((id) => ({ id })) : undefined);

function moved(document: GraphDocument, id: string, x: number, y: number): Change[] {
  const note = document.notes.get(id);
  if (note) return [["note", id, "", { ...note, x: Math.round(x), y: Math.round(y) }]];
  return document.nodes.has(id) ? place(id, x, y) : [];
}
