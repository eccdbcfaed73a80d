"""Graphs written as lines that build them again: a line for each node, with its id, typed values and links."""

import re

from nbgraph.grammar.catalogue import Catalogue
from nbgraph.grammar.lexer import quote
from nbgraph.grammar.values import format_value, takes_text
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.topology import topological_order

COMMON = ("is_intermediate", "use_cache")
RELATIVE = re.compile(r"-\d+")


def graph_lines(graph: Graph, catalogue: Catalogue) -> list[str]:
    """Return lines that build an equal graph, each node after its sources."""
    order, _ = topological_order({node_id: [link.source for link in graph.links(node_id)] for node_id in graph.nodes})
    return [node_line(graph, node_id, catalogue) for node_id in order]


def node_line(graph: Graph, node_id: str, catalogue: Catalogue) -> str:
    """Return one node as a stage: `mul --id 2 --a 3 --link 1 value b`."""
    node = graph.nodes[node_id]
    name = catalogue.name_of(node)
    parts = [quote(name, always=name in catalogue.commands), "--id", _id(node_id)]
    links = graph.links(node_id)
    linked = {link.field for link in links}
    parts += [part for field in typed_fields(node) if field not in linked for part in _option(node, field)]
    parts += [part for link in links for part in ("--link", _id(link.source), quote(link.output), quote(link.field))]
    return " ".join(parts)


def typed_fields(node: BaseInvocation) -> list[str]:
    """Return the inputs that were given other values than their defaults, and the common fields that were set."""
    literals, specs = node.literals(), node.inputs()
    fields = [
        name
        for name, value in literals.items()
        if name in node.model_fields_set and (specs[name].required or value != specs[name].default)
    ]
    return fields + [name for name in COMMON if name in node.model_fields_set]


def _option(node: BaseInvocation, field: str) -> list[str]:
    value, annotation = getattr(node, field), type(node).model_fields[field].annotation
    # As a word, `null` would be read as the text "null".
    if value is None and takes_text(annotation):
        return [f"--no-{field}"]
    text = format_value(annotation, value)
    return [f"--{field}={text}"] if text.startswith("-") else [f"--{field}", text]


def _id(node_id: str) -> str:
    # An id such as "-2" would be read as the node two before.
    return quote(node_id, always=bool(RELATIVE.fullmatch(node_id)))
