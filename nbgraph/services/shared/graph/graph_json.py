"""A graph as JSON, and back: `{"id", "nodes": {id: {"id", "type", ...}}, "edges": [{"source", "destination"}]}`."""

import json
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Protocol, TypeVar

from nbgraph.errors import GraphError, Problem, Problems, UnknownNodeTypeError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.node_registry import NodeClass, registry
from nbgraph.services.shared.gc_pause import gc_pause
from nbgraph.services.shared.graph.edges import GraphLike, Link
from nbgraph.services.shared.graph.expand import MAX_DEPTH

MAX_BYTES, MAX_NAME = 64 * 2**20, 4096
COMMON = {"is_intermediate", "use_cache"}


class LoadableGraph(GraphLike, Protocol):
    """What reading a file needs of a graph."""

    id: str
    layout: dict[str, Any]

    def load(self, nodes: Mapping[str, BaseInvocation], links: Mapping[str, list[Link]]) -> None: ...


class SavableGraph(GraphLike, Protocol):
    """What writing a file needs of a graph."""

    id: str
    layout: dict[str, Any]


AnyGraph = TypeVar("AnyGraph", bound=LoadableGraph)


def node_to_dict(node: BaseInvocation, node_id: str, links: Sequence[Link] = ()) -> dict[str, Any]:
    """A node as JSON-able values: id, type and every input that holds a value and no edge arrives at."""
    names = set(node.literals()).difference(link.field for link in links)
    return {
        "id": node_id,
        "type": node.type,
        **node.dump_extra(),
        **node.model_dump(mode="json", include={*names, *(COMMON & node.model_fields_set)}, warnings=False),
    }


def graph_to_dict(graph: SavableGraph) -> dict[str, Any]:
    """The whole graph as JSON-able values."""
    edges = [
        {
            "source": {"node_id": link.source, "field": link.output},
            "destination": {"node_id": node_id, "field": link.field},
        }
        for node_id in graph.nodes
        for link in graph.links(node_id)
    ]
    nodes = {node_id: node_to_dict(node, node_id, graph.links(node_id)) for node_id, node in graph.nodes.items()}
    return {"id": graph.id, "nodes": nodes, "edges": edges, **({"layout": graph.layout} if graph.layout else {})}


def graph_to_json(graph: SavableGraph, indent: int | None = None) -> str:
    """The whole graph as JSON."""
    return json.dumps(graph_to_dict(graph), indent=indent, allow_nan=False, ensure_ascii=False)


def graph_from_json(make: type[AnyGraph], text: str | bytes) -> AnyGraph:
    """The graph a JSON text holds, checked as a whole, once."""
    with gc_pause():
        return graph_from_dict(make, _parse(text))


def graph_from_dict(make: type[AnyGraph], data: Any) -> AnyGraph:
    """The graph in values read from JSON; `GraphError` with every problem if they hold none."""
    if _library_depth(data) > MAX_DEPTH:
        raise GraphError([Problem("too_deep", f"graphs are nested more than {MAX_DEPTH} deep; take some levels out")])
    if isinstance(data, dict) and (seems := foreign_object(data)):
        raise foreign_error(seems)
    problems = Problems()
    nodes = _read_nodes(_expect(problems, data, "nodes", dict), problems)
    links = _read_edges(_expect(problems, data, "edges", list), problems)
    problems.raise_any()
    graph = make()
    if isinstance(data.get("id"), str):
        graph.id = data["id"]
    if isinstance(data.get("layout"), dict):
        graph.layout = data["layout"]
    graph.load(nodes, links)
    return graph


def _parse(text: str | bytes) -> Any:
    if not isinstance(text, str | bytes | bytearray):
        raise GraphError(
            [Problem("bad_file", f"a graph is read from a JSON text, not {repr(text)[:80]}{_remedy(text)}")]
        )
    if len(text) > MAX_BYTES:
        raise GraphError([Problem("bad_file", f"the file has {len(text):,} bytes; a graph has at most {MAX_BYTES:,}")])
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        shown = text if isinstance(text, str) else bytes(text).decode("utf-8", "replace")
        if seems := foreign_text(shown):
            raise foreign_error(seems) from None
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        if isinstance(text, str) and text.endswith(".json") and len(text) < MAX_NAME:
            reason = (
                f"it looks like the name of a file; give what is written in it, or open it by studio.edit({text!r})"
            )
        raise GraphError([Problem("bad_file", f"this is no JSON graph: {reason}")]) from None


def _remedy(given: Any) -> str:
    """What to do with a thing that is no text."""
    if isinstance(given, dict):
        return "; Graph.from_dict takes a dict"
    return "; give its read_text(), or open it by studio.edit" if isinstance(given, PathLike) else ""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON knows")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return values


def _library_depth(data: Any) -> int:
    """How deep graph nodes are nested in a document, which may be no graph at all."""
    deepest = 0
    waiting = [(data, 0)]
    while waiting:
        graph, depth = waiting.pop()
        nodes = graph.get("nodes") if isinstance(graph, dict) else None
        for node in nodes.values() if isinstance(nodes, dict) else ():
            library = node.get("library") if isinstance(node, dict) else None
            if isinstance(library, dict):
                deepest = max(deepest, depth + 1)
                waiting.append((library.get("graph"), depth + 1))
    return deepest


def _expect(problems: Problems, data: Any, key: str, kind: type) -> Any:
    found = data.get(key, kind()) if isinstance(data, dict) else None
    if isinstance(found, kind):
        return found
    name = {"dict": "an object", "list": "an array"}[kind.__name__]
    problems.add("bad_file", f"a graph is an object with nodes and edges, and {key} must be {name}")
    return kind()


def _read_nodes(data: dict[str, Any], problems: Problems) -> dict[str, BaseInvocation]:
    classes = registry()
    known: dict[str, NodeClass] = {}
    nodes: dict[str, BaseInvocation] = {}
    for node_id, values in data.items():
        if not isinstance(values, dict) or not isinstance(values.get("type"), str):
            problems.add("bad_file", 'a node is an object with a "type"', node_id)
            continue
        if values.get("id", node_id) != node_id:
            problems.add("bad_file", f"is listed under this id, but says its id is {values['id']!r}", node_id)
            continue
        inputs = {**values, "id": node_id}
        type_name = inputs.pop("type")
        try:
            cls = known.get(type_name)
            if cls is None:
                cls = known[type_name] = classes[type_name]
            nodes[node_id] = cls.class_from_json(inputs)(**inputs)
        except UnknownNodeTypeError as error:
            problems.add("unknown_type", error.message, node_id)
        except GraphError as error:
            problems.found.extend(error.problems)
    return nodes


def _read_edges(data: list[Any], problems: Problems) -> dict[str, list[Link]]:
    links: dict[str, list[Link]] = {}
    for number, edge in enumerate(data):
        try:
            source, target = edge["source"], edge["destination"]
            field, output, arrives_at = target["field"], source["field"], target["node_id"]
            link = Link(field, source["node_id"], output)
            "".join((field, link.source, output, arrives_at))  # a TypeError unless all four are texts
        except (TypeError, KeyError, IndexError):
            text = f"edge {number} is not of the form source/destination, each with node_id and field"
            problems.add("bad_file", text)
            continue
        arriving = links.get(arrives_at)
        if arriving is None:
            arriving = links[arrives_at] = []
        arriving.append(link)
    return links


_STARTS = (
    ("\x89PNG", "a PNG picture"),
    ("\ufffdPNG", "a PNG picture"),
    ("RIFF", "a WebP picture"),
    ("PK\x03\x04", "a zip archive"),
    ("GGUF", "a GGUF model file"),
    ("<", "a page of HTML or XML"),
    ("version https://git-lfs", "a Git LFS pointer in place of the file itself"),
)
_PARAMETERS = re.compile(r"^Steps: \d+,.*\b(Sampler|CFG scale|Seed): ", re.MULTILINE)
_SHOWN_KEYS = 5


def foreign_error(seems: str) -> GraphError:
    """The error for a file that holds no graph of nbgraph."""
    text = f"this is no graph of nbgraph, an object with nodes and edges; it seems to be {seems}"
    return GraphError([Problem("foreign_file", f"{text}. Give a file that graph.to_json() wrote")])


def foreign_text(text: str) -> str:
    """What a text that is no JSON seems to be; "" for what is not known."""
    start = text[:200].lstrip("\ufeff \t\r\n")
    for beginning, name in _STARTS:
        if start.startswith(beginning):
            return name
    return "generation parameters as A1111 writes them" if _PARAMETERS.search(text[:100_000]) else ""


def foreign_object(data: dict[str, Any]) -> str:
    """What a JSON object seems to be that holds no graph; "" for one that has nodes in the form of a graph."""
    nodes = data.get("nodes")
    if isinstance(nodes, list):
        return _workflow(data, nodes)
    if "nodes" in data:
        return ""
    if _has_class_types(data):
        return "a ComfyUI API file (objects with class_type and inputs)"
    if isinstance(data.get("prompt"), dict) and _has_class_types(data["prompt"]):
        return "a request to ComfyUI's API (prompt, with objects of class_type and inputs)"
    if isinstance(data.get("cells"), list) and "nbformat" in data:
        return "a Jupyter notebook"
    if "_class_name" in data:
        is_index = any(isinstance(value, list) and len(value) == 2 for value in data.values())
        return f"a {'model_index.json' if is_index else 'configuration'} of diffusers ({data['_class_name']})"[:120]
    if "model_type" in data or "architectures" in data:
        return "a configuration of a transformers model"
    if isinstance(data.get("graph"), dict) and ("max_iterations" in data or "outputs" in data):
        kind = "a saved session" if "max_iterations" in data else "a library graph (LibraryGraph.from_dict reads it)"
        return f"{kind} of nbgraph; the graph itself is under its key graph"
    if "generation_mode" in data or "positive_prompt" in data:
        return "the metadata of a picture made by InvokeAI"
    keys = ", ".join(map(repr, list(data)[:_SHOWN_KEYS]))
    return f"an object without nodes (its keys: {keys[:200] or 'none'})"


def _workflow(data: dict[str, Any], nodes: list[Any]) -> str:
    if "links" in data or "last_node_id" in data:
        return "a workflow of ComfyUI's editor (nodes and links)"
    if isinstance(data.get("edges"), list) and any(isinstance(node, dict) and "data" in node for node in nodes):
        return "a workflow of InvokeAI's editor"
    return "a graph of another program: its nodes are a list, not an object by id"


def _has_class_types(data: dict[str, Any]) -> bool:
    found = [value for value in data.values() if isinstance(value, dict)]
    return bool(found) and any("class_type" in value and "inputs" in value for value in found)
