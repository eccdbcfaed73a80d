"""The code beside the canvas: the graph as Python, and what is typed there drawn. Nothing that is typed is run."""

from hashlib import blake2b
from typing import Any

from nbgraph.errors import GraphError
from nbgraph.grammar.graph_from_python import CodeError, Functions, graph_from_python
from nbgraph.templates import image_to_image, text_to_image
from nbgraph.widgets.changes import GONE, Change, State, difference
from nbgraph.widgets.document import GraphDocument
from nbgraph.widgets.graph_state import state_of

FUNCTIONS: Functions = {"text_to_image": text_to_image, "image_to_image": image_to_image}
SHOWN_IN_CODE = ("node", "input", "option")
"""The kinds of changes that code makes; positions, frames and nodes of unknown types are the canvas' alone."""


def answer_code(document: GraphDocument, text: str | None, base: str) -> dict[str, Any]:
    """Draw code that was typed, if there is any, and return the message about the code of the document.

    Parameters
    ----------
    document
        The document on the canvas.
    text
        The code to draw; None only asks.
    base
        The mark of the code that the text was made from. If the document has other code by now, nothing is drawn,
        and the message says `stale`: the person chooses which of both is kept.

    Raises
    ------
    ReadOnlyError
        There is code to draw, and the document is read-only.
    """
    with document.lock:
        document.refresh()
        now = document.graph.to_python()
        if text is None:
            return _message(now)
        if base != mark_of(now):
            return {**_message(now), "stale": True}
        try:
            read = graph_from_python(text, FUNCTIONS)
        except CodeError as error:
            return {**_message(now), "error": error.message, "line": error.line}
        try:
            document.edit(_changes(document, state_of(read.graph)), author="code", group="code")
        except GraphError as error:
            lines = [read.lines[problem.node] for problem in error.problems if problem.node in read.lines]
            return {**_message(now), "error": str(error), "line": min(lines, default=1)}
        return _message(document.graph.to_python())


def mark_of(code: str) -> str:
    """Return a short mark by which a page says which code it has."""
    return blake2b(code.encode(), digest_size=12).hexdigest()


def _message(code: str) -> dict[str, Any]:
    return {"type": "code", "text": code, "mark": mark_of(code)}


def _changes(document: GraphDocument, wanted: State) -> list[Change]:
    now = document.state
    changes = [change for change in difference(now, wanted) if change.kind in SHOWN_IN_CODE]
    gone, made = _by_type(changes, now, is_made=False), _by_type(changes, wanted, is_made=True)
    for node_type, ids in made.items():
        # A node with another id stays where it was: it was renamed.
        if len(ids) == len(gone.get(node_type, ())) == 1:
            places = [(key, value) for key, value in now.items() if key[:2] == ("layout", gone[node_type][0])]
            changes += [Change("layout", ids[0], key[2], value) for key, value in places]
    return changes


def _by_type(changes: list[Change], state: State, is_made: bool) -> dict[str, list[str]]:
    """Return the ids of nodes that changes make, or delete, by their type in `state`."""
    found: dict[str, list[str]] = {}
    for change in changes:
        if change.kind == "node" and (change.value is not GONE) == is_made:
            found.setdefault(state[change.key]["type"], []).append(change.id)
    return found
