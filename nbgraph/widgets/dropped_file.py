"""A file that a person dropped on a canvas: the graph in it, as changes, and what of it could not be taken over."""

from typing import Any

from nbgraph.recipes.local import shelf_of
from nbgraph.recipes.opened import Opened
from nbgraph.recipes.reading import read_recipe
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.widgets.graph_state import GraphState

MAX_FILE = 32 * 2**20
SHOWN = 3


def answer_file(services: InvocationServices, name: str, buffers: list[Any]) -> dict[str, Any]:
    """Return `{"template", "report"}` for a file in the first buffer: its graph as a template, and a line of report.

    Raises
    ------
    RecipeError, GraphError
        The file holds no graph that can be read; nothing is changed.
    """
    if len(buffers) != 1:
        raise ValueError(f"a file comes in one buffer, and {len(buffers)} came")
    data = bytes(buffers[0][: MAX_FILE + 1])
    if len(data) > MAX_FILE:
        raise ValueError(f"the file is larger than {MAX_FILE:,} bytes")
    opened = read_recipe(data, shelf_of(services.model_manager), name)
    state = GraphState()
    changes, _ = state.update(opened.graph, state.changed(opened.graph))
    # Nodes that are not installed cannot be made on the canvas; the report names them.
    made = [change.to_json() for change in changes if change.kind != "unknown"]
    template = {"name": name, "description": opened.kind, "changes": made}
    return {"type": "file", "template": template, "report": _report(opened)}


def _report(opened: Opened) -> str:
    found = [*opened.report.of("missing"), *opened.report.of("differs")]
    if not found:
        return f"read {opened.kind}"
    texts = [f"{each.what} ({each.state}{': ' if each.why else ''}{each.why})" for each in found[:SHOWN]]
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"read {opened.kind}, not exactly: {'; '.join(texts)}{more}"
