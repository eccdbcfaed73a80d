"""An order in which the nodes of a graph can run, kept right while edges come, so that circles are found at once."""

from collections.abc import Callable, Iterable

from nbgraph.services.shared.graph.edges import Link
from nbgraph.services.shared.graph.order import topological_order

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
