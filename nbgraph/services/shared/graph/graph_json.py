"""A graph as JSON, and back: `{"id", "nodes": {id: {"id", "type", ...}}, "edges": [{"source", "destination"}]}`.

Files are not trusted: a type is looked up in the registry, never imported, and each value is validated by its node. A
file of another program is refused with the name of what it seems to be.
"""

import json
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, NoReturn, Protocol, TypeVar, cast

from nbgraph.errors import GraphError, Problem, Problems, UnknownNodeTypeError
from nbgraph.gc_pause import gc_pause
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.node_registry import NodeClass, registry
from nbgraph.invocations.types import JsonObject, JsonValue, NodeValue
from nbgraph.services.shared.drawing.layout import is_writable, read_layout
from nbgraph.services.shared.graph.edges import GraphLike, Link
from nbgraph.services.shared.graph.expand import MAX_DEPTH
from nbgraph.texts import value_text

MAX_BYTES, MAX_NAME = 64 * 2**20, 4096
COMMON = {"is_intermediate", "use_cache"}
COMPARED_BY_VALUE = frozenset({int, str, bool, type(None)})  # not float: 0.0 == -0.0, which are written differently
_SHOWN_KEYS = 5
_PARAMETERS = re.compile(r"^Steps: \d+,.*\b(Sampler|CFG scale|Seed): ", re.MULTILINE)
_STARTS = (
    ("\x89PNG", "a PNG picture"),
    ("\ufffdPNG", "a PNG picture"),
    ("RIFF", "a WebP picture"),
    ("PK\x03\x04", "a zip archive"),
    ("GGUF", "a GGUF model file"),
    ("<", "a page of HTML or XML"),
    ("version https://git-lfs", "a Git LFS pointer in place of the file itself"),
)


class SavableGraph(GraphLike, Protocol):
    """A graph that can be written to a file."""

    id: str
    layout: dict[str, Any]


class LoadableGraph(SavableGraph, Protocol):
    """A graph that can be read from a file."""

    def load(self, nodes: Mapping[str, BaseInvocation], links: Mapping[str, list[Link]]) -> None: ...


AnyGraph = TypeVar("AnyGraph", bound=LoadableGraph)


def node_to_dict(node: BaseInvocation, node_id: str, links: Sequence[Link] = ()) -> JsonObject:
    """Return a node as JSON-able values: id, type, and every input that has a value and no edge."""
    names = set(node.literals()).difference(link.field for link in links)
    return {
        "id": node_id,
        "type": node.type,
        **node.dump_extra(),
        **node.model_dump(mode="json", include={*names, *(COMMON & node.model_fields_set)}, warnings=False),
    }


def graph_to_dict(graph: SavableGraph) -> JsonObject:
    """Return the whole graph as JSON-able values."""
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
    """Return the whole graph as JSON."""
    return json.dumps(graph_to_dict(graph), indent=indent, allow_nan=False, ensure_ascii=False)


def is_same_graph(one: SavableGraph, other: SavableGraph) -> bool:
    """Return whether two graphs have the same JSON, which is written only for nodes with values of other types."""
    if one.id != other.id or list(one.nodes) != list(other.nodes) or _text(one.layout) != _text(other.layout):
        return False
    for node_id, node in one.nodes.items():
        theirs, links = other.nodes[node_id], one.links(node_id)
        if links != other.links(node_id):
            return False
        if not _is_plainly_same(node, theirs, links):
            written = node_to_dict(node, node_id, links), node_to_dict(theirs, node_id, links)
            if _text(written[0]) != _text(written[1]):
                return False
    return True


def _is_plainly_same(node: BaseInvocation, other: BaseInvocation, links: Sequence[Link]) -> bool:
    """Return True only if two nodes at which the same edges arrive have the same JSON; False is no answer."""
    if node is other:
        return True
    if type(node) is not type(other) or (COMMON & node.model_fields_set) != (COMMON & other.model_fields_set):
        return False
    linked, values = {"id", *[link.field for link in links]}, vars(other)
    return all(_is_same_value(value, values[name]) for name, value in vars(node).items() if name not in linked)


def _is_same_value(value: NodeValue, other: NodeValue) -> bool:
    """Return True only if two values have the same JSON; of lists, look at the items."""
    if value is other:
        return True
    if type(value) is not type(other):
        return False
    if type(value) is list:
        items, others = cast(list[Any], value), cast(list[Any], other)
        return len(items) == len(others) and all(
            each is theirs or (type(each) in COMPARED_BY_VALUE and type(each) is type(theirs) and each == theirs)
            for each, theirs in zip(items, others)
        )
    return type(value) in COMPARED_BY_VALUE and value == other


def _text(data: JsonObject) -> str:
    return json.dumps(data, ensure_ascii=False) if data else ""


def graph_from_json(make: type[AnyGraph], text: str | bytes) -> AnyGraph:
    """Return the graph in a JSON text, validated as a whole, once."""
    with gc_pause():
        return graph_from_dict(make, _parse(text))


def graph_from_dict(make: type[AnyGraph], data: JsonValue) -> AnyGraph:
    """Return the graph in values read from JSON; raises `GraphError` with every problem if there is none."""
    # before any node is made: reading a graph node reads its library graph, which recurses
    if _library_depth(data) > MAX_DEPTH:
        raise GraphError([Problem("too_deep", f"graphs are nested more than {MAX_DEPTH} deep; remove some levels")])
    if isinstance(data, dict) and (seems := foreign_object(_object(data))):
        raise foreign_error(seems)
    problems = Problems()
    nodes = _read_nodes(_expect(problems, data, "nodes", dict[str, Any]()), problems)
    links = _read_edges(_expect(problems, data, "edges", list[Any]()), problems)
    problems.raise_any()
    graph = make()
    read = _object(data)
    if isinstance(read.get("id"), str) and is_writable(read["id"]):
        graph.id = read["id"]
    graph.layout = read_layout(read.get("layout"))
    graph.load(nodes, links)
    return graph


def _parse(text: JsonValue) -> JsonValue:
    if not isinstance(text, str | bytes | bytearray):
        message = f"a graph is read from a JSON text, not {value_text(text)}{_remedy(text)}"
        raise GraphError([Problem("bad_file", message)])
    if len(text) > MAX_BYTES:
        raise GraphError([Problem("bad_file", f"the file has {len(text):,} bytes; a graph has at most {MAX_BYTES:,}")])
    try:
        data = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates)
        escaped = re.search(r"\\u[dD]", text) if isinstance(text, str) else re.search(rb"\\u[dD]", text)
        if escaped and not is_writable(data):
            raise ValueError("it has half of a surrogate pair, which is no character")
        return data
    except (ValueError, RecursionError) as error:
        shown = text if isinstance(text, str) else bytes(text).decode("utf-8", "replace")
        if seems := foreign_text(shown):
            raise foreign_error(seems) from None
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        if isinstance(text, str) and text.endswith(".json") and len(text) < MAX_NAME:
            reason = f"it looks like the name of a file; give the text of the file, or open it by studio.edit({text!r})"
        raise GraphError([Problem("bad_file", f"this is not a JSON graph: {reason}")]) from None


def _remedy(given: JsonValue) -> str:
    if isinstance(given, dict):
        return "; Graph.from_dict takes a dict"
    return "; give its read_text(), or open it by studio.edit" if isinstance(given, PathLike) else ""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _without_duplicates(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    values = dict(pairs)
    if len(values) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice in one object")
    return values


def _library_depth(data: JsonValue) -> int:
    """Return how deep graph nodes are nested in values that may be no graph at all."""
    deepest = 0
    waiting: list[tuple[Any, int]] = [(data, 0)]
    while waiting:
        graph, depth = waiting.pop()
        for node in _object(_object(graph).get("nodes")).values():
            library = _object(node).get("library")
            if isinstance(library, dict):
                deepest = max(deepest, depth + 1)
                waiting.append((_object(library).get("graph"), depth + 1))
    return deepest


def _object(data: JsonValue) -> JsonObject:
    return cast(dict[str, Any], data) if isinstance(data, dict) else {}


Part = TypeVar("Part", dict[str, Any], list[Any])


def _expect(problems: Problems, data: JsonValue, key: str, default: Part) -> Part:
    found = _object(data).get(key, default) if isinstance(data, dict) else None
    if isinstance(found, type(default)):
        return found
    name = "an object" if isinstance(default, dict) else "an array"
    problems.add("bad_file", f"a graph is an object with nodes and edges, and {key} must be {name}")
    return default


def _read_nodes(data: JsonObject, problems: Problems) -> dict[str, BaseInvocation]:
    classes = registry()
    known: dict[str, NodeClass] = {}
    nodes: dict[str, BaseInvocation] = {}
    for node_id, values in data.items():
        inputs = dict(_object(values))
        type_name = inputs.pop("type", None)
        if not isinstance(type_name, str):
            problems.add("bad_file", 'a node is an object with a "type"', node_id)
            continue
        if inputs.setdefault("id", node_id) != node_id:
            problems.add("bad_file", f"is listed under this id, but says its id is {inputs['id']!r}", node_id)
            continue
        try:
            cls = known.get(type_name)  # asked once per type: a look into the registry may load packages
            if cls is None:
                cls = known[type_name] = classes[type_name]
            nodes[node_id] = cls.class_from_json(inputs)(**inputs)
        except UnknownNodeTypeError as error:
            problems.add("unknown_type", error.message, node_id)
        except GraphError as error:
            problems.found.extend(error.problems)
    return nodes


def _read_edges(data: list[JsonValue], problems: Problems) -> dict[str, list[Link]]:
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


def foreign_error(seems: str) -> GraphError:
    """Return the error for a file of another kind."""
    text = f"this is no graph of nbgraph, an object with nodes and edges; it seems to be {seems}"
    return GraphError([Problem("foreign_file", f"{text}. Give a file that graph.to_json() wrote")])


def foreign_text(text: str) -> str:
    """Return what a text that is not JSON seems to be, or ""."""
    start = text[:200].lstrip("\ufeff \t\r\n")
    for beginning, name in _STARTS:
        if start.startswith(beginning):
            return name
    return "generation parameters as A1111 writes them" if _PARAMETERS.search(text[:100_000]) else ""


def foreign_object(data: JsonObject) -> str:
    """Return what a JSON object seems to be; "" for one that has nodes in the form of a graph."""
    nodes = data.get("nodes")
    if isinstance(nodes, list):
        return _workflow(data, cast(list[Any], nodes))
    if "nodes" in data:
        return ""
    if _has_class_types(data):
        return "a ComfyUI API file (objects with class_type and inputs)"
    if _has_class_types(_object(data.get("prompt"))):
        return "a request to ComfyUI's API (prompt, with objects of class_type and inputs)"
    if isinstance(data.get("cells"), list) and "nbformat" in data:
        return "a Jupyter notebook"
    if "_class_name" in data:
        is_index = any(isinstance(value, list) and len(cast(list[Any], value)) == 2 for value in data.values())
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


def _workflow(data: JsonObject, nodes: list[JsonValue]) -> str:
    if "links" in data or "last_node_id" in data:
        return "a workflow of ComfyUI's editor (nodes and links)"
    if isinstance(data.get("edges"), list) and any("data" in _object(node) for node in nodes):
        return "a workflow of InvokeAI's editor"
    return "a graph of another program: its nodes are a list, not an object by id"


def _has_class_types(data: JsonObject) -> bool:
    return any("class_type" in value and "inputs" in value for value in map(_object, data.values()))
