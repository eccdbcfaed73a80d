"""A graph as one line of the link grammar that shell and magics share: `integer --value 2 | add --link -1 value a`."""

import json
import shlex
from typing import Any

from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.order import topological_order
from nbgraph.widgets.graph_state import typed_state


def link_line(graph: Graph) -> str:
    """Each node after what it needs; `--link -2 value a` means: output `value` of the node two before, to input `a`."""
    order, _ = topological_order({node_id: [link.source for link in graph.links(node_id)] for node_id in graph.nodes})
    place = {node_id: number for number, node_id in enumerate(order)}
    return " | ".join(_command(graph, node_id, place) for node_id in order)


def _command(graph: Graph, node_id: str, place: dict[str, int]) -> str:
    node, links = graph.nodes[node_id], graph.links(node_id)
    linked = {link.field for link in links}
    words = [node.type]
    for (kind, _, name), value in typed_state(node_id, node).items():
        if kind == "input" and name not in linked and value["value"] is not None:
            words += [f"--{name}", _word(value["value"])]
    for link in links:
        words += ["--link", str(place[link.source] - place[node_id]), link.output, link.field]
    return " ".join(words)


def _word(value: Any) -> str:
    return shlex.quote(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
