"""Apply changes to a graph through the graph's own methods, so that the engine's validator decides what is valid."""

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nbgraph.errors import GraphError, Problem, Problems, UnknownNodeTypeError
from nbgraph.invocations.node_registry import registry
from nbgraph.services.shared.graph.edges import Connection, Edge
from nbgraph.services.shared.graph.graph import Graph, typed_values
from nbgraph.widgets.changes import GONE, Change
from nbgraph.widgets.graph_state import OPTIONS

FAR = 1_000_000
"""The largest coordinate on a canvas, in pixels."""
MAX_ID = 100


class Note(BaseModel):
    """A frame around nodes, or a comment beside them; sizes in canvas pixels."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["frame", "comment"]
    x: float = Field(ge=-FAR, le=FAR)
    y: float = Field(ge=-FAR, le=FAR)
    width: float = Field(ge=20, le=FAR)
    height: float = Field(ge=20, le=FAR)
    text: str = Field("", max_length=10_000)
    colour: str = Field("", pattern=r"^(#[0-9a-fA-F]{6})?$")


def apply_changes(graph: Graph, changes: Iterable[Change], restored: bool = False) -> None:
    """Make the changes, or raise `GraphError` with every problem found and leave the graph unchanged.

    Parameters
    ----------
    graph
        The graph to change.
    changes
        The changes, in any order.
    restored
        The changes lead back to an earlier state of the graph, as undo does; invalid edges of that state come back too.
    """
    changes = list(changes)
    # First on a copy: a change that fails half-way must not leave a half-changed graph.
    _Edit(graph.copy(), restored).make(changes)
    _Edit(graph, restored).make(changes)


class _Edit:
    """The application of one list of changes to one graph."""

    def __init__(self, graph: Graph, restored: bool) -> None:
        self.graph, self.restored = graph, restored
        self.problems = Problems()
        self.unknown = dict(graph.layout.get("unknown", {}))
        self.loosened: list[Edge] = []

    def make(self, changes: list[Change]) -> None:
        by_kind: dict[str, list[Change]] = {}
        for change in changes:
            by_kind.setdefault(change.kind, []).append(change)
        # Nodes before values before links: each needs what the one before it has made.
        values = [*by_kind.get("input", []), *by_kind.get("option", [])]
        self._nodes(by_kind.get("node", []), values)
        self._inputs(values)
        self._links(by_kind.get("input", []))
        self._unknown(by_kind.get("unknown", []))
        self._layout(by_kind.get("layout", []), by_kind.get("note", []))
        self.problems.raise_any()

    def _fail(self, kind: str, text: str, change: Change) -> None:
        self.problems.add(kind, text, change.id or None, change.name or None)

    def _nodes(self, changes: list[Change], values: list[Change]) -> None:
        for change in changes:
            if change.value is GONE:
                if change.id in self.graph.nodes:
                    self.graph.delete_node(change.id)
            elif change.id in self.graph.nodes:
                self._loosen(change.id)
                self._rebuild(change.id, [], change)
            elif not change.id.strip() or len(change.id) > MAX_ID or not change.id.isprintable():
                self._fail("bad_id", f"an id is a short text without line breaks (at most {MAX_ID} characters)", change)
            elif change.id in self.unknown:
                self._fail("duplicate_id", "there is a node of that id already; choose another", change)
            else:
                self._rebuild(change.id, [one for one in values if one.id == change.id], change)
        self.problems.raise_any()

    def _loosen(self, node_id: str) -> None:
        """Remove the edges of a node that is built again; they are added, and checked, together with the new ones."""
        edges = [edge for edge in self.graph.edges if node_id in (edge.source.node_id, edge.destination.node_id)]
        for edge in edges:
            self.graph.delete_edge(edge)
        self.loosened += edges

    def _inputs(self, changes: list[Change]) -> None:
        by_node: dict[str, list[Change]] = {}
        for change in changes:
            if change.id in self.graph.nodes:
                by_node.setdefault(change.id, []).append(change)
            elif change.value is not GONE:
                self._fail("unknown_node", "there is no such node (any more)", change)
        for node_id, own in by_node.items():
            self._rebuild(node_id, own)

    def _rebuild(self, node_id: str, changes: list[Change], made: Change | None = None) -> None:
        """Build a node again, with other values or of another class, and replace it in the graph."""
        old = self.graph.nodes.get(node_id)
        typed = typed_values(old) if old is not None else {}
        for change in changes:
            self._set_value(typed, change)
        # A node with a bad value would raise errors about the value again, in other words.
        if self.problems.found:
            return
        try:
            extra = {"type": old.type, **old.dump_extra()} if made is None and old is not None else made and made.value
            cls, rest = _class_of(extra)
            node = cls(**{**rest, **typed, "id": node_id})
        except GraphError as error:
            self.problems.found.extend(error.problems)
            return
        except UnknownNodeTypeError as error:
            self.problems.add("unknown_type", error.message, node_id)
            return
        if old is None:
            self.graph.add_node(node)
        else:
            self.graph.nodes[node_id] = node
            self.graph.update_node(node_id)

    def _set_value(self, typed: dict[str, Any], change: Change) -> None:
        if change.kind == "option":
            if change.name not in OPTIONS:
                self._fail("unknown_field", f"there is no such option (possible: {', '.join(OPTIONS)})", change)
            elif change.value is GONE:
                typed.pop(change.name, None)
            else:
                typed[change.name] = change.value
        elif change.value is GONE or _object(change.value).keys() == {"links"}:
            typed.pop(change.name, None)
        elif _object(change.value).keys() == {"value"}:
            typed[change.name] = change.value["value"]
        else:
            self._fail("bad_change", "an input gets either a value or links", change)

    def _links(self, changes: list[Change]) -> None:
        added: list[Edge] = []
        for change in changes:
            if change.id not in self.graph.nodes:
                continue
            here = Connection(change.id, change.name)
            for link in [link for link in self.graph.links(change.id) if link.field == change.name]:
                self.graph.delete_edge(Edge(Connection(link.source, link.output), here))
            links: Any = _object(change.value).get("links", [])
            if not isinstance(links, list) or not all(map(_is_link, cast("list[Any]", links))):
                self._fail("bad_change", "links are a list of [node, output]", change)
                continue
            added += [Edge(Connection(*link), here) for link in cast("list[list[str]]", links)]
        self.problems.raise_any()
        # An input that gets links by these changes does not get its old ones back.
        relinked, nodes = {(change.id, change.name) for change in changes}, self.graph.nodes
        for edge in self.loosened:
            if edge.destination not in relinked and edge.source.node_id in nodes and edge.destination.node_id in nodes:
                added.append(edge)
        self.graph.add_edges(added, self.restored)

    def _unknown(self, changes: list[Change]) -> None:
        for change in changes:
            if change.value is GONE:
                self.unknown.pop(change.id, None)
            else:
                self.unknown[change.id] = change.value

    def _layout(self, changes: list[Change], notes: list[Change]) -> None:
        before = self.graph.layout.get("nodes", {})
        moved = {change.id for change in changes}
        nodes = {**before, **{node_id: dict(before[node_id]) for node_id in moved if node_id in before}}
        # Positions of nodes that were deleted would grow without end.
        for node_id in nodes.keys() - self.graph.nodes.keys() - self.unknown.keys():
            del nodes[node_id]
        for change in changes:
            if change.value is GONE:
                nodes.get(change.id, {}).pop(change.name, None)
            elif change.id not in self.graph.nodes and change.id not in self.unknown:
                self._fail("unknown_node", "there is no such node (any more)", change)
            elif not _LAYOUT.get(change.name, _never)(change.value):
                self._fail("bad_value", f"a layout has no {change.name[:40]!r} = {str(change.value)[:40]!r}", change)
            else:
                nodes.setdefault(change.id, {})[change.name] = change.value
        notes_now = dict(self.graph.layout.get("notes", {}))
        for change in notes:
            if change.value is GONE:
                notes_now.pop(change.id, None)
                continue
            try:
                notes_now[change.id] = Note(**change.value).model_dump()
            except (ValidationError, TypeError) as error:
                self._fail("bad_value", f"this is neither a frame nor a comment: {str(error)[:200]}", change)
        # Parts of the layout that this version does not know are kept: a newer one may have written them.
        parts = {"nodes": nodes, "notes": notes_now, "unknown": self.unknown}
        kept = {name: part for name, part in self.graph.layout.items() if name not in parts}
        if not self.problems.found:
            self.graph.layout = {**kept, **{name: part for name, part in parts.items() if part}}


def _class_of(made: Any) -> tuple[Any, dict[str, Any]]:
    """Return the class and the other entries of the value of a node change."""
    given = _object(made)
    if not isinstance(given.get("type"), str):
        raise GraphError([Problem("bad_change", 'a node is an object with a "type"')])
    rest = {name: value for name, value in given.items() if name != "type"}
    return registry()[given["type"]].class_from_json(rest), rest


def _object(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one for any other value."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _is_link(link: Any) -> bool:
    parts = cast("list[Any]", link) if isinstance(link, list) else []
    return len(parts) == 2 and all(isinstance(part, str) for part in parts)


def _is_place(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and abs(value) <= FAR


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_mode(value: Any) -> bool:
    return value in ("mute", "bypass")


def _never(value: Any) -> bool:
    return False


_LAYOUT: dict[str, Callable[[Any], bool]] = {"x": _is_place, "y": _is_place, "collapsed": _is_truth, "mode": _is_mode}
