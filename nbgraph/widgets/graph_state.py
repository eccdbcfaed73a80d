"""A graph as the flat state that changes speak of, read again only where nodes have changed."""

from typing import Any

from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.changes import Key, State

OPTIONS = ("use_cache", "is_intermediate")


class GraphReader:
    """Reads the state of a graph; what it knows of a node is used again while the node stays as it was."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[BaseInvocation, dict[str, Any], set[str], State]] = {}

    def read(self, graph: Graph) -> State:
        """The state of the graph now."""
        state: State = {}
        known = self._known
        self._known = {}
        layout = graph.layout.get("nodes", {})
        for node_id, node in list(graph.nodes.items()):
            state[("node", node_id, "")] = {"type": node.type, **node.dump_extra()}
            values = self._values(node_id, node, known.get(node_id))
            state.update(values)
            self._read_links(graph, node_id, state)
            for name, value in layout.get(node_id, {}).items():
                state[("layout", node_id, name)] = value
        for note_id, note in graph.layout.get("notes", {}).items():
            state[("note", note_id, "")] = note
        for node_id, unknown in graph.layout.get("unknown", {}).items():
            state[("unknown", node_id, "")] = unknown
            for name, value in layout.get(node_id, {}).items():
                state[("layout", node_id, name)] = value
        return state

    def _values(self, node_id: str, node: BaseInvocation, known: Any) -> State:
        if known is not None and known[0] is node and known[1] == node.__dict__ and known[2] == node.model_fields_set:
            self._known[node_id] = known
            return known[3]
        values = typed_state(node_id, node)
        if not any(isinstance(value, list | dict | set) for value in node.__dict__.values()):
            self._known[node_id] = (node, dict(node.__dict__), set(node.model_fields_set), values)
        return values

    @staticmethod
    def _read_links(graph: Graph, node_id: str, state: State) -> None:
        arriving: dict[str, list[list[str]]] = {}
        for link in graph.links(node_id):
            arriving.setdefault(link.field, []).append([link.source, link.output])
        for field, links in arriving.items():
            state[("input", node_id, field)] = {"links": links}


def typed_state(node_id: str, node: BaseInvocation) -> dict[Key, Any]:
    """What a person typed into a node, as JSON-able values by key."""
    names = {name for name in node.literals() if name in node.model_fields_set}
    dumped = node.model_dump(mode="json", include=names, warnings=False) if names else {}
    values: State = {("input", node_id, name): {"value": value} for name, value in dumped.items()}
    for name in OPTIONS:
        if name in node.model_fields_set:
            values[("option", node_id, name)] = getattr(node, name)
    return values
