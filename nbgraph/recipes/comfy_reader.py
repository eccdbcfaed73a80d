"""Reading a workflow of ComfyUI from its ends: each node once, its outputs kept for those that need them."""

from collections.abc import Callable
from typing import Any

from nbgraph.recipes.comfy_format import ComfyNode, Link, Nodes
from nbgraph.recipes.graph_builder import GraphBuilder, Out, edge
from nbgraph.recipes.opened import Report
from nbgraph.recipes.shelf import Shelf
from nbgraph.services.shared.graph.graph import Graph

WITHOUT_EFFECT = ("filename_prefix", "upload", "device", "control_after_generate")
"""Inputs that change no pixel."""


class ComfyReader:
    """One workflow on its way to a graph. Methods `_read_TYPE` read nodes of a type and return its outputs."""

    def __init__(self, nodes: Nodes, shelf: Shelf, report: Report) -> None:
        self.nodes, self.shelf, self.report = nodes, shelf, report
        self.builder = GraphBuilder(report)
        self._done: dict[str, tuple[Any, ...]] = {}
        self._under_way: set[str] = set()
        self._asked: dict[str, set[str]] = {}
        self._readers: dict[str, Callable[[ComfyNode], tuple[Any, ...]]] = {
            name.removeprefix("_read_"): getattr(self, name) for name in dir(self) if name.startswith("_read_")
        }

    def graph(self) -> Graph:
        """Return the graph of all nodes."""
        for node_id in self.nodes:
            self._outputs(node_id)
        return self.builder.graph()

    def _outputs(self, node_id: str) -> tuple[Any, ...]:
        if node_id in self._done:
            return self._done[node_id]
        if node_id in self._under_way:
            return ()
        self._under_way.add(node_id)
        node = self.nodes[node_id]
        reader = self._readers.get(node.type)
        if reader is None:
            found = self._placeholder(node, "nothing here corresponds to this type")
        else:
            try:
                found = reader(node)
                self._name_unread(node)
            except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
                found = self._placeholder(node, f"its inputs cannot be read: {error}")
        self._done[node_id] = found
        return found

    def _name_unread(self, node: ComfyNode) -> None:
        """Report the inputs that the reader of a node did not ask for, so that none is left out without a word."""
        for name, value in node.inputs.items():
            if name not in self._asked.get(node.id, ()) and name not in WITHOUT_EFFECT and value not in (None, ""):
                self.report.differs(f"{node.type}.{name}", "this input is not taken over")

    def _placeholder(self, node: ComfyNode, why: str) -> tuple[Any, ...]:
        plain = {name: value for name, value in node.inputs.items() if not isinstance(value, Link)}
        name = self.builder.add_unknown(node.title or node.type, node.type, {"inputs": plain}, why)
        for field, value in node.inputs.items():
            if isinstance(value, Link) and isinstance(source := self._at(value), Out):
                self.builder.edges.append(edge(source, name, field))
        return tuple(Out(name, f"output_{slot}") for slot in range(8))

    def _at(self, value: Any) -> Any:
        """What an input holds: a value as it is, or what arrives over its link."""
        if not isinstance(value, Link):
            return value
        outputs = self._outputs(value.node) if value.node in self.nodes else ()
        return outputs[value.slot] if 0 <= value.slot < len(outputs) else None

    def _first(self, *types: str) -> Any:
        """The first output of the first node of these types, None while that is read; `ValueError` without one."""
        found = next((each.id for each in self.nodes.values() if each.type in types), None)
        if found is None:
            raise ValueError(f"there is no {' or '.join(types)} beside it")
        return next(iter(self._outputs(found)), None)

    def _input(self, node: ComfyNode, name: str, default: Any = None) -> Any:
        self._asked.setdefault(node.id, set()).add(name)
        given = node.inputs.get(name, default)
        found = self._at(given)
        if found is None and isinstance(given, Link):
            text = f"nothing arrives over its link from node {given.node[:40]}, which is muted or not there"
            self.report.missing(f"{node.type}.{name}", text)
        return default if found is None else found

    def _text(self, node: ComfyNode, name: str, default: str = "") -> str:
        """Return the value of an input that is a choice or a name; `ValueError` for one that another node gives."""
        found = self._input(node, name, default)
        if isinstance(found, Out):
            raise ValueError(f"{name} comes from a node that is not read before it runs")
        return str(found)

    def _add(self, type_name: str, wanted: str = "", **inputs: Any) -> str:
        return self.builder.add(type_name, wanted, **inputs)
