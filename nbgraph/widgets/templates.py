"""The graphs of the studio's library as the canvas offers them: by name, to be put onto it node by node."""

from typing import Any

from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.widgets.graph_state import GraphState

SHOWN = 24


def templates(services: InvocationServices) -> list[dict[str, Any]]:
    """Return `{"name", "description", "changes"}` of the first library graphs, `changes` upon an empty document."""
    return [_template(graph) for graph in services.graph_library.list(per_page=SHOWN).items]


def _template(library: LibraryGraph) -> dict[str, Any]:
    state = GraphState()
    changes, _ = state.update(library.graph, state.other(library.graph))
    return {
        "name": library.name,
        "description": library.description,
        "changes": [change.to_json() for change in changes],
    }
