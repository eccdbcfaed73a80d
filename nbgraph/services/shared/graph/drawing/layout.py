"""Where nodes stand that have no place yet: in layers from left to right, each below the other.

The canvas and the static drawing show the same places, because both read them from the graph's layout.
"""

from typing import Any, Protocol

from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.edges import GraphLike
from nbgraph.services.shared.graph.topology import topological_order

NODE_WIDTH = 240
HEAD_HEIGHT = 34
ROW_HEIGHT = 26
TEXT_HEIGHT = 78
FOOT_HEIGHT = 36
GAP_ACROSS = 90
GAP_DOWN = 36
COLUMN_HEIGHT = 1000


class LaidOut(GraphLike, Protocol):
    """A graph that knows where its nodes stand."""

    layout: dict[str, Any]


def node_height(node: BaseInvocation) -> int:
    """The height of a node on the canvas in pixels, as far as it can be told without a browser."""
    cls = type(node)
    tall = sum(TEXT_HEIGHT - ROW_HEIGHT for name, spec in cls.inputs().items() if is_long_text(name, spec.annotation))
    return HEAD_HEIGHT + ROW_HEIGHT * (len(cls.inputs()) + len(cls.outputs())) + tall + FOOT_HEIGHT


def is_long_text(name: str, annotation: Any) -> bool:
    """Whether an input is a text of several lines."""
    return annotation is str and name in ("text", "prompt", "negative_prompt", "caption")


def missing_positions(graph: LaidOut) -> dict[str, dict[str, float]]:
    """`{id: {"x", "y"}}` for the nodes that have no place; those that have one are not moved."""
    known = graph.layout.get("nodes", {})
    missing = [node_id for node_id in list(graph.nodes) if not {"x", "y"} <= known.get(node_id, {}).keys()]
    if not missing:
        return {}
    if len(missing) == len(graph.nodes):
        return layered_positions(graph, missing)
    placed = {node_id: known[node_id] for node_id in known if node_id in graph.nodes and node_id not in set(missing)}
    found = layered_positions(graph, missing)
    below = max((own["y"] + node_height(graph.nodes[node_id]) for node_id, own in placed.items()), default=0.0)
    left = min((own["x"] for own in placed.values()), default=0.0)
    return {node_id: {"x": left + own["x"], "y": below + GAP_DOWN + own["y"]} for node_id, own in found.items()}


def layered_positions(graph: GraphLike, node_ids: list[str]) -> dict[str, dict[str, float]]:
    """Each node in the layer before the first that needs it; within a layer near what it is linked to."""
    wanted = set(node_ids)
    parents = {
        node_id: list(dict.fromkeys(link.source for link in graph.links(node_id) if link.source in wanted))
        for node_id in node_ids
    }
    order, _ = topological_order(parents)
    order += [node_id for node_id in node_ids if node_id not in set(order)]
    layers = _layers(order, parents)
    rows: dict[str, float] = {}
    for layer in layers:
        layer.sort(key=lambda node_id: _mean([rows[parent] for parent in parents[node_id] if parent in rows]))
        rows.update({node_id: float(row) for row, node_id in enumerate(layer)})
    return _places(graph, layers)


def _layers(order: list[str], parents: dict[str, list[str]]) -> list[list[str]]:
    depth: dict[str, int] = {}
    for node_id in order:
        depth[node_id] = max((depth.get(parent, -1) + 1 for parent in parents[node_id]), default=0)
    nearest: dict[str, int] = {}
    for node_id in reversed(order):
        for parent in parents[node_id]:
            nearest[parent] = min(nearest.get(parent, depth[node_id] - 1), depth[node_id] - 1)
        depth[node_id] = max(depth[node_id], nearest.get(node_id, depth[node_id]))
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node_id in order:
        layers[depth[node_id]].append(node_id)
    return layers


def _places(graph: GraphLike, layers: list[list[str]]) -> dict[str, dict[str, float]]:
    places: dict[str, dict[str, float]] = {}
    x = 0.0
    for layer in layers:
        y = 0.0
        for node_id in layer:
            height = node_height(graph.nodes[node_id])
            if y and y + height > COLUMN_HEIGHT:
                x, y = x + NODE_WIDTH + GAP_ACROSS, 0.0
            places[node_id] = {"x": x, "y": y}
            y += height + GAP_DOWN
        x += NODE_WIDTH + GAP_ACROSS
    return places


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
