"""Graphs as nodes: a library graph exposes some inputs and outputs under names of its own, and is used like any node.

    TextToImage = library.node_class()
    picture = TextToImage(prompt="a red apple")

Its inner nodes run as `picture.noise`, `picture.denoise`: `flatten` puts them in its place before a graph is planned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar
from uuid import uuid4

from pydantic import Field, create_model

from nbgraph.errors import GraphError, Problem, Problems, suggest
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.inputs import Many
from nbgraph.services.shared.graph.edges import Link
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.validation import GraphLike

MAX_DEPTH = 32


@dataclass(frozen=True)
class Exposed:
    """An inner input or output, and the name it has outside."""

    alias: str
    node: str
    field: str


class LibraryGraph:
    """A graph with a name, a description, and the inputs and outputs it shows outside."""

    def __init__(
        self,
        name: str,
        graph: Graph,
        inputs: Sequence[Exposed] = (),
        outputs: Sequence[Exposed] = (),
        description: str = "",
        id: str | None = None,
    ) -> None:
        self.id = id or uuid4().hex
        self.name, self.graph, self.description = name, graph, description
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        problems = Problems()
        self._check(problems, self.inputs, "inputs")
        self._check(problems, self.outputs, "outputs")
        problems.raise_any()

    def _check(self, problems: Problems, exposed: Sequence[Exposed], kind: str) -> None:
        seen: set[str] = set()
        for one in exposed:
            if one.alias in seen or not one.alias.isidentifier():
                problems.add(
                    "bad_alias", f"{one.alias!r} is no name that can be used once; choose another", self.name, one.alias
                )
            seen.add(one.alias)
            if one.node not in self.graph.nodes:
                text = f"exposes {one.node!r}, which is no node of the graph{suggest(one.node, self.graph.nodes)}"
                problems.add("unknown_node", text, self.name, one.alias)
                continue
            node = self.graph.nodes[one.node]
            fields = node.inputs() if kind == "inputs" else node.outputs()
            if one.field not in fields:
                text = f"{one.node!r} has no {one.field!r} among its {kind}{suggest(one.field, fields)}"
                problems.add("unknown_field", text, self.name, one.alias)

    def node_class(self) -> "type[GraphInvocation]":
        """The node type that this graph is: its fields are the exposed inputs."""
        fields = {one.alias: self._field(one) for one in self.inputs}
        outputs = {one.alias: (self.graph.nodes[one.node].outputs()[one.field], ...) for one in self.outputs}
        output_class: Any = create_model("GraphOutput", __base__=BaseInvocationOutput, **outputs)
        cls: Any = create_model(_class_name(self.name), __base__=GraphInvocation, **fields)
        cls.library, cls.output_class, cls.title = self, output_class, self.name
        cls.__doc__ = self.description or f"The library graph {self.name!r}."
        return cls

    def _field(self, exposed: Exposed) -> Any:
        node = self.graph.nodes[exposed.node]
        spec = node.inputs()[exposed.field]
        annotation: Any = spec.annotation
        for mark in (*spec.info.metadata, *([Many()] if spec.many else [])):
            annotation = Annotated[annotation, mark]
        literals = node.literals()
        linked = any(link.field == exposed.field for link in self.graph.links(exposed.node))
        default = literals.get(exposed.field, ...) if not linked else None
        if linked:
            annotation = annotation | None
        return annotation, Field(default, description=spec.info.description)

    def to_dict(self) -> dict[str, Any]:
        """The library graph as JSON-able values."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "graph": self.graph.to_dict(),
            "inputs": [vars(one) for one in self.inputs],
            "outputs": [vars(one) for one in self.outputs],
        }

    @classmethod
    def from_dict(cls, data: Any) -> "LibraryGraph":
        """The library graph in values read from JSON."""
        try:
            inputs = [Exposed(**one) for one in data.get("inputs", [])]
            outputs = [Exposed(**one) for one in data.get("outputs", [])]
            name, description, id = str(data["name"]), str(data.get("description", "")), data.get("id")
            graph = data["graph"]
        except (TypeError, KeyError, AttributeError) as error:
            raise GraphError([Problem("bad_file", f"this is no library graph: {error}")]) from None
        return cls(name, Graph.from_dict(graph), inputs, outputs, description, id)


@invocation("graph", title="Graph", category="control flow", version="1.0.0")
class GraphInvocation(BaseInvocation):
    """A library graph used as a node; make a class of it with `LibraryGraph.node_class()`."""

    library: ClassVar[LibraryGraph | None] = None

    def invoke(self, context: InvocationContext) -> BaseInvocationOutput:
        raise NotImplementedError("a graph node is replaced by its inner nodes before it runs")

    def dump_extra(self) -> dict[str, Any]:
        return {"library": self.library.to_dict() if self.library else None}

    @classmethod
    def class_from_json(cls, values: dict[str, Any]) -> "type[GraphInvocation]":
        return LibraryGraph.from_dict(values.pop("library", None)).node_class()


@dataclass
class Outlet:
    """The outputs of a graph node: its output class, and by name the inner node and output each one is."""

    output_class: type[BaseInvocationOutput]
    ends: dict[str, tuple[str, str]]


class FlatGraph:
    """A graph without graph nodes; `outlets` tells which inner outputs the outputs of a graph node are."""

    def __init__(self, graph: GraphLike) -> None:
        self.nodes: dict[str, BaseInvocation] = graph.nodes
        self._links = {node_id: graph.links(node_id) for node_id in graph.nodes}
        self.outlets: dict[str, Outlet] = {}

    def links(self, node_id: str) -> list[Link]:
        """The edges that arrive at a node."""
        return self._links[node_id]

    def inner_ids(self, node_id: str) -> list[str]:
        """The nodes that make the outputs of a node: itself, unless it is a graph."""
        if node_id not in self.outlets:
            return [node_id]
        return list(dict.fromkeys(source for source, _ in self.outlets[node_id].ends.values()))

    def expand(self) -> bool:
        """Replace the graph nodes of this level by their inner nodes; False if there were none."""
        outer = [node_id for node_id, node in self.nodes.items() if isinstance(node, GraphInvocation)]
        if not outer:
            return False
        self.nodes = dict(self.nodes)
        for node_id in outer:
            self._expand_node(node_id)
        self._reroute()
        return True

    def _expand_node(self, outer: str) -> None:
        node, arriving = self.nodes.pop(outer), self._links.pop(outer)
        library = node.library  # type: ignore[attr-defined]
        inlets = {one.alias: (one.node, one.field) for one in library.inputs}
        typed: dict[str, dict[str, Any]] = {}
        for alias in node.model_fields_set & inlets.keys():
            if alias in node.literals():
                inner, field = inlets[alias]
                typed.setdefault(inner, {})[field] = node.literals()[alias]
        replaced = {inlets[link.field] for link in arriving} | {(n, f) for n, values in typed.items() for f in values}
        for inner_id, inner in library.graph.nodes.items():
            name = f"{outer}.{inner_id}"
            self.nodes[name] = _with_values(inner, typed.get(inner_id, {}))
            self._links[name] = [
                Link(link.field, f"{outer}.{link.source}", link.output)
                for link in library.graph.links(inner_id)
                if (inner_id, link.field) not in replaced
            ]
        for link in arriving:
            inner_id, field = inlets[link.field]
            self._links[f"{outer}.{inner_id}"].append(Link(field, link.source, link.output))
        ends = {one.alias: (f"{outer}.{one.node}", one.field) for one in library.outputs}
        self.outlets[outer] = Outlet(node.output_class, ends)

    def _reroute(self) -> None:
        for node_id, links in self._links.items():
            if any(link.source in self.outlets for link in links):
                self._links[node_id] = [Link(link.field, *self._real(link.source, link.output)) for link in links]
        for outlet in self.outlets.values():
            outlet.ends = {alias: self._real(*end) for alias, end in outlet.ends.items()}

    def _real(self, source: str, output: str) -> tuple[str, str]:
        while source in self.outlets:
            source, output = self.outlets[source].ends[output]
        return source, output


def flatten(graph: GraphLike) -> FlatGraph:
    """The graph with every graph node replaced by what is in it, down to any depth that is allowed."""
    flat = FlatGraph(graph)
    for _ in range(MAX_DEPTH):
        if not flat.expand():
            return flat
    if any(isinstance(node, GraphInvocation) for node in flat.nodes.values()):
        raise GraphError([Problem("too_deep", f"graphs are nested more than {MAX_DEPTH} deep; take some levels out")])
    return flat


def _with_values(node: BaseInvocation, values: dict[str, Any]) -> BaseInvocation:
    if not values:
        return node
    copy = node.model_copy()
    copy.__dict__.update(values)
    return copy


def _class_name(name: str) -> str:
    words = "".join(character if character.isalnum() else " " for character in name).split()
    return "".join(word.capitalize() for word in words) or "LibraryNode"
