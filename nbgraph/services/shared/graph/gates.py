"""Gates: which nodes run only if an `if` takes a certain branch.

A node is gated if everything that uses it leads into a branch of some `if`. Its gate is a set of alternatives, each a
set of choices that must hold together; a node that anything else needs, or that is asked for, has no gate.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from nbgraph.services.shared.graph.validation import GraphLike

BRANCHES = {"true_input": True, "false_input": False}
MOST_ALTERNATIVES = 8


class Choice(NamedTuple):
    """The `if` node of that id takes that branch."""

    if_node: str
    branch: bool


Alternatives = frozenset[frozenset[Choice]]
ALWAYS: Alternatives = frozenset({frozenset()})


def find_gates(graph: GraphLike, order: Sequence[str], targets: Collection[str] | None) -> dict[str, Alternatives]:
    """The gated nodes of a graph, with the alternatives that open their gates."""
    if not any(graph.nodes[node_id].type == "if" for node_id in order):
        return {}
    needed: dict[str, Alternatives] = {node_id: frozenset() for node_id in order}
    used = {link.source for node_id in order for link in graph.links(node_id)}
    for node_id in reversed(order):
        if node_id not in used or (targets is not None and node_id in targets):
            needed[node_id] = ALWAYS
        ours = needed[node_id]
        for link in graph.links(node_id):
            through = ours
            if graph.nodes[node_id].type == "if" and link.field in BRANCHES:
                choice = Choice(node_id, BRANCHES[link.field])
                through = frozenset(alternative | {choice} for alternative in ours)
            needed[link.source] = _fewest(needed[link.source] | through)
    return {node_id: found for node_id, found in needed.items() if found != ALWAYS}


def _fewest(alternatives: Alternatives) -> Alternatives:
    """Without alternatives that ask for more than another one does; too many of them open for all."""
    kept = frozenset(one for one in alternatives if not any(other < one for other in alternatives))
    return kept if len(kept) <= MOST_ALTERNATIVES else ALWAYS
