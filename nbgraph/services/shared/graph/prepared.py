"""Prepared nodes: one execution of a source node at one iteration path, and how one is named and kept."""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import NamedTuple

from nbgraph.services.shared.graph.plan import Path, PlannedInput, PlannedNode, prepared_id

Key = int
"""What a session keeps things of a prepared node under; in another session it may have another key."""

NOWHERE: Key = -1
"""The key at a path at which nothing has begun: there is nothing under it."""

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


class PreparedKeys:
    """The keys of a plan with so many nodes: paths are numbered as they begin, and at each there is one for each node.

    The key of the node of rank r at path number n is `n * nodes + r`; so without iterations it is the rank.
    """

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._paths: list[Path] = [()]
        self._firsts: dict[Path, Key] = {(): 0}

    def begin(self, path: Path) -> Key:
        """The key of the node of rank 0 at a path, at which there are keys from now on."""
        first = self._firsts.get(path)
        if first is None:
            first = len(self._paths) * self._nodes
            self._paths.append(path)
            self._firsts[path] = first
        return first

    def at(self, rank: int, path: Path) -> Key:
        """The key of the node of that rank at a path."""
        first = self._firsts.get(path)
        return NOWHERE if first is None else first + rank

    def source(self, edge: PlannedInput, path: Path) -> Key:
        """The key of what an edge comes from, given the path of the node it arrives at."""
        return self.at(edge.parent, source_path(edge, path))

    def sources(self, rank: int, paths: Iterable[Path]) -> list[Key]:
        """The keys of the node of that rank at these paths."""
        firsts = map(self._firsts.get, paths)
        return [NOWHERE if first is None else first + rank for first in firsts]

    def of_node(self, rank: int) -> Iterator[tuple[Path, Key]]:
        """The paths at which something has begun, and the keys that the node of that rank has there."""
        return zip(self._paths, count(rank, self._nodes))

    def place(self, key: Key) -> tuple[int, Path]:
        """The rank and the path a key stands for."""
        number, rank = divmod(key, self._nodes)
        return rank, self._paths[number]

    def prepared(self, planned: PlannedNode, path: Path) -> Prepared:
        """The prepared node at a path."""
        return Prepared(planned, path, self.begin(path) + planned.rank)


def source_path(edge: PlannedInput, path: Path) -> Path:
    """The path of what an edge comes from, given that of the node it arrives at."""
    return path if edge.keep is None else tuple([path[place] for place in edge.keep])
