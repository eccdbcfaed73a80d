"""Topological order: of a mapping, of nodes linked in Python, and kept up incrementally while edges are added."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

from nbgraph.errors import GraphError, Problem
from nbgraph.invocations.base import BaseInvocation, Ref
from nbgraph.services.shared.graph.edges import GraphLike, Link

SHOWN_IN_CIRCLE = 10


def parents_of(graph: GraphLike) -> dict[str, list[str]]:
    """Return the sources of each node, one for each edge that arrives at it."""
    return {node_id: [link.source for link in graph.links(node_id)] for node_id in graph.nodes}


def topological_order(
    parents: Mapping[str, Sequence[str]], wanted: Iterable[str] | None = None
) -> tuple[list[str], list[str]]:
    """(order, circle): every node after its parents, in the order given where there is a choice.

    `parents` names the nodes a node needs; `wanted` restricts the order to those nodes and what they need. If there is
    a circle it is returned, and the order is what could be ordered before it was met.
    """
    order: list[str] = []
    done: set[str] = set()
    for start in parents if wanted is None else wanted:
        if start in done:
            continue
        if done.issuperset(parents.get(start, ())):
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
            chain.append((node, position + 1))
            if source in on_chain:
                ids = [entry[0] for entry in chain]
                return order, ids[ids.index(source) :]
            chain.append((source, 0))
            on_chain.add(source)
    return order, []


def circle_text(circle: Sequence[str]) -> str:
    """The problem that these nodes need one another, each the next."""
    shown = [*circle[:SHOWN_IN_CIRCLE], *(["..."] if len(circle) > SHOWN_IN_CIRCLE else []), circle[0]]
    return f"the edges go round in a circle: {' <- '.join(shown)}; delete one of them"


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


SMALLEST_GAP = 1e-6


class RunningOrder:
    """A place for each node, such that every edge leads from a lower place to a higher one.

    An edge that leads forward costs nothing; one that leads backward costs a walk over what its source needs, as far as
    that stands behind its target, and moves those nodes before the target. Edges that go need not be told.
    """

    def __init__(self, nodes: Iterable[str], links: Callable[[str], list[Link]]) -> None:
        order, _ = topological_order({node_id: [link.source for link in links(node_id)] for node_id in nodes})
        self._places = {node_id: float(place) for place, node_id in enumerate(order)}
        self._end = float(len(order))

    def copy(self) -> "RunningOrder":
        """The same order, for a copy of the graph."""
        other = RunningOrder((), lambda _: [])
        other._places, other._end = dict(self._places), self._end
        return other

    def append(self, node_id: str) -> None:
        """Place a new node, to which nothing is linked yet, behind all others."""
        self._places[node_id] = self._end
        self._end += 1

    def make_way(self, source: str, target: str, links: Callable[[str], list[Link]]) -> list[str]:
        """Make the order right for an edge; if it closes a circle, returns the nodes from target to source instead."""
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
        """Give nodes, in this order, places between two others."""
        gap = (end - start) / (len(node_ids) + 1)
        for number, node_id in enumerate(node_ids, 1):
            self._places[node_id] = start + number * gap
        if gap < SMALLEST_GAP:
            order = sorted(self._places, key=self._places.__getitem__)
            self._places = {node_id: float(place) for place, node_id in enumerate(order)}
            self._end = float(len(order))


def _path(leads_to: dict[str, str], start: str) -> list[str]:
    path = [start]
    while leads_to[path[-1]]:
        path.append(leads_to[path[-1]])
    return path
