"""Topological order: of a graph, of nodes linked in Python, and kept up incrementally while edges are added.

Nothing here is recursive, because chains may be longer than Python's stack.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

from nbgraph.errors import GraphError, Problem
from nbgraph.invocations.base import BaseInvocation, Ref
from nbgraph.services.shared.graph.edges import GraphLike, Link

SHOWN_IN_CYCLE = 10
SMALLEST_GAP = 1e-6
Refs = list[tuple[str, Ref]]


def parents_of(graph: GraphLike) -> dict[str, list[str]]:
    """Return the sources of each node, one for each edge that arrives at it."""
    return {node_id: [link.source for link in graph.links(node_id)] for node_id in graph.nodes}


def topological_order(
    parents: Mapping[str, Sequence[str]], wanted: Iterable[str] | None = None
) -> tuple[list[str], list[str]]:
    """Order nodes so that each comes after its parents, depth first, so that a chain is finished before the next.

    Parameters
    ----------
    parents
        The nodes that each node needs. Where there is a choice, the order is that of the mapping.
    wanted
        Restricts the order to these nodes and what they need.

    Returns
    -------
    (order, cycle)
        The nodes of a cycle, each before the one it needs, or an empty list. At a cycle, the order stops.
    """
    order: list[str] = []
    done: set[str] = set()
    for start in parents if wanted is None else wanted:
        if start in done:
            continue
        if done.issuperset(parents.get(start, ())):  # most nodes of a graph that is in order already
            done.add(start)
            order.append(start)
            continue
        chain: list[tuple[str, int]] = [(start, 0)]
        on_chain = {start}
        while chain:
            node, position = chain.pop()
            needed = parents.get(node, ())
            while position < len(needed) and needed[position] in done:
                position += 1
            if position == len(needed):
                done.add(node)
                on_chain.discard(node)
                order.append(node)
                continue
            source = needed[position]
            chain.append((node, position + 1))  # back to this node, at the next parent, when the source is done
            if source in on_chain:
                ids = [entry[0] for entry in chain]
                return order, ids[ids.index(source) :]
            chain.append((source, 0))
            on_chain.add(source)
    return order, []


def cycle_text(cycle: Sequence[str]) -> str:
    """Return the message that these nodes need one another, each the next."""
    shown = [*cycle[:SHOWN_IN_CYCLE], *(["..."] if len(cycle) > SHOWN_IN_CYCLE else []), cycle[0]]
    return f"the edges form a cycle: {' <- '.join(shown)}; delete one of them"


class NodeCollection:
    """Collect nodes linked in Python: `order` has each after what it needs, `found` the edges that arrive at it.

    `found` has None for a node whose sources are being collected. The caller that puts the nodes into a graph may
    replace the edges by the id of the node there, and continue to use the dictionary.
    """

    def __init__(self, known: Container[BaseInvocation]) -> None:
        self.order: list[BaseInvocation] = []
        self.found: dict[BaseInvocation, Refs | str | None] = {}
        self.ids: set[str] = set()
        self._known = known

    def add(self, target: BaseInvocation) -> None:
        """Add a node, and before it, depth first, all it is linked to, except for what is known.

        Raises `GraphError` if they form a cycle.
        """
        if target in self.found or target in self._known:
            return
        found, known = self.found, self._known
        stack: list[tuple[BaseInvocation, Refs, Iterator[tuple[str, Ref]]]] = []
        node, refs = target, self._visit(target)
        left = iter(refs)
        while True:
            for _, ref in left:
                source = ref.node
                if source in found:
                    if found[source] is None:
                        raise GraphError([_cycle([*[each for each, _, _ in stack], node], source)])
                elif source not in known:
                    stack.append((node, refs, left))
                    node, refs = source, self._visit(source)
                    left = iter(refs)
                    break
            else:
                self.order.append(node)
                found[node] = refs
                if not stack:
                    return
                node, refs, left = stack.pop()

    def _visit(self, node: BaseInvocation) -> Refs:
        self.found[node] = None
        node_id = node.id
        if node_id is not None:
            self.ids.add(node_id)
        return node.links()


def free_id(node: BaseInvocation, taken: Container[str], given: Container[str], numbers: dict[str, int]) -> str:
    """Return a new id for a node, and set it as the id of a node without one: `noise`, `noise_2`, ...

    Parameters
    ----------
    taken
        Ids in use.
    given
        Ids that nodes still to come were given.
    numbers
        The last number used for each type; updated.

    Raises
    ------
    GraphError
        The node was given an id, which another node has.
    """
    values = vars(node)
    if values["id"] is not None and "id" in node.model_fields_set:
        text = "two different nodes have this id; choose another for one of them"
        raise GraphError([Problem("duplicate_id", text, node.id)])
    name = type(node).type
    number = numbers.get(name, 0) + 1
    node_id = name if number == 1 else f"{name}_{number}"
    # an id that a later node was given must not be used up by a node that may have any
    while node_id in taken or node_id in given:
        number += 1
        node_id = f"{name}_{number}"
    numbers[name] = number
    if values["id"] is None:
        values["id"] = node_id
    return node_id


def _cycle(stack: list[BaseInvocation], start: BaseInvocation) -> Problem:
    names = [node.id or node.type for node in stack[stack.index(start) :]]
    return Problem("cycle", cycle_text(names), names[0])


class IncrementalOrder:
    """A topological order that is updated for each edge, so that an edge that closes a cycle is found at once.

    Each node has a place, a number, such that every edge leads from a lower to a higher one. An edge that already does
    costs nothing. One that leads backward costs a walk over those ancestors of its source that are placed behind its
    target, and moves them before the target. Deleted edges and nodes need no update.
    """

    def __init__(self, nodes: Iterable[str], links: Callable[[str], list[Link]]) -> None:
        order, _ = topological_order({node_id: [link.source for link in links(node_id)] for node_id in nodes})
        self._places = {node_id: float(place) for place, node_id in enumerate(order)}
        self._end = float(len(order))

    def copy(self) -> "IncrementalOrder":
        """Return the same order for a copy of the graph."""
        other = IncrementalOrder((), lambda _: [])
        other._places, other._end = dict(self._places), self._end
        return other

    def append(self, node_id: str) -> None:
        """Place a new node, which has no edges yet, behind all others."""
        self._places[node_id] = self._end
        self._end += 1

    def add_edge(self, source: str, target: str, links: Callable[[str], list[Link]]) -> list[str]:
        """Update the order for an edge; if it closes a cycle, return the nodes from target to source instead."""
        places = self._places
        for node_id in (source, target):
            if node_id not in places:
                self.append(node_id)
        end = places[target]
        if places[source] < end:
            return []
        start = end - 1
        leads_to: dict[str, str] = {source: ""}
        waiting = [source]
        while waiting:
            node_id = waiting.pop()
            if node_id == target:
                return _path(leads_to, target)
            for link in links(node_id):
                if places[link.source] < end:
                    start = max(start, places[link.source])
                elif link.source not in leads_to:
                    leads_to[link.source] = node_id
                    waiting.append(link.source)
        self._move(sorted(leads_to, key=places.__getitem__), start, end)
        return []

    def _move(self, node_ids: list[str], start: float, end: float) -> None:
        """Place nodes, in this order, between two places."""
        gap = (end - start) / (len(node_ids) + 1)
        for number, node_id in enumerate(node_ids, 1):
            self._places[node_id] = start + number * gap
        if gap < SMALLEST_GAP:  # number all anew, before places become equal by rounding
            order = sorted(self._places, key=self._places.__getitem__)
            self._places = {node_id: float(place) for place, node_id in enumerate(order)}
            self._end = float(len(order))


def _path(leads_to: dict[str, str], start: str) -> list[str]:
    path = [start]
    while leads_to[path[-1]]:
        path.append(leads_to[path[-1]])
    return path
