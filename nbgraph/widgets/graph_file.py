"""Files opened for the canvas or dropped on it. A part that cannot be read is named and left out, not guessed."""

import json
from os import PathLike
from os.path import isfile
from pathlib import Path
from typing import Any, cast

from nbgraph.errors import GraphError, NotFoundError, Problem
from nbgraph.invocations.node_registry import registry
from nbgraph.recipes.chunks import is_picture
from nbgraph.recipes.local import open_recipe, shelf_of
from nbgraph.recipes.opened import Opened
from nbgraph.recipes.reading import read_recipe
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.drawing.layout import read_layout
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.graph_json import foreign_error, foreign_object
from nbgraph.texts import value_text
from nbgraph.widgets.graph_state import GraphState

MAX_FILE = 32 * 2**20
SHOWN = 3
NEWEST = 1
"""The newest version of the format that is known here."""


def open_file(path: str | PathLike[str]) -> tuple[Graph, str]:
    """Open a graph file, an image with a recipe, or a file of another program.

    Returns
    -------
    (graph, reason)
        As `open_graph` returns them.

    Raises
    ------
    NotFoundError
        There is no such file.
    RecipeError, GraphError
        It holds nothing that can be read.
    """
    file = Path(path)
    if not isfile(file):
        raise NotFoundError(f"there is no file {value_text(str(path))} (looked in {Path.cwd()})")
    # The bytes decide what a file is, not the ending of its name.
    data, problems = file.read_bytes(), ()
    if is_picture(data):
        return open_recipe(file).graph, ""
    try:
        Graph.from_json(data)
    except GraphError as error:
        problems = error.problems
        if any(problem.kind == "foreign_file" for problem in problems):
            return open_recipe(file).graph, ""
    try:
        graph, reason = open_graph(json.loads(data))
    except (ValueError, RecursionError):
        graph, reason = Graph(), ""
    if not reason and any(problem.kind != "unknown_type" for problem in problems):
        reason = _named(problems)
    return graph, reason


def open_graph(data: Any) -> tuple[Graph, str]:
    """Return the graph in a JSON value, as far as it can be read.

    Returns
    -------
    (graph, reason)
        `reason` is empty, or says why the graph is read-only: a node or an edge is damaged, or the format is newer.
        Nodes of types that are not installed are kept in `graph.layout["unknown"]` with their edges; they do not make
        it read-only.

    Raises
    ------
    GraphError
        It is a file of another program.
    """
    read = as_object(data)
    if isinstance(data, dict) and (seems := foreign_object(read)):
        raise foreign_error(seems)
    version = read.get("version", NEWEST)
    if isinstance(version, int) and version > NEWEST:
        reason = f"the file is of version {version} of the format, and this nbgraph knows {NEWEST}; install a newer one"
        return _rescued(read, reason)
    try:
        return Graph.from_dict(data), ""
    except GraphError as error:
        kinds = {problem.kind for problem in error.problems}
        return _rescued(read, "" if kinds == {"unknown_type"} else _named(error.problems))


def _rescued(data: dict[str, Any], reason: str) -> tuple[Graph, str]:
    """Return a graph of the nodes and edges that can be read one by one, and the reason why it is read-only."""
    nodes, edges = as_object(data.get("nodes")), as_list(data.get("edges"))
    unknown = {node_id: node for node_id, node in nodes.items() if _is_unknown(node)}
    good: dict[str, Any] = {}
    for node_id, node in nodes.items():
        if node_id not in unknown and _reads({node_id: node}, []):
            good[node_id] = node
    loose: dict[str, list[Any]] = {node_id: [] for node_id in unknown}
    inner: list[Any] = []
    for edge in edges:
        # An edge of a placeholder is kept with it: no graph can hold it while the type is unknown.
        touched = [end for end in _ends(edge) if end in unknown]
        (loose[touched[0]] if touched else inner).append(edge)
    graph = Graph.from_dict({"nodes": good, "edges": _readable_edges(good, [], inner)})
    graph.layout = read_layout(data.get("layout"))
    if unknown:
        placeholders = {node_id: {"data": node, "edges": loose[node_id]} for node_id, node in unknown.items()}
        graph.layout["unknown"] = {**graph.layout.get("unknown", {}), **placeholders}
    return graph, reason


def with_unknown_nodes(data: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a saved drawing with its placeholders as nodes again.

    The cell that defines their type may have run since; those still unknown become placeholders in `open_graph`.
    """
    layout = read_layout(data.get("layout"))
    unknown = layout.get("unknown")
    if unknown is None:
        return data
    nodes, edges = dict(data.get("nodes", {})), list(data.get("edges", []))
    for node_id, aside in unknown.items():
        nodes[node_id] = aside["data"]
        edges += aside["edges"]
    return {**data, "nodes": nodes, "edges": edges, "layout": {**layout, "unknown": {}}}


def _readable_edges(nodes: dict[str, Any], before: list[Any], edges: list[Any]) -> list[Any]:
    """Return the edges that can be read together with those before them.

    Halves are tried as a whole, so that one bad edge among n costs reading about log n graphs.
    """
    if _reads(nodes, [*before, *edges]):
        return edges
    if len(edges) < 2:
        return []
    # The second half is tried beside what is good of the first: two edges may exclude each other.
    half = len(edges) // 2
    first = _readable_edges(nodes, before, edges[:half])
    return first + _readable_edges(nodes, [*before, *first], edges[half:])


def as_object(data: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one for any other value."""
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def as_list(data: Any) -> list[Any]:
    """Return a JSON array, or an empty one for any other value."""
    return cast("list[Any]", data) if isinstance(data, list) else []


def _is_unknown(node: Any) -> bool:
    kind = as_object(node).get("type")
    return isinstance(kind, str) and kind not in registry()


def _reads(nodes: dict[str, Any], edges: list[Any]) -> bool:
    try:
        Graph.from_dict({"nodes": nodes, "edges": edges})
    except GraphError:
        return False
    return True


def _ends(edge: Any) -> list[str]:
    try:
        return [edge["source"]["node_id"], edge["destination"]["node_id"]]
    except (TypeError, KeyError):
        return []


def _named(problems: tuple[Problem, ...], shown: int = 5) -> str:
    texts = "; ".join(str(problem) for problem in problems[:shown])
    more = f"; and {len(problems) - shown} more" if len(problems) > shown else ""
    return f"parts that cannot be read are left out: {texts}{more}"


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
