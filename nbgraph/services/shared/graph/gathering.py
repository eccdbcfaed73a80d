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
    begun: Gathered = {}
    waiting = list(targets)
    waiting.reverse()
    while waiting:
        node = waiting[-1]
        if node in gathered or node in known:
            waiting.pop()
            continue
        links = begun.pop(node, None)
        if links is None:
            links = node.links()
            missing = [ref[0] for _, ref in links if ref[0] not in gathered and ref[0] not in known]
            if missing:
                begun[node] = links
                for source in missing:
                    if source in begun:
                        raise GraphError([_circle(list(begun), source)])
                waiting.extend(reversed(missing))
                continue
        gathered[node] = links
        waiting.pop()
    return gathered


def free_id(node: BaseInvocation, taken: Container[str], numbers: dict[str, int]) -> str:
    """An id for a node without one: `noise`, `noise_2`, ...; `numbers` has the last of each type.

    `GraphError` for a node that was given an id, which is taken then.
    """
    if node.id is not None and "id" in node.model_fields_set:
        text = "two different nodes have this id; choose another for one of them"
        raise GraphError([Problem("duplicate_id", text, node.id)])
    name = type(node).type
    number = numbers.get(name, 0)
    while True:
        number += 1
        node_id = name if number == 1 else f"{name}_{number}"
        if node_id not in taken:
            numbers[name] = number
            return node_id


def _circle(chain: list[BaseInvocation], start: BaseInvocation) -> Problem:
    """The problem that nodes were linked in a circle; `chain` is the way down to where it closes."""
    names = [node.id or node.type for node in chain[chain.index(start) :]]
    return Problem("cycle", circle_text(names), names[0])
