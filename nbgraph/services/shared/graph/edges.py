"""Edges, from an output of one node to an input of another, and the nodes and edges that make up a graph."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

from msgspec import Struct

from nbgraph.errors import GraphError, Problem
from nbgraph.invocations.base import BaseInvocation, Ref
from nbgraph.invocations.types import NodeValue
from nbgraph.texts import value_text

GRAPH = "graph"
"""The type of graph nodes: library graphs used as nodes."""

Nodes = Mapping[str, BaseInvocation]
NO_NODES: Nodes = {}


class Connection(NamedTuple):
    """One end of an edge."""

    node_id: str
    field: str

    def __str__(self) -> str:
        return f"{self.node_id}.{self.field}"


class Edge(NamedTuple):
    """An edge as a person sees it and as files store it."""

    source: Connection
    destination: Connection

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination}"


class Link(Struct, frozen=True, gc=False):
    """An edge as a graph stores it, under the node it arrives at: input field, source node, output of the source.

    `gc=False` keeps the links of large graphs out of garbage collections; a link holds only texts.
    """

    field: str
    source: str
    output: str


class GraphLike(Protocol):
    """Nodes by id, and the edges that arrive at each: a `Graph`, or an expanded one."""

    nodes: dict[str, BaseInvocation]

    def links(self, node_id: str) -> list[Link]: ...


def has_graph_nodes(nodes: Nodes) -> bool:
    """Return whether some of the nodes are graph nodes."""
    return any(cls.type == GRAPH for cls in {type(node) for node in nodes.values()})


def refs_in(value: NodeValue) -> list[Ref]:
    """Return the edges that were assigned to an input: one, several, or none."""
    values = cast(list[Any], value) if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, Ref)]


def as_edge(given: Edge | tuple[str, str], nodes: Nodes = NO_NODES) -> Edge:
    """Return the edge that a pair such as `("noise.noise", "denoise.noise")` describes; an edge is returned as it is.

    Raises `GraphError` for anything else.
    """
    if isinstance(given, Edge):
        return given
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 2:  # pyright: ignore[reportUnnecessaryIsInstance]
        text = f'an edge is a pair, ("noise.noise", "denoise.noise"), not {value_text(given)}'
        raise GraphError([Problem("bad_edge", text)])
    return edge(*given, nodes)


def edge(source: Edge | str, destination: str = "", nodes: Nodes = NO_NODES) -> Edge:
    """Return `edge("noise.noise", "denoise.noise")`; the part after the last dot is the field.

    Raises `GraphError` for an end that is not of that form, with the fields of the node if it is among `nodes`.
    """
    if isinstance(source, Edge):
        return source
    return Edge(_end(source, "source", "output", nodes), _end(destination, "destination", "input", nodes))


def _end(text: object, end: str, what: str, nodes: Nodes) -> Connection:
    # the last dot: ids may have dots, names of fields have none
    node_id, _, field = text.rpartition(".") if isinstance(text, str) else ("", "", "")
    if node_id and field:
        return Connection(node_id, field)
    if isinstance(text, str) and text and not text.startswith("."):
        name = text.removesuffix(".")
        node = nodes.get(name)
        fields = () if node is None else node.outputs() if what == "output" else node.inputs()
        possible = f" ({what}s: {', '.join(fields) or 'none'})" if node is not None else ""
        message = f"edge {end} {text!r} names no {what}; write '{name}.<{what}>'{possible}"
    else:
        message = f'an edge {end} is "node.{what}", as in ("noise.noise", "denoise.noise"), not {value_text(text)}'
    raise GraphError([Problem("bad_edge", message)])
