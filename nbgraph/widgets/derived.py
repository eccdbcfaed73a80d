"""What follows from a document, by node, told only where it has changed, so that a patch of any graph stays small."""

from typing import Any

from nbgraph.errors import Problem
from nbgraph.widgets.document import GraphDocument
from nbgraph.widgets.schema import library_types, varying_types

PARTS = ("problems", "varying", "library")
Derived = dict[str, dict[str, Any]]


def derived(document: GraphDocument) -> Derived:
    """Problems, types of varying outputs and the inputs of library graphs, each by node id ("" is the whole graph)."""
    with document.lock:
        problems: dict[str, list[dict[str, Any]]] = {}
        for problem in document.problems():
            problems.setdefault(problem.node or "", []).append(problem_to_json(problem))
        graph = document.graph
        return {"problems": problems, "varying": varying_types(graph), "library": library_types(graph)}


def derived_changes(before: Derived, after: Derived) -> Derived:
    """What is new or other in `after`; None for what is gone."""
    changes: Derived = {}
    for part in PARTS:
        old, new = before.get(part, {}), after[part]
        changes[part] = {key: None for key in old if key not in new}
        changes[part].update({key: value for key, value in new.items() if old.get(key) != value})
    return changes


def problem_to_json(problem: Problem) -> dict[str, Any]:
    """A problem, for the page."""
    return {"kind": problem.kind, "message": problem.message, "node": problem.node, "field": problem.field}
