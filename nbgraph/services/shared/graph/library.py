"""Graphs as nodes: a library graph exposes some inputs and outputs under names of its own, and is used like any node.

    TextToImage = library.node_class()
    picture = TextToImage(prompt="a red apple")

Its inner nodes run as `picture.noise`, `picture.denoise`: `expand` puts them in its place before a graph is planned.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import Annotated, Any, ClassVar, Literal
from uuid import uuid4

from pydantic import BaseModel, Field, create_model

from nbgraph.errors import GraphError, Problem, Problems, suggest
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.inputs import Many, RandomSeed
from nbgraph.services.shared.graph.addresses import typed_values
from nbgraph.services.shared.graph.expand import ExposedOutput
from nbgraph.services.shared.graph.graph import Graph

ExposedKind = Literal["inputs", "outputs"]


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

    def _check(self, problems: Problems, exposed: Sequence[Exposed], kind: ExposedKind) -> None:
        aliases: set[str] = set()
        ends: set[tuple[str, str]] = set()
        for one in exposed:
            if why_not := alias_problem(one.alias, kind):
                text = f"{one.alias!r} cannot be the name of one of the {kind}: {why_not}; choose another"
                problems.add("bad_alias", text, self.name, one.alias)
            elif one.alias in aliases:
                problems.add("bad_alias", f"{one.alias!r} is taken; choose another", self.name, one.alias)
            if kind == "inputs" and (one.node, one.field) in ends:
                problems.add("bad_alias", f"{one.node}.{one.field} has another name already", self.name, one.alias)
            aliases.add(one.alias)
            ends.add((one.node, one.field))
            self._check_end(problems, one, kind)

    def _check_end(self, problems: Problems, one: Exposed, kind: ExposedKind) -> None:
        if one.node not in self.graph.nodes:
            text = f"exposes {one.node!r}, which is no node of the graph{suggest(one.node, self.graph.nodes)}"
            problems.add("unknown_node", text, self.name, one.alias)
            return
        node = self.graph.nodes[one.node]
        fields = node.inputs() if kind == "inputs" else node.outputs()
        if one.field not in fields:
            text = f"{one.node!r} has no {one.field!r} among its {kind}{suggest(one.field, fields)}"
            problems.add("unknown_field", text, self.name, one.alias)

    def node_class(self) -> "type[GraphInvocation]":
        """The node type that this graph is: its fields are the exposed inputs."""
        fields: dict[str, Any] = {one.alias: self._field(one) for one in self.inputs}
        outputs: dict[str, Any] = {
            one.alias: (self.graph.nodes[one.node].outputs()[one.field], ...) for one in self.outputs
        }
        output_class: Any = create_model("GraphOutput", __base__=ExposedOutput, **outputs)
        cls: Any = create_model(_class_name(self.name), __base__=GraphInvocation, **fields)
        cls.library, cls.output_class, cls.title = self, output_class, self.name
        cls._linked_inside = frozenset(one.alias for one in self.inputs if is_linked_inside(self.graph, one))
        cls.__doc__ = self.description or f"The library graph {self.name!r}."
        return cls

    def _field(self, exposed: Exposed) -> Any:
        node = self.graph.nodes[exposed.node]
        spec = node.inputs()[exposed.field]
        annotation: Any = _marked(spec.annotation, spec.info.metadata)
        if is_linked_inside(self.graph, exposed):
            of_the_input = [mark for mark in spec.info.metadata if isinstance(mark, Many | RandomSeed)]
            annotation, default = _marked(annotation | None, of_the_input), None
        else:
            default = node.literals().get(exposed.field, ...)
        return annotation, Field(default, title=spec.info.title, description=spec.info.description)

    def with_values(self, values: Mapping[str, Any]) -> "LibraryGraph":
        """The same library graph with other values inside: `{"noise.seed": 8}`, or by exposed name: `{"seed": 8}`."""
        graph = self.graph.with_values({self._address(name): value for name, value in values.items()})
        return LibraryGraph(self.name, graph, self.inputs, self.outputs, self.description, self.id)

    def _address(self, name: str) -> str:
        """The address of an inner input, given that or the name it is exposed by."""
        addresses = {one.alias: f"{one.node}.{one.field}" for one in self.inputs}
        if name not in addresses and "." not in name:
            text = f'has no input {name!r}{suggest(name, addresses)}; inner ones are named "node.field"'
            raise GraphError([Problem("unknown_field", text, self.name, name)])
        return addresses.get(name, name)

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
            text = f"this is no library graph, an object with name, graph, inputs and outputs: {error}"
            raise GraphError([Problem("bad_file", text)]) from None
        return cls(name, Graph.from_dict(graph), inputs, outputs, description, id)


@invocation("graph", title="Graph", category="control flow", version="1.0.0")
class GraphInvocation(BaseInvocation):
    """A library graph used as a node; make a class of it with `LibraryGraph.node_class()`.

    An input to which an edge leads inside is None as long as that edge is to give its value.
    """

    library: ClassVar[LibraryGraph | None] = None
    _linked_inside: ClassVar[frozenset[str]] = frozenset()

    def invoke(self, context: InvocationContext) -> BaseInvocationOutput:
        raise NotImplementedError("a graph node is replaced by its inner nodes before it runs")

    def literals(self) -> dict[str, Any]:
        values = super().literals()
        return {name: value for name, value in values.items() if value is not None or name not in self._linked_inside}

    def with_inner_values(self, values: Mapping[str, Any]) -> "GraphInvocation":
        """A copy in which `{"noise.seed": 8}` inner inputs have other values; an exposed one goes by its alias."""
        assert self.library is not None
        aliases = {f"{one.node}.{one.field}": one.alias for one in self.library.inputs}
        outer = {aliases[address]: value for address, value in values.items() if address in aliases}
        inner = {address: value for address, value in values.items() if address not in aliases}
        cls = self.library.with_values(inner).node_class() if inner else type(self)
        return cls(**{**typed_values(self), "id": self.id, **outer})

    def dump_extra(self) -> dict[str, Any]:
        return {"library": self.library.to_dict() if self.library else None}

    @classmethod
    def class_from_json(cls, values: dict[str, Any]) -> "type[GraphInvocation]":
        return LibraryGraph.from_dict(values.pop("library", None)).node_class()


def is_linked_inside(graph: Graph, exposed: Exposed) -> bool:
    """Whether an inner input has its value from an edge, in this graph or in one of its graph nodes."""
    if any(link.field == exposed.field for link in graph.links(exposed.node)):
        return True
    node = graph.nodes[exposed.node]
    return not node.inputs()[exposed.field].required and exposed.field not in node.literals()


def alias_problem(alias: str, kind: ExposedKind) -> str:
    """Why an input or output cannot have that name, or nothing."""
    if not alias.isidentifier() or iskeyword(alias) or alias.startswith("_"):
        return "a name is a word that Python takes, no keyword of it, and does not start with _"
    base: type[BaseModel] = GraphInvocation if kind == "inputs" else ExposedOutput
    if hasattr(base, alias) or alias in base.model_fields:
        return "every graph node uses it itself"
    return ""


def _marked(annotation: Any, marks: Iterable[Any]) -> Any:
    for mark in marks:
        annotation = Annotated[annotation, mark]
    return annotation


def _class_name(name: str) -> str:
    words = "".join(character if character.isalnum() else " " for character in name).split()
    return "".join(word.capitalize() for word in words) or "LibraryNode"
