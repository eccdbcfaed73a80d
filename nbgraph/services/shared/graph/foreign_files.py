"""Say what a file that holds no graph of nbgraph seems to be, by what other tools write into theirs."""

import re
from typing import Any

from nbgraph.errors import GraphError, Problem

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
