"""Facts derived from a document, by node, and the document with them as it is sent to a page: whole, or as a patch.

Deriving everything takes time in proportion to the graph, and a person types: after an edit, only the nodes that it may
have changed are derived again (`Derived.update`), and only the difference is sent.
"""

from collections.abc import Iterable
from typing import Any

from nbgraph.errors import Problem
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.edges import Link
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.validation import graph_problems
from nbgraph.widgets.changes import Change, difference
from nbgraph.widgets.document import GraphDocument, Update
from nbgraph.widgets.exact_numbers import to_page
from nbgraph.widgets.schema import library_types, node_types, varying_types

PARTS = ("problems", "varying", "library")
WITHOUT_CONSEQUENCES = ("layout", "note")
OF_THE_WHOLE = ("cycle", "unknown_node", "unknown_field", "unknown_output")
Parts = dict[str, dict[str, Any]]


class Derived:
    """Problems, types of varying outputs and the inputs of library graphs, each by node id ("" is the whole graph)."""

    def __init__(self, document: GraphDocument) -> None:
        self._document, self._is_whole_only = document, False
        self.parts: Parts = {}
        self.renew()

    def renew(self) -> Parts:
        """Derive everything; return what is new or changed, and None for what is gone."""
        with self._document.lock:
            graph, problems = self._document.graph, self._document.problems()
            library = to_page(library_types(graph))
            # Inputs of a library graph node, and cycles, depend on more than a node and its neighbours.
            self._is_whole_only = bool(library) or _concern_the_whole(problems)
            parts = {"problems": _by_node(problems), "varying": varying_types(graph), "library": library}
            return self._take(parts, None)

    def update(self, update: Update) -> Parts:
        """Derive what an update may have changed; return what is new or changed, and None for what is gone.

        The engine's validator checks the changed nodes and their neighbours as a graph of their own. Where that is not
        enough, everything is derived: after edits in Python, and with library graphs.
        """
        changes = [change for change in update.changes if change.kind not in WITHOUT_CONSEQUENCES]
        if not changes:
            return {part: {} for part in PARTS}
        with self._document.lock:
            graph = self._document.graph
            # Python may have changed a node in place, which an update names without its consequences.
            if self._is_whole_only or update.author == "python":
                return self.renew()
            region = _region(graph, {change.id for change in changes}, changes)
            around = Surroundings(graph, region)
            problems = graph_problems(around)
            if library_types(around) or _concern_the_whole(problems):
                return self.renew()
            parts: Parts = {"problems": _by_node(problems + self._document.unknown_types()), "library": {}}
            return self._take({**parts, "varying": varying_types(around)}, region)

    def _take(self, parts: Parts, region: set[str] | None) -> Parts:
        """Store what was found for the nodes of a region, or for all; return the difference."""
        changes: Parts = {}
        for part in PARTS:
            old, new = self.parts.setdefault(part, {}), parts[part]
            ids = [*old, *new] if region is None else region
            changes[part] = {id: new.get(id) for id in ids if old.get(id) != new.get(id)}
            for id, value in changes[part].items():
                if value is None:
                    del old[id]
                else:
                    old[id] = value
        return changes


class Surroundings:
    """The part of a graph that determines the facts about a region: its nodes, and those their types depend on."""

    def __init__(self, graph: Graph, region: Iterable[str]) -> None:
        self.nodes: dict[str, BaseInvocation] = {}
        self._links: dict[str, list[Link]] = {}
        waiting = [node_id for node_id in region if node_id in graph.nodes]
        inside = set(waiting)
        while waiting:
            node_id = waiting.pop()
            node = self.nodes[node_id] = graph.nodes[node_id]
            # The type of this output is fixed: nothing before it can matter to the region.
            if node_id not in inside and not node.output_types_vary:
                continue
            links = self._links[node_id] = graph.links(node_id)
            waiting += [link.source for link in links if link.source in graph.nodes and link.source not in self.nodes]

    def links(self, node_id: str) -> list[Link]:
        """Return the edges into a node of the region, or into one whose type varies; none for others."""
        return self._links.get(node_id, [])


def problem_to_json(problem: Problem) -> dict[str, Any]:
    """Return a problem as the page takes it."""
    return {"kind": problem.kind, "message": problem.message, "node": problem.node, "field": problem.field}


def _concern_the_whole(problems: list[Problem]) -> bool:
    return any(problem.kind in OF_THE_WHOLE for problem in problems)


def _by_node(problems: Iterable[Problem]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for problem in problems:
        found.setdefault(problem.node or "", []).append(problem_to_json(problem))
    return found


def _region(graph: Graph, ids: set[str], changes: list[Change]) -> set[str]:
    """Return the changed nodes, and those linked to nodes whose outputs may have another type now."""
    remade = {change.id for change in changes if change.kind in ("node", "unknown")}
    # A type that varies passes a change on to the next node, and so on until the types are fixed.
    spreading = remade | {id for id in ids if id in graph.nodes and graph.nodes[id].output_types_vary}
    region = set(ids)
    while spreading:
        reached = {
            node_id
            for node_id in list(graph.nodes)
            if node_id not in region and any(link.source in spreading for link in graph.links(node_id))
        }
        region |= reached
        spreading = {node_id for node_id in reached if graph.nodes[node_id].output_types_vary}
    return region


class ShownDocument:
    """A document with its derived facts; `patch` must be given each of its updates, in order."""

    def __init__(self, document: GraphDocument) -> None:
        self._document, self._derived = document, Derived(document)

    def renew(self) -> None:
        """Derive everything again: a cell may have defined node types since."""
        self._derived.renew()

    def snapshot(self, path: list[str]) -> dict[str, Any]:
        """Return the whole document; `path` are the library graphs that are open around it."""
        document = self._document
        with document.lock:
            types = sorted({node.type for node in document.graph.nodes.values()} - {"graph"})
            return {
                "revision": document.revision,
                "changes": [change.to_json() for change in difference({}, document.state)],
                "types": to_page(node_types(types)),
                "readOnly": document.read_only,
                "path": path,
                **self._history(),
                **{part: dict(own) for part, own in self._derived.parts.items()},
            }

    def patch(self, update: Update) -> dict[str, Any]:
        """Return the message for one update; it is small in a graph of any size."""
        return {
            "type": "patch",
            "revision": update.revision,
            "changes": [change.to_json() for change in update.changes],
            "author": update.author,
            **self._history(),
            **self._derived.update(update),
        }

    def _history(self) -> dict[str, int]:
        undo, redo = self._document.depths
        return {"undo": undo, "redo": redo}
