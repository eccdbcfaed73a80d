"""A graph compiled: expanded, planned, found valid. It is kept as long as nothing of the graph has changed.

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

from nbgraph.invocations.base import BaseInvocation, Ref, is_link
from nbgraph.invocations.node_type import NodeType, node_type_of
from nbgraph.invocations.types import NodeValue
from nbgraph.invocations.valid import twin
from nbgraph.services.shared.graph.edges import GraphLike, Link, has_graph_nodes, refs_in
from nbgraph.services.shared.graph.expand import ExpandedGraph, expand
from nbgraph.services.shared.graph.plan import Plan
from nbgraph.services.shared.graph.topology import parents_of, topological_order

_values_of = attrgetter("__dict__")
MOST_PLANS = 4
Twins = dict[BaseInvocation, BaseInvocation]
"""Nodes by the nodes that they stand in for."""
ClassState = tuple[type[BaseInvocation], NodeType, tuple[Any, ...]]


class GraphSnapshot:
    """The nodes, values and edges of a graph at one moment; `describes(...)` compares them with those of now."""

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

    def originals(self, graph: GraphLike) -> Twins:
        """Return nodes with the values of the snapshot, for the nodes of the graph that were assigned to since.

        Assigning to a node gives it a new dictionary, so a reference to the old one is a snapshot of the node, and one
        of 100,000 nodes costs a list. A list that is changed in place is not restored.
        """
        pairs = zip(graph.nodes.values(), self.values)
        twins: Twins = {node: twin(node, values) for node, values in pairs if vars(node) is not values}
        if twins:
            for node_id in topological_order(parents_of(graph))[0]:
                _relink(graph.nodes[node_id], twins)
        return twins


def _relink(node: BaseInvocation, twins: Twins) -> None:
    """If a node has edges from nodes with a twin, give it a twin with edges from the twins."""
    values = vars(twins.get(node, node))
    edges = {name: value for name, value in values.items() if is_link(value)}
    if any(ref.node in twins for value in edges.values() for ref in refs_in(value)):
        twins[node] = twin(node, {**values, **{name: _from_twins(value, twins) for name, value in edges.items()}})


def _from_twins(value: NodeValue, twins: Twins) -> Ref | list[Ref]:
    refs = [Ref(twins[ref.node], ref.field) if ref.node in twins else ref for ref in refs_in(value)]
    return refs if isinstance(value, list) else refs[0]


def _state_of(cls: type[BaseInvocation]) -> ClassState:
    """Return what plan and validation ask of a class."""
    return cls, node_type_of(cls), (cls.arrival_problems, cls.output_types, cls.output_types_vary)


class CompiledGraph:
    """The graph without graph nodes, its plans by targets, and whether it was found valid."""

    def __init__(self, graph: GraphLike, snapshot: GraphSnapshot) -> None:
        self.snapshot = snapshot
        self.is_valid = False
        self.is_kept = not has_graph_nodes(graph.nodes)
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
