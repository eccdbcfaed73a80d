"""The layout of a drawing: the positions of nodes, by default in layers from left to right.

The canvas and the drawing in SVG show the same positions, because both read them from the layout of the graph.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast, get_args

from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.types import JsonObject, JsonValue
from nbgraph.services.shared.graph.edges import GraphLike
from nbgraph.services.shared.graph.topology import topological_order

NODE_WIDTH = 240
HEAD_HEIGHT = 34
ROW_HEIGHT = 26
PORT_HEIGHT, FIELD_HEIGHT, TEXT_HEIGHT, FOOT_HEIGHT = 24, 30, 66, 26
"""The parts of a node on the canvas in pixels, as its style sheet has them."""
SVG_FOOT_HEIGHT = 8
MAX_FIELDS = 6
BY_THE_WAY = ("width", "height", "seed")
"""Outputs that the canvas folds away beside a main one."""
GAP_ACROSS = 66
GAP_DOWN = 36
COLUMN_HEIGHT = 1000
NOTE_BOX = ("x", "y", "width", "height")
SWEEPS = 4
FEW = 40
"""Nodes without positions that are placed one by one; more are laid out as a graph of their own."""
Parents = Mapping[str, Sequence[str]]
"""The sources of each node, sources before their targets."""
Passage = tuple[str, str, int]
"""The place where an edge from one node to another crosses a column: (source, target, column)."""
Slot = str | Passage
S = TypeVar("S", bound=Slot)


class LaidOut(GraphLike, Protocol):
    """A graph with a layout: `{"nodes": {id: {"x", "y"}}, "notes": ..., ...}`, positions in pixels."""

    layout: dict[str, Any]


def read_layout(data: JsonValue) -> JsonObject:
    """Return the layout in values read from JSON, without what is damaged: a graph runs as well without its drawing."""
    layout = dict(_object(data)) if is_writable(data) else {}
    parts = {"nodes": _is_place, "notes": _is_note, "unknown": _is_placeholder}
    for part, is_good in parts.items():
        if kept := {name: one for name, one in _object(layout.pop(part, None)).items() if is_good(one)}:
            layout[part] = kept
    return layout


def _object(data: JsonValue) -> JsonObject:
    return cast(dict[str, Any], data) if isinstance(data, dict) else {}


def is_writable(data: JsonValue) -> bool:
    """Return whether values can be written as JSON in UTF-8; halves of surrogate pairs cannot."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _is_place(data: JsonValue) -> bool:
    return isinstance(data, dict) and all(_is_number(_object(data).get(name, 0)) for name in ("x", "y"))


def _is_note(data: JsonValue) -> bool:
    note = _object(data)
    return isinstance(note.get("text"), str) and all(_is_number(note.get(name)) for name in NOTE_BOX)


def _is_placeholder(data: JsonValue) -> bool:
    return isinstance(_object(data).get("data"), dict) and isinstance(_object(data).get("edges"), list)


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def node_height(graph: GraphLike, node_id: str) -> int:
    """Return the height of a node in pixels, as far as it is known without a browser.

    It is that on the canvas, where inputs and outputs that nobody has used are folded away, or that in SVG, which has
    a row for each edge and each value that was typed, whichever is larger.
    """
    node = graph.nodes[node_id]
    linked, values = {link.field for link in graph.links(node_id)}, node.literals()
    outputs = [name for name in node.outputs() if name not in BY_THE_WAY]
    fields = [
        TEXT_HEIGHT if is_long_text(name, spec.annotation) or _is_image(spec.annotation) else FIELD_HEIGHT
        for name, spec in node.inputs().items()
        if name not in linked and not spec.rare and (spec.required or values.get(name) is not None)
    ]
    rows = max(len(linked), len(outputs), 1)
    typed = len(values.keys() & node.model_fields_set)
    return max(
        HEAD_HEIGHT + PORT_HEIGHT * rows + sum(fields[:MAX_FIELDS]) + FOOT_HEIGHT,
        HEAD_HEIGHT + ROW_HEIGHT * (len(linked) + typed) + SVG_FOOT_HEIGHT,
    )


def is_long_text(name: str, annotation: object) -> bool:
    """Return whether an input is a text of several lines."""
    return annotation is str and name in ("text", "prompt", "negative_prompt", "caption")


def _is_image(annotation: object) -> bool:
    """Return whether an input is an image, which the canvas shows as high as a text."""
    return ImageField in (annotation, *get_args(annotation))


def missing_positions(graph: LaidOut) -> dict[str, dict[str, float]]:
    """Return `{id: {"x", "y"}}` for the nodes without a position; those with one are not moved."""
    known = graph.layout.get("nodes", {})
    # a list, because another thread may add nodes meanwhile
    missing = [node_id for node_id in list(graph.nodes) if not {"x", "y"} <= known.get(node_id, {}).keys()]
    if not missing:
        return {}
    if len(missing) == len(graph.nodes):
        return layered_positions(graph, missing)
    placed = {node_id: known[node_id] for node_id in known if node_id in graph.nodes and node_id not in set(missing)}
    beside = _beside_sources(graph, missing, placed) if len(missing) <= FEW else {}
    placed |= beside
    found = layered_positions(graph, [node_id for node_id in missing if node_id not in beside])
    below = max((own["y"] + node_height(graph, node_id) for node_id, own in placed.items()), default=0.0)
    left = min((own["x"] for own in placed.values()), default=0.0)
    apart = {node_id: {"x": left + own["x"], "y": below + GAP_DOWN + own["y"]} for node_id, own in found.items()}
    return {**beside, **apart}


def _beside_sources(
    graph: GraphLike, missing: Sequence[str], placed: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Return positions right of their sources for nodes that follow placed ones, lower where others are in the way."""
    boxes = {node_id: (own["x"], own["y"], node_height(graph, node_id)) for node_id, own in placed.items()}
    found: dict[str, dict[str, float]] = {}
    for node_id in ordered_parents(graph, missing):
        sources = [boxes[link.source] for link in graph.links(node_id) if link.source in boxes]
        if not sources:
            continue
        (left, y, _), height = max(sources), node_height(graph, node_id)
        x = left + NODE_WIDTH + GAP_ACROSS
        column = [(top, top + high) for across, top, high in boxes.values() if abs(across - x) < NODE_WIDTH]
        while under := next((end for top, end in column if top < y + height and y < end), None):
            y = under + GAP_DOWN
        boxes[node_id] = (x, y, height)
        found[node_id] = {"x": x, "y": y}
    return found


def layered_positions(graph: GraphLike, node_ids: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return `{id: {"x", "y"}}` of these nodes in layers from left to right."""
    return _places(graph, layers_of(ordered_parents(graph, node_ids)))


def ordered_parents(graph: GraphLike, node_ids: Iterable[str] | None = None) -> dict[str, list[str]]:
    """Return the sources of each of these nodes (by default, of all), each once, with sources before what needs them.

    Nodes of a cycle come last.
    """
    wanted = dict.fromkeys(graph.nodes if node_ids is None else node_ids)
    parents = {
        node_id: list(dict.fromkeys(link.source for link in graph.links(node_id) if link.source in wanted))
        for node_id in wanted
    }
    order, _ = topological_order(parents)
    return {node_id: parents[node_id] for node_id in dict.fromkeys([*order, *wanted])}


def layers_of(parents: Parents) -> list[list[str]]:
    """Return layers of nodes, each node to the right of its sources, sorted so that few edges cross.

    `parents` lists sources before their targets.
    """
    layers = _columns(parents)
    after: dict[str, list[str]] = {node_id: [] for node_id in parents}
    for node_id, sources in parents.items():
        for source in sources:
            after[source].append(node_id)
    _sort(layers, parents, after)
    return layers


def layers_with_passages(parents: Parents) -> list[list[Slot]]:
    """Return the layers of `layers_of` with a passage in each column that an edge crosses, so that it avoids the nodes.

    The canvas draws edges behind its nodes and needs none: a source that a chain of a thousand nodes refers to would
    get half a million.
    """
    layers: list[list[Slot]] = [[*layer] for layer in _columns(parents)]
    column = {slot: number for number, layer in enumerate(layers) for slot in layer}
    before: dict[Slot, list[Slot]] = {}
    for node_id, sources in parents.items():
        before[node_id] = []
        for source in sources:
            last: Slot = source
            for crossed in range(column[source] + 1, column[node_id]):
                passage = (source, node_id, crossed)
                layers[crossed].append(passage)
                before[passage] = [last]
                last = passage
            before[node_id].append(last)
    after: dict[Slot, list[Slot]] = {slot: [] for slot in before}
    for slot, sources in before.items():
        for source in sources:
            after[source].append(slot)
    _sort(layers, before, after)
    return layers


def _columns(parents: Parents) -> list[list[str]]:
    """Return the nodes by column: right of all sources, then as far right as the nearest node that needs them."""
    depth: dict[str, int] = {}
    for node_id, sources in parents.items():
        depth[node_id] = max((depth.get(source, -1) + 1 for source in sources), default=0)
    # Moving a node towards the node that needs it shortens edges.
    nearest: dict[str, int] = {}
    for node_id in reversed(list(parents)):
        for source in parents[node_id]:
            nearest[source] = min(nearest.get(source, depth[node_id] - 1), depth[node_id] - 1)
        depth[node_id] = max(depth[node_id], nearest.get(node_id, depth[node_id]))
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node_id in parents:
        layers[depth[node_id]].append(node_id)
    return layers


def _sort(layers: list[list[S]], before: Mapping[S, Sequence[S]], after: Mapping[S, Sequence[S]]) -> None:
    """Sort each layer by the mean place of the neighbours of its slots, forwards and backwards."""
    place = {slot: number - len(layer) / 2 for layer in layers for number, slot in enumerate(layer)}
    # After a few sweeps the order hardly changes any more.
    for _ in range(SWEEPS):
        for ordered, neighbours in ((layers, before), (layers[::-1], after)):
            for layer in ordered:
                mean = {slot: _mean([place[one] for one in neighbours[slot]], place[slot]) for slot in layer}
                layer.sort(key=mean.__getitem__)
                place.update({slot: number - len(layer) / 2 for number, slot in enumerate(layer)})


def _places(graph: GraphLike, layers: list[list[str]]) -> dict[str, dict[str, float]]:
    """Place the layers beside each other; a layer that is too high continues in another column."""
    places: dict[str, dict[str, float]] = {}
    x = 0.0
    for layer in layers:
        y = 0.0
        for node_id in layer:
            height = node_height(graph, node_id)
            if y and y + height > COLUMN_HEIGHT:
                x, y = x + NODE_WIDTH + GAP_ACROSS, 0.0
            places[node_id] = {"x": x, "y": y}
            y += height + GAP_DOWN
        x += NODE_WIDTH + GAP_ACROSS
    return places


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
