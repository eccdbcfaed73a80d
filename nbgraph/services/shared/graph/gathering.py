"""Gathers what nodes that are linked in Python need, each node after what it needs. No recursion."""

from collections.abc import Container, Iterable

from nbgraph.errors import GraphError, Problem
from nbgraph.invocations.base import BaseInvocation, Ref
from nbgraph.services.shared.graph.validation import circle_text

Gathered = dict[BaseInvocation, list[tuple[str, Ref]]]
"""Nodes, each with the edges that arrive, in an order in which they can run."""


def gather(targets: Iterable[BaseInvocation], known: Container[BaseInvocation]) -> Gathered:
    """These nodes and everything they are linked to, apart from what is known; `GraphError` if they form a circle."""
    gathered: Gathered = {}
    for target in targets:
        if target not in gathered and target not in known:
            _gather_one(target, gathered, known)
    return gathered


def _gather_one(target: BaseInvocation, gathered: Gathered, known: Container[BaseInvocation]) -> None:
    """Add a node, and before it, depth first, what it is linked to."""
    links = target.links()
    way, begun = [(target, links, iter(links))], {target}
    while way:
        node, links, left = way[-1]
        for _, ref in left:
            source = ref.node
            if source not in gathered and source not in known:
                if source in begun:
                    raise GraphError([_circle([each for each, _, _ in way], source)])
                links = source.links()
                way.append((source, links, iter(links)))
                begun.add(source)
                break
        else:
            gathered[node] = links
            way.pop()


def free_id(node: BaseInvocation, taken: Container[str], given: Container[str | None], numbers: dict[str, int]) -> str:
    """An id for a node without one: `noise`, `noise_2`, ...; `numbers` has the last of each type.

    It is none that is taken, or given to a node that is still to come. `GraphError` for a node that was given an id,
    which is taken then.
    """
    if node.id is not None and "id" in node.model_fields_set:
        text = "two different nodes have this id; choose another for one of them"
        raise GraphError([Problem("duplicate_id", text, node.id)])
    name = type(node).type
    number = numbers.get(name, 0) + 1
    node_id = name if number == 1 else f"{name}_{number}"
    while node_id in taken or node_id in given:
        number += 1
        node_id = f"{name}_{number}"
    numbers[name] = number
    return node_id


def _circle(chain: list[BaseInvocation], start: BaseInvocation) -> Problem:
    """The problem that nodes were linked in a circle; `chain` is the way down to where it closes."""
    names = [node.id or node.type for node in chain[chain.index(start) :]]
    return Problem("cycle", circle_text(names), names[0])
