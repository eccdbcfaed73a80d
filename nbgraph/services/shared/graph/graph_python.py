"""The Python code that builds a graph: one assignment a node, edges written where they are used."""

import keyword
import re
from collections.abc import Mapping
from pprint import pformat
from textwrap import indent

from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.edges import GraphLike, Link
from nbgraph.services.shared.graph.expand import GRAPH
from nbgraph.services.shared.graph.topology import parents_of, topological_order

LIBRARY = ("nbgraph.services.shared.graph.library", "LibraryGraph")
WIDTH = 100


def graph_to_python(graph: GraphLike) -> str:
    """Code that gives an equal graph, named `graph`; library graphs that are nodes in it stand there as they are."""
    order, _ = topological_order(parents_of(graph))
    imports = {(type(node).__module__, type(node).__name__) for node in graph.nodes.values() if node.type != GRAPH}
    taken = {"graph", "Graph", LIBRARY[1], *(name for _, name in imports)}
    codes = {node_id: _library_code(graph.nodes[node_id]) for node_id in order if graph.nodes[node_id].type == GRAPH}
    libraries: dict[str, str] = {}
    for node_id, code in codes.items():
        if code not in libraries:
            libraries[code] = _free_name(type(graph.nodes[node_id]).__name__, "Graph", taken)
    names = {node_id: _free_name(node_id, "node_", taken) for node_id in order}
    lines = []
    for node_id in order:
        node = graph.nodes[node_id]
        class_name = libraries[codes[node_id]] if node_id in codes else type(node).__name__
        lines.append(f"{names[node_id]} = {class_name}({_arguments(node, node_id, graph.links(node_id), names)})")
    heads = ["from nbgraph import Graph", *_import_lines(imports | ({LIBRARY} if libraries else set()))]
    makes = [f"\n{name} = {code}" for code, name in libraries.items()]
    ends = [names[node_id] for node_id in graph.nodes]
    return "\n".join([*heads, *makes, "", *lines, "", f"graph = Graph.of({', '.join(ends)})"]) + "\n"


def _import_lines(classes: set[tuple[str, str]]) -> list[str]:
    by_module: dict[str, list[str]] = {}
    for module, name in sorted(classes):
        by_module.setdefault(module, []).append(name)
    return [f"from {module} import {', '.join(names)}" for module, names in by_module.items() if module != "__main__"]


def _library_code(node: BaseInvocation) -> str:
    data = pformat(node.dump_extra()["library"], width=WIDTH, sort_dicts=False)
    return f"{LIBRARY[1]}.from_dict(\n{indent(data, '    ')}\n).node_class()"


def _arguments(node: BaseInvocation, node_id: str, links: list[Link], names: Mapping[str, str]) -> str:
    arguments = [f"id={node_id!r}"]
    by_field: dict[str, list[str]] = {}
    for link in links:
        by_field.setdefault(link.field, []).append(f"{names[link.source]}.output({link.output!r})")
    for name, spec in node.inputs().items():
        if name in by_field:
            found = by_field[name]
            arguments.append(f"{name}=[{', '.join(found)}]" if spec.many and len(found) > 1 else f"{name}={found[0]}")
        elif name in node.model_fields_set and name in node.literals():
            arguments.append(f"{name}={node.model_dump(mode='json', include={name}, warnings=False)[name]!r}")
    for name in ("is_intermediate", "use_cache"):
        if name in node.model_fields_set:
            arguments.append(f"{name}={getattr(node, name)!r}")
    return ", ".join(arguments)


def _free_name(text: str, prefix: str, taken: set[str]) -> str:
    """A name of a variable or class that is like the text, and not taken before; it is taken then."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    if not name or name[0].isdigit() or keyword.iskeyword(name):
        name = f"{prefix}{name}"
    while name in taken:
        name += "_"
    taken.add(name)
    return name
