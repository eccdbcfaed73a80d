"""Edges: from an output of one node to an input of another."""

from typing import NamedTuple


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


class Link(NamedTuple):
    """An edge as the graph keeps it, under the node it arrives at: input field, source node, output of that."""

    field: str
    source: str
    output: str


def edge(source: str, destination: str) -> Edge:
    """`edge("noise.noise", "denoise.noise")`; the part after the last dot is the field."""
    return Edge(Connection(*source.rsplit(".", 1)), Connection(*destination.rsplit(".", 1)))
