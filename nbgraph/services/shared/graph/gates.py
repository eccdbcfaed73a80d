"""Gates: which nodes run only if an `if` takes a certain branch.

A node is gated if everything that uses it leads into a branch of some `if`. Its gate is a set of alternatives, each a
set of choices that must hold together. A node that anything else needs, or that is asked for, has no gate; nor has one
that runs at fewer axes than the condition: something there may need it at another path.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from nbgraph.services.shared.graph.edges import Link
from nbgraph.services.shared.graph.validation import GraphLike

BRANCHES = {"true_input": True, "false_input": False}
MOST_ALTERNATIVES = 8


class Choice(NamedTuple):
    """The `if` node of that id takes that branch."""

    if_node: str
    branch: bool


Alternatives = frozenset[frozenset[Choice]]
ALWAYS: Alternatives = frozenset({frozenset()})


def find_gates(
    graph: GraphLike, order: Sequence[str], targets: Collection[str] | None, axes: Mapping[str, tuple[int, ...]]
) -> dict[str, Alternatives]:
    """The gated nodes of a graph, with the alternatives that open their gates."""
    if not any(graph.nodes[node_id].type == "if" for node_id in order):
        return {}
    needed: dict[str, Alternatives] = {node_id: frozenset() for node_id in order}
    used = {link.source for node_id in order for link in graph.links(node_id)}
    asked_for = frozenset(targets or ())
    for node_id in reversed(order):
        if node_id not in used or node_id in asked_for or not _can_tell(graph, needed[node_id], axes, node_id):
            needed[node_id] = ALWAYS
        ours = needed[node_id]
        for link in graph.links(node_id):
            through = ours
            if graph.nodes[node_id].type == "if" and link.field in BRANCHES:
                choice = Choice(node_id, BRANCHES[link.field])
                through = frozenset(alternative | {choice} for alternative in ours)
            needed[link.source] = _fewest(needed[link.source] | through)
    return {node_id: found for node_id, found in needed.items() if found != ALWAYS}


def condition_of(graph: GraphLike, if_node: str) -> Link | None:
    """The edge that an `if` has its condition from; None if the condition is typed."""
    return next((link for link in graph.links(if_node) if link.field == "condition"), None)


def _can_tell(graph: GraphLike, found: Alternatives, axes: Mapping[str, tuple[int, ...]], node_id: str) -> bool:
    """Whether each path of the node says which way the conditions went."""
    links = (condition_of(graph, choice.if_node) for alternative in found for choice in alternative)
    return all(link is None or set(axes[link.source]) <= set(axes[node_id]) for link in links)


def _fewest(alternatives: Alternatives) -> Alternatives:
    """Without alternatives that ask for more than another one does; too many of them open for all."""
    kept = frozenset(one for one in alternatives if not any(other < one for other in alternatives))
    return kept if len(kept) <= MOST_ALTERNATIVES else ALWAYS
