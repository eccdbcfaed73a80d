"""What was worked out of a graph, kept as long as nothing of the graph has changed: expanded, planned, found valid.

Most runs are of nodes that ran before. For a chain whose results are all cached, finding out again what its graph
means would be 70 % of `studio.run`; finding out that it is the same takes 0.1 us a node:

- the same nodes under the same ids, in the same order, with the same lists of edges (which are never changed);
- each node with the same dictionary of values: assigning to a node gives it a new one. A list or dict in it that is
  changed in place is not looked at: plans refer to the dictionary, and read what is in it when the node runs;
- for each class the same `NodeType`, and the same methods that say what may arrive.

A graph with graph nodes is worked out each time: it depends on inner graphs, which have nodes of their own.
"""

from collections.abc import Collection, Sequence
from operator import attrgetter, is_
from typing import Any

from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.node_type import NodeType, node_type_of
from nbgraph.services.shared.graph.edges import GraphLike, Link
from nbgraph.services.shared.graph.expand import GRAPH, ExpandedGraph, expand
from nbgraph.services.shared.graph.plan import Plan

_values_of = attrgetter("__dict__")
MOST_PLANS = 4
ClassState = tuple[type[BaseInvocation], NodeType, tuple[Any, ...]]


class GraphSnapshot:
    """What the nodes and edges of a graph were; `describes(...)` tells whether they are so still."""

    __slots__ = ("values", "_classes", "_edges", "_edges_of", "_ids", "_nodes")

    def __init__(self, nodes: dict[str, BaseInvocation], edges: dict[str, list[Link]]) -> None:
        self.values = list(map(_values_of, nodes.values()))
        self._ids, self._nodes = list(nodes), list(nodes.values())
        self._edges_of, self._edges = list(edges), list(edges.values())
        self._classes = [_state_of(cls) for cls in set(map(type, self._nodes))]

    def describes(self, nodes: dict[str, BaseInvocation], edges: dict[str, list[Link]]) -> bool:
        """Return whether these are the nodes and edges, unchanged."""
        return (
            len(nodes) == len(self._nodes)
            and len(edges) == len(self._edges)
            and all(map(is_, nodes.values(), self._nodes))
            and all(map(is_, map(_values_of, self._nodes), self.values))
            and all(map(is_, edges.values(), self._edges))
            and list(nodes) == self._ids
            and list(edges) == self._edges_of
            and all(state == _state_of(state[0]) for state in self._classes)
        )


def _state_of(cls: type[BaseInvocation]) -> ClassState:
    """Return what plan and validation ask of a class."""
    return cls, node_type_of(cls), (cls.arrival_problems, cls.output_types, cls.output_types_vary)


class CompiledGraph:
    """The graph without graph nodes, its plans by targets, and whether it was found valid."""

    def __init__(self, graph: GraphLike, snapshot: GraphSnapshot) -> None:
        self.snapshot = snapshot
        self.is_valid = False
        self.is_kept = not any(node.type == GRAPH for node in graph.nodes.values())
        self.expanded: ExpandedGraph = expand(graph)
        self._plans: dict[tuple[str, ...] | None, Plan] = {}

    @property
    def order(self) -> Collection[str] | None:
        """All nodes in topological order, as the plan for all of them has it; None if there is no such plan yet."""
        found = self._plans.get(None)
        return found.ranks if found is not None and len(found.ranks) == len(self.expanded.nodes) else None

    def plan(self, targets: Sequence[str] | None) -> Plan:
        """Return the plan for these nodes and what they need, for all nodes if None; one that was made is kept."""
        key = None if targets is None else tuple(targets)
        found = self._plans.get(key)
        if found is None:
            inner = None if key is None else [each for target in key for each in self.expanded.inner_ids(target)]
            found = Plan(self.expanded, inner)
            if len(self._plans) >= MOST_PLANS:
                self._plans = {}
            self._plans[key] = found
        return found
