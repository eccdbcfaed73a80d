"""What a picture needs: its graph cut down to the nodes before it, and the prepared nodes that ran for it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic_core import to_jsonable_python

from nbgraph.errors import GraphError
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.recipes.json_values import is_object
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.graph_json import node_to_dict
from nbgraph.services.shared.graph.plan import Path, Prepared

MAX_WALKED = 100_000


class Upstream:
    """The prepared node that gave a picture, and everything in its session that it needed.

    Parameters
    ----------
    session
        The run; its outputs are looked at, nothing is run.
    node_id, path
        The node of the expanded graph that gave the picture, and the iteration path at which it did.
    """

    def __init__(self, session: GraphExecutionState, node_id: str, path: Path) -> None:
        self.session, self.node_id, self.path = session, node_id, path
        self.target = session.keys.prepared(session.plan.nodes[session.plan.ranks[node_id]], path)

    def prepared(self) -> Iterator[Prepared]:
        """Yield the prepared nodes, the nearest first; those that did not run are left out."""
        waiting, seen = deque([self.target]), {self.target.key}
        while waiting and len(seen) < MAX_WALKED:
            one = waiting.popleft()
            if one.key in self.session.outputs:
                yield one
            for key in self.session.source_keys(one):
                if key not in seen and key in self.session.outputs:
                    seen.add(key)
                    waiting.append(self._at(key))

    def output(self, one: Prepared) -> BaseInvocationOutput:
        """Return what a prepared node gave."""
        return self.session.outputs[one.key]

    def values(self, one: Prepared) -> dict[str, Any]:
        """Return all that a prepared node ran on, by input."""
        return self.session.inputs(one)

    def sources(self, one: Prepared, field: str) -> list[Prepared]:
        """Return the prepared nodes that an input came from."""
        keys = [
            self.session.keys.source(edge, one.path)
            for edge in one.planned.inputs
            if edge.field == field and not one.planned.node_type.collects
        ]
        return [self._at(key) for key in keys if key in self.session.outputs]

    def graph(self) -> tuple[Graph, Path, tuple[str, ...]]:
        """Return the graph that made the picture, the path in it, and the inputs whose drawn seeds are not in it.

        Under an iteration it is the graph of this one picture: items are written in place of the iterate nodes. Where
        a collect node puts several of them together, the iterations stay, and the path says which picture is meant.
        """
        if self.path:
            try:
                return self._of_one_picture(), (), ()
            except (GraphError, ValueError):
                pass  # an item that no file can hold, or a collect in between: the whole graph and the path say it
        outer = self.node_id if self.node_id in self.session.graph.nodes else self.node_id.partition(".")[0]
        graph = _cut(self.session.graph_snapshot(), outer)
        drawn: dict[str, int] = {}
        left: set[str] = set()
        for key, seeds in self.session.seeds.items():
            one = self._at(key)
            if one.planned.id.partition(".")[0] not in graph.nodes and one.planned.id not in graph.nodes:
                continue
            addresses = {f"{one.planned.id}.{name}": seed for name, seed in seeds.items()}
            drawn.update({} if one.path else addresses)
            left.update(addresses if one.path else ())
        return graph.with_values(drawn) if drawn else graph, self.path, tuple(sorted(left))

    def _of_one_picture(self) -> Graph:
        """The graph without iterations; `ValueError` where a collect node puts several items together."""
        nodes: dict[str, Any] = {}
        edges: list[dict[str, Any]] = []
        for one in self.prepared():
            planned = one.planned
            if planned.axis is not None:
                continue
            if planned.node_type.collects and any(self._at(key).path != one.path for key in self._keys(one)):
                raise ValueError("a collect node")
            nodes[planned.id] = node_to_dict(planned.node, planned.id, self.session.expanded.links(planned.id))
            nodes[planned.id] |= to_jsonable_python(self.session.seeds.get(one.key, {}))
            for edge in planned.inputs:
                source = self._at(self.session.keys.source(edge, one.path))
                if source.key not in self.session.outputs:
                    continue
                if source.planned.axis is not None:
                    item = getattr(self.output(source), edge.output)
                    nodes[planned.id][edge.field] = to_jsonable_python(item)
                else:
                    edges.append(_edge(source.planned.id, edge.output, planned.id, edge.field))
        parents: dict[str, list[str]] = {}
        for edge in edges:
            parents.setdefault(edge["destination"]["node_id"], []).append(edge["source"]["node_id"])
        needed = _needed(self.node_id, lambda each: parents.get(each, ()))
        kept = {node_id: nodes[node_id] for node_id in nodes if node_id in needed}
        return Graph.from_dict({"nodes": kept, "edges": [e for e in edges if e["destination"]["node_id"] in needed]})

    def _keys(self, one: Prepared) -> list[int]:
        return self.session.source_keys(one)

    def _at(self, key: int) -> Prepared:
        rank, path = self.session.keys.place(key)
        return self.session.keys.prepared(self.session.plan.nodes[rank], path)


def _cut(graph: Graph, node_id: str) -> Graph:
    """The graph with the nodes that one needs alone; of the layout, their places."""
    needed = _needed(node_id, lambda each: [link.source for link in graph.links(each)])
    cut = Graph(id=graph.id)
    kept = {each: node for each, node in graph.nodes.items() if each in needed}
    cut.load(kept, {each: graph.links(each) for each in kept})
    places = graph.layout.get("nodes")
    if is_object(places) and (shown := {each: places[each] for each in kept if each in places}):
        cut.layout["nodes"] = shown
    return cut


def _needed(node_id: str, sources: Callable[[str], Iterable[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [node_id]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(sources(one))
    return found


def _edge(source: str, output: str, target: str, field: str) -> dict[str, Any]:
    return {"source": {"node_id": source, "field": output}, "destination": {"node_id": target, "field": field}}
