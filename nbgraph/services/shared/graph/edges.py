"""Edges: from an output of one node to an input of another."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from nbgraph.errors import GraphError, Problem
from nbgraph.invocations.base import BaseInvocation


class Connection(NamedTuple):
    """One end of an edge."""

    node_id: str
    field: str

    def __str__(self) -> str:
        return f"{self.node_id}.{self.field}"


class Edge(NamedTuple):
    """An edge as a person sees it and as files hold it."""

    source: Connection
    destination: Connection

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination}"


class Link(Struct, frozen=True, gc=False):
    """An edge as the graph keeps it, under the node it arrives at: input field, source node, output of that."""

    field: str
    source: str
    output: str


class GraphLike(Protocol):
    """Nodes by id, and the edges that arrive at each: a `Graph`, or one that was expanded."""

    nodes: dict[str, BaseInvocation]

    def links(self, node_id: str) -> list[Link]: ...


def as_edge(given: Edge | tuple[str, str]) -> Edge:
    """An edge as it is, or the one that a pair means: `("noise.noise", "denoise.noise")`; else `GraphError`."""
    if isinstance(given, Edge):
        return given
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 2:
        text = f'an edge is a pair, ("noise.noise", "denoise.noise"), not {repr(given)[:80]}'
        raise GraphError([Problem("bad_edge", text)])
    return edge(*given)


def edge(source: "Edge | str", destination: str = "") -> Edge:
    """`edge("noise.noise", "denoise.noise")`; the part after the last dot is the field. An edge stays as it is.

    Raises `GraphError` for an end that is not of that form.
    """
    return source if isinstance(source, Edge) else Edge(_end(source, "output"), _end(destination, "input"))


def _end(text: str, what: str) -> Connection:
    node_id, dot, field = text.rpartition(".") if isinstance(text, str) else ("", "", "")
    if not (node_id and field):
        message = f'an end of an edge is "node.{what}", as in "noise.noise" and "denoise.noise", not {text!r}'
        raise GraphError([Problem("bad_edge", message)])
    return Connection(node_id, field)
