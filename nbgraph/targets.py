"""Targets: what a person gives to be run or edited, and the graph that is meant by it.

The graphs of the nodes that were run last are used again while nothing has changed about them.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import is_
from typing import cast

from nbgraph.errors import TargetError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.node_type import node_type_of
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph

Target = BaseInvocation | Graph | LibraryGraph | Sequence[BaseInvocation]
MOST_GRAPHS = 4
MOST_NODES = 200_000
EdgeList = tuple[list[object], list[object]]
"""A list in a node, and what was in it."""
Entries = dict[tuple[int, ...], tuple[Graph, list[EdgeList]]]


def target_graph(target: Target, collect: Callable[..., Graph] = Graph.of) -> Graph:
    """Return the graph that a target means: a graph itself, or everything that one or several nodes depend on.

    `collect` makes the graph of nodes.

    Raises
    ------
    TargetError
        `target` is none of these.
    """
    if isinstance(target, Graph):
        return target
    if isinstance(target, LibraryGraph):
        return target.graph
    if isinstance(target, BaseInvocation):
        return collect(target)
    given = cast(object, target)
    nodes = list(cast("Iterable[object]", given)) if isinstance(given, Iterable) else [given]
    if not all(isinstance(node, BaseInvocation) for node in nodes):
        raise TargetError(target)
    return collect(*nodes)


class RecentGraphs:
    """At most 4 graphs, of at most 200,000 nodes together; their nodes are kept alive as long as they are here.

    A graph is used again if each of its nodes still has the dictionary of values that it had (assigning to a node gives
    it a new one), and each list of edges in these still has the same edges, as it may be changed in place.
    """

    def __init__(self) -> None:
        self._graphs: Entries = {}

    def of(self, *nodes: BaseInvocation) -> Graph:
        """Return the graph of all that these nodes need, to be read only; `GraphError` if they form no graph."""
        key = tuple(map(id, nodes))  # the graph holds the nodes, so nothing else has their ids
        entry = self._graphs.get(key)
        if entry is None or not _is_current(*entry):
            graph = Graph.of(*nodes)
            entry = graph, [(each, list(each)) for each in _edge_lists(graph)]
        others = {ids: other for ids, other in self._graphs.items() if ids != key}
        self._graphs = _newest({**others, key: entry})
        return entry[0]

    def clear(self) -> None:
        """Forget all graphs."""
        self._graphs = {}


def _edge_lists(graph: Graph) -> list[list[object]]:
    """Return the lists of nodes that may hold edges, now or later."""
    nodes = graph.nodes.values()
    classes = {cls for cls in set(map(type, nodes)) if not node_type_of(cls).links_by_name}
    if not classes:
        return []
    holders = [node for node in nodes if type(node) in classes]
    return [value for node in holders for value in vars(node).values() if type(value) is list]


def _is_current(graph: Graph, edges: list[EdgeList]) -> bool:
    """Return whether a graph of its nodes would be the same now."""
    are_same = all(len(now) == len(before) and all(map(is_, now, before)) for now, before in edges)
    return are_same and graph.is_as_collected


def _newest(graphs: Entries) -> Entries:
    """Return the last of the graphs, which are in the order of their use, as many as may be kept."""
    kept: Entries = {}
    count = 0
    for key, entry in reversed(graphs.items()):
        count += len(entry[0])
        if kept and (len(kept) == MOST_GRAPHS or count > MOST_NODES):
            break
        kept[key] = entry
    return dict(reversed(kept.items()))
