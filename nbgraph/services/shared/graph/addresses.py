"""Addresses of inputs, as people write them (`noise.seed`, `outer.noise.seed`), and the values typed into nodes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbgraph.errors import GraphError, Problem, Problems, suggest
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.inputs import REQUIRED
from nbgraph.invocations.types import NodeValue
from nbgraph.services.shared.graph.edges import GRAPH
from nbgraph.texts import value_text

if TYPE_CHECKING:
    from nbgraph.services.shared.graph.library import GraphInvocation


def by_node(
    nodes: Mapping[str, BaseInvocation], values: Mapping[str, NodeValue], problems: Problems
) -> dict[str, dict[str, NodeValue]]:
    """Group values given by address under their node and field; an address of no input is added to `problems`."""
    found: dict[str, dict[str, Any]] = {}
    if not isinstance(values, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        text = f'values are a dict by address, such as {{"noise.seed": 8}}, not {value_text(values)}'
        problems.add("bad_value", text)
        return found
    for address, value in values.items():
        node_id, field = split_address(nodes, address) if isinstance(address, str) else ("", "")  # pyright: ignore[reportUnnecessaryIsInstance]
        if node_id in nodes:
            found.setdefault(node_id, {})[field] = value
        else:
            problems.found.append(_address_problem(nodes, address))
    return found


def _address_problem(nodes: Mapping[str, BaseInvocation], address: object) -> Problem:
    if not isinstance(address, str):
        text = f'an address is a text, "node.field", as in "noise.seed", not {value_text(address)}'
        return Problem("unknown_node", text)
    if address in nodes:
        inputs = ", ".join(nodes[address].inputs()) or "none"
        text = f"is a node, and an address names one of its inputs, {address}.<input> (inputs: {inputs})"
        return Problem("unknown_field", text, address)
    known = address.rpartition(".")[0] or address
    text = f'no node {known!r} for the address {address!r}{suggest(known, nodes)}; write "node.field"'
    return Problem("unknown_node", text)


def split_address(nodes: Mapping[str, BaseInvocation], address: str) -> tuple[str, str]:
    """Return the node and the field of an address; of a node inside a graph node, the graph node and the rest."""
    # ids may have dots: the longest node that fits is meant, and a shorter one only if it is a graph with an inside
    node_id, _, field = address.rpartition(".")
    outer = node_id
    while outer not in nodes and "." in outer:
        outer = outer.rpartition(".")[0]
    if outer in nodes and (outer == node_id or nodes[outer].type == GRAPH):
        return outer, address[len(outer) + 1 :]
    return node_id, field


def with_inner_values(node_id: str, graph_node: "GraphInvocation", values: Mapping[str, NodeValue]) -> BaseInvocation:
    """Return a graph node in which inner inputs have other values; a `GraphError` names inner nodes from outside."""
    try:
        return graph_node.with_inner_values(values)
    except GraphError as error:
        raise GraphError([replace(each, node=f"{node_id}.{each.node}") for each in error.problems]) from None


def without_link(node: BaseInvocation, field: str) -> BaseInvocation:
    """Return a copy of a node in which an input has its default instead of edges."""
    spec = node.inputs()[field]
    copy = node.model_copy()
    vars(copy)[field] = REQUIRED if spec.required else spec.default
    copy.__pydantic_fields_set__.discard(field)  # it counts as not given, so files leave it out
    return copy


def typed_values(node: BaseInvocation) -> dict[str, NodeValue]:
    """Return the values that were given to a node: inputs without edges, and the fields that every node has."""
    values = {name: value for name, value in node.literals().items() if name in node.model_fields_set}
    for name in ("is_intermediate", "use_cache"):
        if name in node.model_fields_set:
            values[name] = getattr(node, name)
    return values
