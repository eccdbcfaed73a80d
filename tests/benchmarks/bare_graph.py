"""What a built chain of nodes must at least hold, and nothing done beside: how memory alone makes building grow."""

from typing import Any

from nbgraph.invocations import Add
from nbgraph.invocations.base import BaseInvocation, Ref
from nbgraph.invocations.valid import make_valid
from nbgraph.services.shared.graph.edges import Link

NAMES = {"a", "b"}


def bare_chain(size: int) -> tuple[dict[str, BaseInvocation], dict[str, list[Link]], dict[BaseInvocation, str]]:
    """So many sums, each of the one before: the nodes by id, the edges that arrive at each, and the ids by node."""
    defaults: dict[str, Any] = {"id": None, "is_intermediate": False, "use_cache": None, "a": 1, "b": 1}
    made: list[BaseInvocation] = [make_valid(Add, dict(defaults), NAMES)]
    for _ in range(size - 1):
        made.append(make_valid(Add, defaults | {"a": Ref(made[-1], "value")}, NAMES))
    nodes: dict[str, BaseInvocation] = {}
    links: dict[str, list[Link]] = {}
    homes: dict[BaseInvocation, str] = {}
    for number, node in enumerate(made):
        name = vars(node)["id"] = f"add_{number}"
        nodes[name], homes[node] = node, name
        if number:
            links[name] = [Link("a", homes[made[number - 1]], "value")]
    return nodes, links, homes
