"""Library graphs by the names that people type, and as templates that a canvas offers."""

import json
from collections.abc import Container
from os.path import isfile
from typing import Any

from nbgraph.errors import NotFoundError, suggest
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.item_storage.item_storage_base import ItemStorageBase
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.widgets.graph_state import GraphState

TEMPLATES = 24
"""Library graphs that a canvas offers."""


def find_library_graph(services: InvocationServices, name: str, *, is_exact: bool = False) -> LibraryGraph:
    """Return the library graph of a name or id.

    Parameters
    ----------
    services
        The services whose library is searched.
    name
        A name or an id.
    is_exact
        Whether `text_to_image` may not stand for `Text to Image`.

    Raises
    ------
    NotFoundError
        There is none; the message names the nearest.
    """
    library = services.graph_library
    graphs = library.list(per_page=max(1, library.list(per_page=1).total)).items
    for graph in graphs:
        if name in (graph.name, graph.id):
            return graph
    # All exact names first: a graph of another spelling must not hide one that is meant to the letter.
    for graph in () if is_exact else graphs:
        if _plain(name) in (_plain(graph.name), _plain(graph.id)):
            return graph
    raise NotFoundError(f"the library has no graph {name!r}{suggest(name, [graph.name for graph in graphs])}")


def exact_names(library: ItemStorageBase[LibraryGraph]) -> set[str]:
    """Return the names and ids of all library graphs."""
    graphs = library.list(per_page=max(1, library.list(per_page=1).total)).items
    return {text for graph in graphs for text in (graph.name, graph.id)}


def opening_call(name: str, library_names: Container[str]) -> str:
    """Return the call that opens a document: `studio.edit("portrait")`.

    It is `studio.graphs.open("portrait")` where `studio.edit` would open a file or a library graph of that name.
    """
    method = "graphs.open" if name in library_names or isfile(name) else "edit"
    # A JSON text of printable characters is a Python text too.
    return f"studio.{method}({json.dumps(name, ensure_ascii=False)})"


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())


def templates(services: InvocationServices) -> list[dict[str, Any]]:
    """Return `{"name", "description", "changes"}` of the first library graphs, `changes` to an empty document."""
    return [_template(graph) for graph in services.graph_library.list(per_page=TEMPLATES).items]


def _template(library: LibraryGraph) -> dict[str, Any]:
    state = GraphState()
    changes, _ = state.update(library.graph, state.changed(library.graph))
    return {
        "name": library.name,
        "description": library.description,
        "changes": [change.to_json() for change in changes],
    }
