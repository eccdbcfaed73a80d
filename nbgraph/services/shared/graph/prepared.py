"""Prepared nodes: one execution of a source node at one iteration path, and how one is named and kept."""

from collections.abc import Iterable
from typing import NamedTuple

from nbgraph.services.shared.graph.plan import Path, PlannedInput, PlannedNode, prepared_id

Key = int | tuple[int, Path]
"""What a session keeps things under: the rank of the source node, with the path if there is one."""

PathRun = tuple[Path, Iterable[PlannedNode]]
"""Source nodes that run one after the other at one path."""


class Prepared(NamedTuple):
    """One execution of a source node at one iteration path."""

    planned: PlannedNode
    path: Path
    key: Key

    @property
    def id(self) -> str:
        """`denoise[1,0]`"""
        return prepared_id(self.planned.id, self.path)


def prepared_at(planned: PlannedNode, path: Path) -> Prepared:
    """The prepared node at a path."""
    return Prepared(planned, path, (planned.rank, path) if path else planned.rank)


def key_at(rank: int, path: Path) -> Key:
    """The key of the node of that rank at a path."""
    return (rank, path) if path else rank


def place_of(key: Key) -> tuple[int, Path]:
    """The rank and the path a key stands for."""
    return key if isinstance(key, tuple) else (key, ())


def source_path(edge: PlannedInput, path: Path) -> Path:
    """The path of what an edge comes from, given that of the node it arrives at."""
    return path if edge.keep is None else tuple([path[place] for place in edge.keep])


def source_key(edge: PlannedInput, path: Path) -> Key:
    """The key of what an edge comes from, given the path of the node it arrives at."""
    return key_at(edge.parent, source_path(edge, path))
