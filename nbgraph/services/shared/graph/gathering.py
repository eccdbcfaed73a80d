"""Gathers what nodes that are linked in Python need, each node after what it needs. No recursion."""

from collections.abc import Container
from typing import Any

from nbgraph.errors import GraphError, Problem
from nbgraph.invocations.base import BaseInvocation, Ref
from nbgraph.services.shared.graph.validation import circle_text

Refs = list[tuple[str, Ref]]


class Gathering:
    """Nodes in an order in which they can run, the edges that arrive at each, and the ids that were given.

    `found` has None for a node that is under way, what it is linked to being gathered first, and then its edges. Who
    puts the nodes into a graph may replace them by the node's id there, and go on with that dictionary.
    """

    def __init__(self, known: Container[BaseInvocation]) -> None:
        self.order: list[BaseInvocation] = []
        self.found: dict[BaseInvocation, Any] = {}
        self.ids: set[str] = set()
        self._known = known

    def add(self, target: BaseInvocation) -> None:
        """Add a node, and before it, depth first, what it is linked to, apart from what is known.

        `GraphError` if they form a circle.
        """
        if target in self.found or target in self._known:
            return
        found, known = self.found, self._known
        refs = self._visit(target)
        way = [(target, refs, iter(refs))]
        while way:
            node, refs, left = way[-1]
            for _, ref in left:
                source = ref.node
                if source in found:
                    if found[source] is None:
                        raise GraphError([_circle([each for each, _, _ in way], source)])
                elif source not in known:
                    refs = self._visit(source)
                    way.append((source, refs, iter(refs)))
                    break
            else:
                self.order.append(node)
                found[node] = refs
                way.pop()

    def _visit(self, node: BaseInvocation) -> Refs:
        self.found[node] = None
        node_id = node.id
        if node_id is not None:
            self.ids.add(node_id)
        return node.links()


def free_id(node: BaseInvocation, taken: Container[str], given: Container[str], numbers: dict[str, int]) -> str:
    """An id for a node without one, which is noted in it: `noise`, `noise_2`, ...; `numbers` has the last of each type.

    It is none that is taken, or given to a node that is still to come. `GraphError` for a node that was given an id,
    which is taken then.
    """
    values = vars(node)
    if values["id"] is not None and "id" in node.model_fields_set:
        text = "two different nodes have this id; choose another for one of them"
        raise GraphError([Problem("duplicate_id", text, node.id)])
    name = type(node).type
    number = numbers.get(name, 0) + 1
    node_id = name if number == 1 else f"{name}_{number}"
    while node_id in taken or node_id in given:
        number += 1
        node_id = f"{name}_{number}"
    numbers[name] = number
    if values["id"] is None:
        values["id"] = node_id
    return node_id


def _circle(chain: list[BaseInvocation], start: BaseInvocation) -> Problem:
    """The problem that nodes were linked in a circle; `chain` is the way down to where it closes."""
    names = [node.id or node.type for node in chain[chain.index(start) :]]
    return Problem("cycle", circle_text(names), names[0])
