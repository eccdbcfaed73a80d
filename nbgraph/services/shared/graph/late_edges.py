"""Edges that were assigned, or assigned over, after the graph of a node was made: the graph does not have them."""

from collections.abc import Iterator, Mapping
from typing import Any

from nbgraph.errors import Problem
from nbgraph.invocations.base import BaseInvocation, Ref, is_link


def late_edges(nodes: Mapping[str, BaseInvocation], held: Mapping[str, dict[str, Any]]) -> Iterator[Problem]:
    """A problem for each; `held` are the values each node had when it came into the graph.

    Assigning to a node gives it a new dictionary of values, so most nodes are told by a look at theirs.
    """
    for node_id, node in nodes.items():
        before = held.get(node_id)
        if before is None or vars(node) is before:
            continue
        for name, value in vars(node).items():
            if _ends(value) != _ends(before.get(name)):
                yield Problem("late_edge", _text(node_id, name, value), node_id, name)


def _ends(value: Any) -> list[tuple[BaseInvocation, str]]:
    """What the edges in an input come from."""
    if not is_link(value):
        return []
    return [(ref.node, ref.field) for ref in (value if isinstance(value, list) else [value]) if isinstance(ref, Ref)]


def _text(node_id: str, name: str, value: Any) -> str:
    if is_link(value):
        what = "an edge was assigned after the graph was made, which does not have it"
    else:
        what = "a value was assigned in place of an edge after the graph was made, which still has the edge"
    return f"{what}; use graph.update_node({node_id!r}, {name}=...), or make the graph anew with Graph.of"
