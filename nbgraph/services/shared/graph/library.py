"""Graphs as nodes: a library graph exposes some inputs and outputs under names of its own, and is used like any node.

    TextToImage = library.node_class()
    picture = TextToImage(prompt="a red apple")

Its inner nodes run as `picture.noise`, `picture.denoise`: `expand` puts them in its place before a graph is planned.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from keyword import iskeyword
from typing import Annotated, Any, ClassVar, Literal
from unicodedata import normalize
from uuid import uuid4

from pydantic import BaseModel, Field, create_model

from nbgraph.errors import GraphError, Problem, Problems, suggest
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.inputs import Many, RandomSeed
from nbgraph.invocations.types import Annotation, JsonObject, JsonValue, NodeValue
from nbgraph.services.shared.graph.addresses import typed_values
from nbgraph.services.shared.graph.edges import edge
from nbgraph.services.shared.graph.expand import ExposedOutput
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.validation import HALF_CHARACTER
from nbgraph.texts import as_utf8, is_utf8

ExposedKind = Literal["inputs", "outputs"]


@dataclass(frozen=True)
class Exposed:
    """An inner input or output, and its name outside."""

    alias: str
    node: str
    field: str


class LibraryGraph:
    """A graph with a name, a description, and inputs and outputs that are exposed outside.

    Parameters
    ----------
    name
        The name, which is also the title of the node.
    graph
        The graph, which the library graph keeps.
    inputs, outputs
        What is exposed: `{"prompt": "text.prompt"}`, or `Exposed` rows.
    description
        Shown as the help of the node.
    id
        The id; a new one by default.

    Raises
    ------
    GraphError
        A name cannot be that of an input or output, or an address is not in the graph; all of them are named.

    Examples
    --------
    >>> from nbgraph.invocations import Add, Multiply
    >>> inner = Graph.of(Add(id="sum", a=Multiply(id="double", a=1, b=2), b=1))
    >>> library = LibraryGraph("double and one", inner, {"number": "double.a"}, {"result": "sum.value"})
    >>> DoubleAndOne = library.node_class()
    >>> graph = Graph.of(Add(id="end", a=DoubleAndOne(id="inner", number=5), b=0))
    >>> [str(edge) for edge in graph.edges]
    ['inner.result -> end.a']
    """

    def __init__(
        self,
        name: str,
        graph: Graph,
        inputs: Mapping[str, str] | Sequence[Exposed] = (),
        outputs: Mapping[str, str] | Sequence[Exposed] = (),
        description: str = "",
        id: str | None = None,
    ) -> None:
        self.id = id or uuid4().hex
        self.name, self.graph, self.description = name, graph, description
        self.inputs, self.outputs = _exposed(inputs, "inputs"), _exposed(outputs, "outputs")
        problems = Problems()
        if not is_utf8(f"{self.id}{name}{description}"):
            problems.add("bad_value", f"the id, the name or the description has {HALF_CHARACTER}", as_utf8(name))
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
            text = f"exposes {one.node!r}, which is not a node of the graph{suggest(one.node, self.graph.nodes)}"
            problems.add("unknown_node", text, self.name, one.alias)
            return
        node = self.graph.nodes[one.node]
        fields = node.inputs() if kind == "inputs" else node.outputs()
        if one.field not in fields:
            text = f"{one.node!r} has no {one.field!r} among its {kind}{suggest(one.field, fields)}"
            problems.add("unknown_field", text, self.name, one.alias)

    def node_class(self) -> "type[GraphInvocation]":
        """Return the node type of this graph; its fields are the exposed inputs."""
        fields: dict[str, Any] = {one.alias: self._field(one) for one in self.inputs}
        outputs: dict[str, Any] = {
            one.alias: (self.graph.nodes[one.node].outputs()[one.field], ...) for one in self.outputs
        }
        # a class of its own for each graph, so that edges and forms see typed fields as of any other node
        output_class: Any = create_model("GraphOutput", __base__=ExposedOutput, **outputs)
        cls: Any = create_model(_class_name(self.name), __base__=GraphInvocation, **fields)
        cls.library, cls.output_class, cls.title = self, output_class, self.name
        cls._linked_inside = frozenset(one.alias for one in self.inputs if is_linked_inside(self.graph, one))
        cls.__doc__ = self.description or f"The library graph {self.name!r}."
        return cls

    def _field(self, exposed: Exposed) -> tuple[Annotation, NodeValue]:
        """Return the annotation and default of an exposed input; one that is linked inside accepts None too."""
        node = self.graph.nodes[exposed.node]
        spec = node.inputs()[exposed.field]
        annotation: Any = _marked(spec.annotation, spec.info.metadata)
        if is_linked_inside(self.graph, exposed):
            # constraints of the inner annotation would refuse None; only marks about the input itself are kept
            of_the_input = [mark for mark in spec.info.metadata if isinstance(mark, Many | RandomSeed)]
            annotation, default = _marked(annotation | None, of_the_input), None
        else:
            default = node.literals().get(exposed.field, ...)
        return annotation, Field(default, title=spec.info.title, description=spec.info.description)

    def with_values(self, values: Mapping[str, NodeValue]) -> "LibraryGraph":
        """Return a copy with other values inside, by address or exposed name: `{"noise.seed": 8}`, `{"seed": 8}`.

        Raises
        ------
        GraphError
            An address or name is not an input, or a value does not fit.
        """
        graph = self.graph.with_values({self._address(name): value for name, value in values.items()})
        return LibraryGraph(self.name, graph, self.inputs, self.outputs, self.description, self.id)

    def _address(self, name: str) -> str:
        addresses = {one.alias: f"{one.node}.{one.field}" for one in self.inputs}
        if name not in addresses and "." not in name:
            text = f'has no input {name!r}{suggest(name, addresses)}; inner ones are named "node.field"'
            raise GraphError([Problem("unknown_field", text, self.name, name)])
        return addresses.get(name, name)

    def to_dict(self) -> JsonObject:
        """Return the library graph as JSON-able values."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "graph": self.graph.to_dict(),
            "inputs": [asdict(one) for one in self.inputs],
            "outputs": [asdict(one) for one in self.outputs],
        }

    @classmethod
    def from_dict(cls, data: JsonValue) -> "LibraryGraph":
        """Return the library graph in values read from JSON.

        Raises
        ------
        GraphError
            The values are not those of a library graph, or its graph is not valid.
        """
        try:
            inputs = [_row(one) for one in data.get("inputs", [])]
            outputs = [_row(one) for one in data.get("outputs", [])]
            name, graph = str(data["name"]), data["graph"]
            description, id = (str(data.get(key) or "") for key in ("description", "id"))
        except (TypeError, KeyError, AttributeError) as error:
            text = f"this is not a library graph, an object with name, graph, inputs and outputs: {error}"
            raise GraphError([Problem("bad_file", text)]) from None
        return cls(name, Graph.from_dict(graph), inputs, outputs, description, id)


def _row(data: JsonValue) -> Exposed:
    """Read what one input or output exposes; `TypeError` unless it has three texts."""
    "".join((data["alias"], data["node"], data["field"]))
    return Exposed(**data)


def _exposed(given: Mapping[str, str] | Sequence[Exposed], kind: ExposedKind) -> tuple[Exposed, ...]:
    if not isinstance(given, Mapping):
        return tuple(given)
    if kind == "inputs":  # an edge is made of each address, for its checks and its messages
        ends = {alias: edge("from.output", address).destination for alias, address in given.items()}
    else:
        ends = {alias: edge(address, "to.input").source for alias, address in given.items()}
    return tuple([Exposed(alias, *end) for alias, end in ends.items()])


@invocation("graph", title="Graph", category="control flow", version="1.0.0")
class GraphInvocation(BaseInvocation):
    """A library graph used as a node; `LibraryGraph.node_class()` makes a class of it.

    An input that is linked inside is None for as long as that edge gives its value.
    """

    library: ClassVar[LibraryGraph | None] = None
    _linked_inside: ClassVar[frozenset[str]] = frozenset()

    def invoke(self, context: InvocationContext) -> BaseInvocationOutput:
        raise NotImplementedError("a graph node is replaced by its inner nodes before it runs")

    def literals(self) -> dict[str, NodeValue]:
        values = super().literals()
        return {name: value for name, value in values.items() if value is not None or name not in self._linked_inside}

    def with_inner_values(self, values: Mapping[str, NodeValue]) -> "GraphInvocation":
        """Return a copy with other values at inner inputs, by address; an exposed one is set under its alias."""
        assert self.library is not None
        aliases = {f"{one.node}.{one.field}": one.alias for one in self.library.inputs}
        outer = {aliases[address]: value for address, value in values.items() if address in aliases}
        inner = {address: value for address, value in values.items() if address not in aliases}
        cls = self.library.with_values(inner).node_class() if inner else type(self)
        given: dict[str, Any] = {**typed_values(self), "id": self.id, **outer}
        return cls(**given)

    def dump_extra(self) -> JsonObject:
        return {"library": self.library.to_dict() if self.library else None}

    @classmethod
    def class_from_json(cls, values: JsonObject) -> "type[GraphInvocation]":
        return LibraryGraph.from_dict(values.pop("library", None)).node_class()


def is_linked_inside(graph: Graph, exposed: Exposed) -> bool:
    """Return whether an inner input has its value from an edge, in this graph or in one of its graph nodes."""
    if any(link.field == exposed.field for link in graph.links(exposed.node)):
        return True
    # an input of a graph node inside that has neither edge nor value here: it is linked further inside
    node = graph.nodes[exposed.node]
    return not node.inputs()[exposed.field].required and exposed.field not in node.literals()


def alias_problem(alias: str, kind: ExposedKind) -> str:
    """Return why an input or output cannot have that name, or ""."""
    if not alias.isidentifier() or iskeyword(alias) or alias.startswith("_"):
        return "a name is a word that Python takes, no keyword of it, and does not start with _"
    if normalize("NFKC", alias) != alias:
        return f"Python reads it as {normalize('NFKC', alias)!r}"
    base: type[BaseModel] = GraphInvocation if kind == "inputs" else ExposedOutput
    if hasattr(base, alias) or alias in base.model_fields:
        return "every graph node uses it itself"
    return ""


def _marked(annotation: Annotation, marks: Iterable[object]) -> Annotation:
    for mark in marks:
        annotation = Annotated[annotation, mark]
    return annotation


def _class_name(name: str) -> str:
    words = "".join(character if character.isalnum() else " " for character in name).split()
    return "".join(word.capitalize() for word in words) or "LibraryNode"
