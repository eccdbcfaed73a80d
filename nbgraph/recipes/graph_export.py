"""Export a graph to another program: each node by its writer; what has no counterpart is named."""

from collections.abc import Callable
from typing import Any

from nbgraph.errors import ModelError, Problems
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.expand import expand
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.topology import parents_of, topological_order

PLAIN = ("integer", "float", "boolean", "string", "scheduler")
"""Nodes that pass on a typed value."""


class GraphExport:
    """A graph on its way to another program; a subclass has a method `_write_<type>` for each node type it can write.

    A writer asks for inputs by `value` and `values_of`, and sets outputs by `give`. An input that a writer did not ask
    for must hold its default, else it is a problem: so no field is ever left out silently.
    """

    target = ""

    def __init__(self, graph: Graph) -> None:
        graph.validate()
        self.graph = expand(graph)
        self.outputs: dict[tuple[str, str], Any] = {}
        self.problems = Problems()
        self.node_id = self._last = ""
        self._read: set[str] = set()
        self._writers: dict[str, Callable[[BaseInvocation], None]] = {
            name.removeprefix("_write_"): getattr(self, name) for name in dir(self) if name.startswith("_write_")
        }

    @property
    def kind(self) -> str:
        """The kind of the problems that are found."""
        return f"not_in_{self.target.casefold()}"

    def write_nodes(self) -> None:
        """Write all nodes, each after those it needs."""
        order, _ = topological_order(parents_of(self.graph))
        for node_id in order:
            self._write(node_id, self.graph.nodes[node_id])

    def _write(self, node_id: str, node: BaseInvocation) -> None:
        self.node_id, self._read = node_id, set()
        writer = self._writers.get("plain" if node.type in PLAIN else node.type)
        if writer is None:
            self.problem("type", f"a node {node.type!r} has no counterpart in {self.target}; remove it")
            return
        links = self.graph.links(node_id)
        if any((link.source, link.output) not in self.outputs for link in links):
            return  # the node that it comes from is a problem already
        try:
            writer(node)
        except ModelError as error:
            self.problem(self._last, str(error))
            return
        linked = {link.field for link in links}
        for name, spec in node.inputs().items():
            if name not in self._read and (name in linked or node.literals().get(name, spec.default) != spec.default):
                self.problem(name, f"has no counterpart in {self.target}; leave it at its default")

    def _write_plain(self, node: BaseInvocation) -> None:
        name = "scheduler" if node.type == "scheduler" else "value"
        self.give(**{name: self.value(node, name)})

    def problem(self, field: str, message: str) -> None:
        """Note why a field of the node that is written has no counterpart."""
        self.problems.add(self.kind, message, self.node_id, field)

    def value(self, node: BaseInvocation, name: str) -> Any:
        """Return what an input holds: its value, or what arrives over its edge; None for nothing."""
        found = self.values_of(node, name)
        return found[0] if found else None

    def values_of(self, node: BaseInvocation, name: str) -> list[Any]:
        """Return everything that arrives at an input."""
        self._read.add(name)
        self._last = name
        links = [link for link in self.graph.links(self.node_id) if link.field == name]
        if links:
            return [self.outputs[link.source, link.output] for link in links]
        value = node.literals().get(name)
        return [] if value is None else [value]

    def give(self, **outputs: Any) -> None:
        """Set outputs of the node that is written."""
        self.outputs.update({(self.node_id, name): value for name, value in outputs.items()})
