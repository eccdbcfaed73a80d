"""The Python code that builds a graph: one assignment a node, edges written where they are used."""

import keyword
import re

from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.edges import Link
from nbgraph.services.shared.graph.order import topological_order
from nbgraph.services.shared.graph.validation import GraphLike


def graph_to_python(graph: GraphLike) -> str:
    """Code that gives an equal graph, named `graph`."""
    order, _ = topological_order({node_id: [link.source for link in graph.links(node_id)] for node_id in graph.nodes})
    names = _variable_names(order, {type(node).__name__ for node in graph.nodes.values()})
    imports: dict[str, set[str]] = {}
    lines = []
    for node_id in order:
        cls = type(graph.nodes[node_id])
        imports.setdefault(cls.__module__, set()).add(cls.__name__)
        lines.append(f"{names[node_id]} = {_call(graph.nodes[node_id], node_id, graph.links(node_id), names)}")
    heads = ["from nbgraph import Graph"]
    heads += [
        f"from {module} import {', '.join(sorted(found))}"
        for module, found in sorted(imports.items())
        if module != "__main__"
    ]
    ends = [names[node_id] for node_id in graph.nodes]
    return "\n".join([*heads, "", *lines, "", f"graph = Graph.of({', '.join(ends)})"]) + "\n"


def _call(node: BaseInvocation, node_id: str, links: list[Link], names: dict[str, str]) -> str:
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
    return f"{type(node).__name__}({', '.join(arguments)})"


def _variable_names(node_ids: list[str], classes: set[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    taken: set[str] = {"graph", "Graph", *classes}
    for node_id in node_ids:
        name = re.sub(r"\W", "_", node_id, flags=re.ASCII)
        if not name or name[0].isdigit() or keyword.iskeyword(name):
            name = f"node_{name}"
        while name in taken:
            name += "_"
        taken.add(name)
        names[node_id] = name
    return names
