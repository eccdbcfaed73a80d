"""Library graphs by the names that people type."""

from nbgraph.errors import NotFoundError, suggest
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.library import LibraryGraph


def find_library_graph(services: InvocationServices, name: str, *, is_exact: bool = False) -> LibraryGraph:
    """Return the library graph of that name, or id; `NotFoundError` names what there is.

    Unless the name must be exact, `text_to_image` and `Text to Image` mean the same.
    """
    library = services.graph_library
    graphs = library.list(per_page=max(1, library.list(per_page=1).total)).items
    for graph in graphs:
        if name in (graph.name, graph.id):
            return graph
    for graph in () if is_exact else graphs:
        if _plain(name) in (_plain(graph.name), _plain(graph.id)):
            return graph
    raise NotFoundError(f"the library has no graph {name!r}{suggest(name, [graph.name for graph in graphs])}")


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())
