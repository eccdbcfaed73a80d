"""A graph in other forms: read from and written to JSON, written as Python, exported to other programs, drawn."""

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from os import PathLike
from pprint import pformat
from textwrap import indent
from typing import Self

from nbgraph import invocations
from nbgraph.errors import GraphError
from nbgraph.invocations.base import BaseInvocation, as_ref
from nbgraph.invocations.inputs import InputSpec
from nbgraph.invocations.types import JsonObject, JsonValue
from nbgraph.services.shared.drawing.svg import GraphDrawing
from nbgraph.services.shared.graph.edges import GRAPH, GraphLike, Link
from nbgraph.services.shared.graph.graph_json import graph_from_dict, graph_from_json, graph_to_dict, graph_to_json
from nbgraph.services.shared.graph.nodes_and_edges import NodesAndEdges
from nbgraph.services.shared.graph.topology import parents_of, topological_order

WIDTH = 100
LINE = 80
"""What is longer is written over several lines."""
ClassId = tuple[str, str]
"""The module and the name of a class."""
Folder = str | PathLike[str]


class GraphFormats(NodesAndEdges):
    """The forms of a graph. `Graph` adds edits and checks."""

    def to_json(self, indent: int | None = None) -> str:
        """Return the graph as JSON: nodes by id, edges, and the layout if there is one.

        Parameters
        ----------
        indent
            Spaces of each level; None writes one line.
        """
        return graph_to_json(self, indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the graph in a JSON text.

        Parameters
        ----------
        text
            What `to_json` wrote, at most 64 MiB.

        Raises
        ------
        GraphError
            The text is none, or its graph is wrong; every reason is in `problems`. Open inputs are no reason.
        """
        return graph_from_json(cls, text)

    def to_dict(self) -> JsonObject:
        """Return the graph as JSON-able values, as `to_json` writes them."""
        return graph_to_dict(self)

    @classmethod
    def from_dict(cls, data: JsonValue) -> Self:
        """Return the graph in values read from JSON.

        Parameters
        ----------
        data
            What `to_dict` returned.

        Raises
        ------
        GraphError
            As `from_json`.
        """
        return graph_from_dict(cls, data)

    def to_python(self) -> str:
        """Return Python code that builds a graph of the same nodes and edges, without the id and the layout."""
        return graph_to_python(self)

    def to_diffusers(self, model_folders: Iterable[Folder] = (), device: str | None = None) -> str:
        """Return a script of diffusers, without nbgraph, that draws the same images and saves each as `<node>.png`.

        Parameters
        ----------
        model_folders
            Folders in which models are looked for, beside those of the settings.
        device
            The torch device of the script, such as `"cpu"`; None takes the one that a studio here would take.

        Raises
        ------
        GraphError
            The graph cannot run, or has no exact counterpart in diffusers; each node and field is named.
        """
        # by name: the export is of an upper layer, and loads diffusers
        return import_module("nbgraph.recipes.diffusers_script").local_script(self, model_folders, device)

    def to_comfy(self, model_folders: Iterable[Folder] = ()) -> str:
        """Return the graph in ComfyUI's API format, JSON; models keep the names of their files.

        Parameters
        ----------
        model_folders
            Folders in which models are looked for, beside those of the settings.

        Raises
        ------
        GraphError
            The graph cannot run, or has no exact counterpart in ComfyUI; each node and field is named.
        """
        return import_module("nbgraph.recipes.comfy_export").comfy_json(self, model_folders)

    def show(self) -> GraphDrawing:
        """Return a drawing, which shows itself in a notebook; `graph.show().svg` is its SVG text."""
        return GraphDrawing(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return self.show().mimebundle()


def graph_to_python(graph: GraphLike) -> str:
    """Return code that builds a graph of the same nodes and edges, named `graph`.

    An edge is written as people write it, `unet=model`, where that names the same output as
    `unet=model.output("unet")`. Library graphs used as nodes are written out in it. Classes of a notebook are expected
    to be there.
    """
    order, _ = topological_order(parents_of(graph))
    taken = {"graph", "Graph", "LibraryGraph"}
    classes = {_class_id(node) for node in graph.nodes.values() if node.type != GRAPH}
    # those of the notebook come first: they cannot be imported under another name
    class_names = {each: _free(each[1], taken) for each in sorted(classes, key=_notebook_first)}
    codes = {node_id: _library_code(graph.nodes[node_id]) for node_id in order if graph.nodes[node_id].type == GRAPH}
    libraries: dict[str, str] = {}
    for node_id, code in codes.items():
        if code not in libraries:
            libraries[code] = _free_name(type(graph.nodes[node_id]).__name__, "Graph", taken)
    names = {node_id: _free_name(node_id, "node_", taken) for node_id in order}
    lines: list[str] = []
    for node_id in order:
        node = graph.nodes[node_id]
        class_name = libraries[codes[node_id]] if node_id in codes else class_names[_class_id(node)]
        lines.append(f"{names[node_id]} = {_call(class_name, _arguments(graph, node_id, names))}")
    heads = [f"from nbgraph import Graph{', LibraryGraph' if libraries else ''}", *_import_lines(class_names)]
    makes = [f"\n{name} = {code}" for code, name in libraries.items()]
    ends = [names[node_id] for node_id in graph.nodes]
    return "\n".join([*heads, *makes, "", *lines, "", f"graph = {_call('Graph.of', ends)}"]) + "\n"


def _class_id(node: BaseInvocation) -> ClassId:
    cls = type(node)
    # The library's nodes are imported from one place, whichever file of it has them.
    if getattr(invocations, cls.__name__, None) is cls:
        return invocations.__name__, cls.__name__
    return cls.__module__, cls.__name__


def _call(called: str, arguments: Sequence[str]) -> str:
    """Return a call on one line, or with a line for each argument where it would be too long to read."""
    line = f"{called}({', '.join(arguments)})"
    return line if len(line) <= LINE else _over_lines(called, arguments)


def _over_lines(start: str, parts: Sequence[str]) -> str:
    return "\n".join([f"{start}(", *[f"    {part}," for part in parts], ")"])


def _notebook_first(class_id: ClassId) -> tuple[bool, ClassId]:
    return class_id[0] != "__main__", class_id


def _import_lines(class_names: Mapping[ClassId, str]) -> list[str]:
    by_module: dict[str, list[str]] = {}
    for (module, name), used in sorted(class_names.items()):
        by_module.setdefault(module, []).append(name if name == used else f"{name} as {used}")
    return [_import(module, names) for module, names in by_module.items() if module != "__main__"]


def _import(module: str, names: Sequence[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    return line if len(line) <= LINE else _over_lines(f"from {module} import ", names)


def _library_code(node: BaseInvocation) -> str:
    data = pformat(node.dump_extra()["library"], width=WIDTH, sort_dicts=False)
    return f"LibraryGraph.from_dict(\n{indent(data, '    ')}\n).node_class()"


def _arguments(graph: GraphLike, node_id: str, names: Mapping[str, str]) -> list[str]:
    node = graph.nodes[node_id]
    arguments = [f"id={node_id!r}"]
    by_field: dict[str, list[str]] = {}
    for link in graph.links(node_id):
        spec = node.inputs()[link.field]
        by_field.setdefault(link.field, []).append(_source(graph.nodes[link.source], link, spec, names))
    for name, spec in node.inputs().items():
        if name in by_field:
            found = by_field[name]
            arguments.append(f"{name}=[{', '.join(found)}]" if spec.many and len(found) > 1 else f"{name}={found[0]}")
        elif name in node.model_fields_set and name in node.literals():
            arguments.append(f"{name}={node.model_dump(mode='json', include={name}, warnings=False)[name]!r}")
    for name in ("is_intermediate", "use_cache"):
        if name in node.model_fields_set:
            arguments.append(f"{name}={getattr(node, name)!r}")
    return arguments


def _source(node: BaseInvocation, link: Link, spec: InputSpec, names: Mapping[str, str]) -> str:
    """Return the code of an edge's source: the node alone where the node means that output."""
    try:
        is_meant = as_ref(node, spec, link.source).field == link.output
    except GraphError:  # several outputs would fit
        is_meant = False
    return names[link.source] if is_meant else f"{names[link.source]}.output({link.output!r})"


def _free_name(text: str, prefix: str, taken: set[str]) -> str:
    """Return a name for a variable or class that is like `text` and free."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    if not name or name[0].isdigit() or keyword.iskeyword(name):
        name = f"{prefix}{name}"
    return _free(name, taken)


def _free(name: str, taken: set[str]) -> str:
    """Return a name that is not in `taken`, and add it there."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name
