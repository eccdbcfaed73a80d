"""A graph as the flat state that changes refer to, kept by owner and read again only where something differs."""

from collections.abc import Iterable
from operator import is_
from typing import Any, NamedTuple

from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.edges import Link
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.changes import Change, Key, Owner, State, difference

OPTIONS = ("use_cache", "is_intermediate")
NODE, NOTE = "node", "note"


class _Seen(NamedTuple):
    """A node when it was last read. Values are compared by identity, because 1, 1.0 and True are equal."""

    node: BaseInvocation
    values: tuple[Any, ...]
    given: set[str]
    links: list[Link]
    place: dict[str, Any]


class GraphState:
    """The state of a graph at the last `update`, by owner: a node with its inputs and position, or a note.

    `changed` compares each node by identity and reads nothing; `update` reads only the owners that it is given.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, State] = {}
        self._notes: dict[str, State] = {}
        self._seen: dict[str, _Seen] = {}

    def whole(self) -> State:
        """The whole state."""
        return {key: value for part in (*self._notes.values(), *self._nodes.values()) for key, value in part.items()}

    def changed(self, graph: Graph) -> list[Owner]:
        """Return the owners that may have changed, new and removed ones included; nodes that hold lists always may."""
        # Local names, because this loop runs over all nodes of a graph after every cell.
        place_of, links_of, seen = graph.layout.get("nodes", {}).get, graph.links, self._seen.get
        nowhere: dict[str, Any] = {}
        found: list[str] = []
        for node_id, node in list(graph.nodes.items()):
            known = seen(node_id)
            if known is not None:
                same, values, given, links, place = known
                if (
                    same is node
                    and given == node.__pydantic_fields_set__
                    and links == links_of(node_id)
                    and place == place_of(node_id, nowhere)
                    and all(map(is_, values, node.__dict__.values()))
                ):
                    continue
            found.append(node_id)
        notes, unknown = graph.layout.get("notes", {}), graph.layout.get("unknown", {})
        # Placeholders are rare and are compared when they are read.
        found += unknown
        found += self._nodes.keys() - graph.nodes.keys() - unknown.keys()
        return [(NODE, node_id) for node_id in found] + [(NOTE, id) for id in {**self._notes, **notes}]

    def update(self, graph: Graph, owners: Iterable[Owner]) -> tuple[list[Change], list[Change]]:
        """Read these owners again; return the changes since, and their reverse."""
        forward: list[Change] = []
        backward: list[Change] = []
        for owner in owners:
            kind, id = owner
            parts = self._nodes if kind == NODE else self._notes
            before = parts.get(id, {})
            after = self._read_node(graph, id) if kind == NODE else _read_note(graph, id)
            if after:
                parts[id] = after
            else:
                parts.pop(id, None)
            forward += difference(before, after)
            backward += difference(after, before)
        return forward, backward

    def _read_node(self, graph: Graph, node_id: str) -> State:
        state: State = {}
        node = graph.nodes.get(node_id)
        self._seen.pop(node_id, None)
        unknown = graph.layout.get("unknown", {}).get(node_id)
        place = graph.layout.get("nodes", {}).get(node_id, {})
        if node is None and unknown is None:
            return state
        if node is not None:
            links = graph.links(node_id)
            state["node", node_id, ""] = {"type": node.type, **node.dump_extra()}
            state.update(typed_state(node_id, node))
            state.update(_linked_state(node_id, links))
            values = tuple(node.__dict__.values())
            # A list that a node holds may be changed in place, which identity does not show: no snapshot of that node.
            if type(node).dump_extra is BaseInvocation.dump_extra and not any(map(_is_mutable, values)):
                self._seen[node_id] = _Seen(node, values, set(node.model_fields_set), list(links), dict(place))
        if unknown is not None:
            state["unknown", node_id, ""] = unknown
        state.update({("layout", node_id, name): value for name, value in place.items()})
        return state


def state_of(graph: Graph) -> State:
    """Return the whole state of a graph."""
    state = GraphState()
    state.update(graph, state.changed(graph))
    return state.whole()


def typed_state(node_id: str, node: BaseInvocation) -> dict[Key, Any]:
    """Return the values typed into a node, as JSON values by key."""
    names = {name for name in node.literals() if name in node.model_fields_set}
    dumped = node.model_dump(mode="json", include=names, warnings=False) if names else {}
    values: State = {("input", node_id, name): {"value": value} for name, value in dumped.items()}
    for name in OPTIONS:
        if name in node.model_fields_set:
            values[("option", node_id, name)] = getattr(node, name)
    return values


def _linked_state(node_id: str, links: list[Link]) -> State:
    arriving: dict[str, list[list[str]]] = {}
    for link in links:
        arriving.setdefault(link.field, []).append([link.source, link.output])
    return {("input", node_id, field): {"links": ends} for field, ends in arriving.items()}


def _read_note(graph: Graph, note_id: str) -> State:
    note = graph.layout.get("notes", {}).get(note_id)
    return {} if note is None else {("note", note_id, ""): dict(note)}


def _is_mutable(value: Any) -> bool:
    return isinstance(value, list | dict | set)
