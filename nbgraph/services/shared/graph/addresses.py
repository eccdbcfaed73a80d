"""Addresses of inputs, as people write them (`noise.seed`, `outer.noise.seed`), and the values typed into nodes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nbgraph.errors import GraphError, Problem, Problems, suggest
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.inputs import REQUIRED
from nbgraph.services.shared.graph.expand import GRAPH


def by_node(nodes: Mapping[str, BaseInvocation], values: Mapping[str, Any], problems: Problems) -> dict[str, dict]:
    """Values given by address, by the node they are for and its field; addresses of no input are problems."""
    found: dict[str, dict[str, Any]] = {}
    if not isinstance(values, Mapping):
        text = f'values are a dict by address, such as {{"noise.seed": 8}}, not {repr(values)[:80]}'
        problems.add("bad_value", text)
        return found
    for address, value in values.items():
        node_id, field = split_address(nodes, address) if isinstance(address, str) else ("", "")
        if node_id in nodes:
            found.setdefault(node_id, {})[field] = value
        else:
            problems.found.append(_no_input(nodes, address))
    return found


def _no_input(nodes: Mapping[str, BaseInvocation], address: Any) -> Problem:
    """What is wrong with the address of no input: it is no text, or names a node alone, or no node."""
    if not isinstance(address, str):
        given = repr(address)[:80]
        return Problem("unknown_node", f'an address is a text, "node.field", as in "noise.seed", not {given}')
    if address in nodes:
        inputs = ", ".join(nodes[address].inputs()) or "none"
        text = f"is a node, and an address names one of its inputs, {address}.<input> (inputs: {inputs})"
        return Problem("unknown_field", text, address)
    known = address.rpartition(".")[0] or address
    text = f'no node {known!r} for the address {address!r}{suggest(known, nodes)}; write "node.field"'
    return Problem("unknown_node", text)


def split_address(nodes: Mapping[str, BaseInvocation], address: str) -> tuple[str, str]:
    """The node and the field of an address; of a node inside a graph node, the graph node and the rest."""
    node_id, _, field = address.rpartition(".")
    outer = node_id
    while outer not in nodes and "." in outer:
        outer = outer.rpartition(".")[0]
    if outer in nodes and (outer == node_id or nodes[outer].type == GRAPH):
        return outer, address[len(outer) + 1 :]
    return node_id, field


def with_inner_values(node_id: str, graph_node: Any, values: Mapping[str, Any]) -> BaseInvocation:
    """A graph node in which inner inputs have other values; a `GraphError` names inner nodes as seen from outside."""
    try:
        return graph_node.with_inner_values(values)
    except GraphError as error:
        raise GraphError([replace(each, node=f"{node_id}.{each.node}") for each in error.problems]) from None


def without_link(node: BaseInvocation, field: str) -> BaseInvocation:
    """A copy of a node in which an input holds no edges, but its default."""
    spec = node.inputs()[field]
    copy = node.model_copy()
    vars(copy)[field] = REQUIRED if spec.required else spec.default
    copy.__pydantic_fields_set__.discard(field)
    return copy


def typed_values(node: BaseInvocation) -> dict[str, Any]:
    """The values a person typed into a node: inputs that differ from nothing said, and the common fields."""
    values = {name: value for name, value in node.literals().items() if name in node.model_fields_set}
    for name in ("is_intermediate", "use_cache"):
        if name in node.model_fields_set:
            values[name] = getattr(node, name)
    return values
