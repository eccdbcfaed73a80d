"""A graph as it was when a session began, whatever a person has assigned to its nodes since.

Assigning to a node gives it a new dictionary of values. So who holds the old one has all that the node was, and a graph
of 100,000 nodes is kept as it was by a list of what its nodes hold anyway. A list that is changed in place is not kept.
"""

from collections.abc import Sequence
from typing import Any

from nbgraph.invocations.base import BaseInvocation, Ref, is_link
from nbgraph.invocations.valid import twin
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.topology import topological_order

Values = dict[str, Any]
Twins = dict[BaseInvocation, BaseInvocation]


def held_values(graph: Graph) -> list[Values]:
    """The values of a graph's nodes, in their order, to be kept as they are."""
    return [vars(node) for node in graph.nodes.values()]


def as_it_was(graph: Graph, held: Sequence[Values]) -> Graph:
    """The graph with the values that were held; itself if nobody assigned anything since."""
    nodes = graph.nodes.values()
    twins: Twins = {node: twin(node, values) for node, values in zip(nodes, held) if vars(node) is not values}
    if not twins:
        return graph
    parents = {node_id: [link.source for link in graph.links(node_id)] for node_id in graph.nodes}
    for node_id in topological_order(parents)[0]:
        node = graph.nodes[node_id]
        _lead_to_twins(node, twins)
    return graph.replaced(twins)


def _lead_to_twins(node: BaseInvocation, twins: Twins) -> None:
    """Give a node a twin with edges from twins, if it has edges from nodes that have one."""
    values = vars(twins.get(node, node))
    edges = {name: value for name, value in values.items() if is_link(value)}
    sources = [ref.node for value in edges.values() for ref in (value if isinstance(value, list) else [value])]
    if any(source in twins for source in sources):
        twins[node] = twin(node, {**values, **{name: _from_twins(value, twins) for name, value in edges.items()}})


def _from_twins(value: Any, twins: Twins) -> Any:
    if isinstance(value, list):
        return [_from_twins(ref, twins) for ref in value]
    return Ref(twins[value.node], value.field) if value.node in twins else value
