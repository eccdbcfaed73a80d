"""How a session grows: what has run must stay as it is, and is found again in the plan of the larger graph."""

from collections.abc import Iterable

from nbgraph.errors import Problems, suggest
from nbgraph.services.shared.graph.graph_json import node_to_dict
from nbgraph.services.shared.graph.plan import Path, Plan
from nbgraph.services.shared.graph.validation import GraphLike


def refuse_changes(before: GraphLike, after: GraphLike, finished: Iterable[str]) -> None:
    """Raise `GraphError` naming every input that differs among the nodes that have run."""
    problems = Problems()
    for node_id in finished:
        if node_id not in after.nodes:
            text = f"has run already and must stay in the graph{suggest(node_id, after.nodes)}"
            problems.add("already_ran", text, node_id)
            continue
        for field in _changed_inputs(before, after, node_id):
            text = "has run already, so this input cannot change; add another node, or start a new session"
            problems.add("already_ran", text, node_id, field)
    problems.raise_any()


def _changed_inputs(before: GraphLike, after: GraphLike, node_id: str) -> list[str]:
    old, new = before.nodes[node_id], after.nodes[node_id]
    if old.type != new.type:
        return ["type"]
    changed = {link.field for link in set(before.links(node_id)) ^ set(after.links(node_id))}
    if old is not new:
        values = node_to_dict(old, node_id, before.links(node_id)), node_to_dict(new, node_id, after.links(node_id))
        names = {*values[0], *values[1]}
        changed |= {name for name in names if values[0].get(name) != values[1].get(name)}
    return sorted(changed)


def place_after(rank: int, path: Path, before: Plan, after: Plan) -> tuple[int, Path]:
    """The rank and path in a new plan of a node in the old one; its axes may count in another order there."""
    planned = before.nodes[rank]
    again = after.nodes[after.ranks[planned.id]]
    index_of = {before.nodes[before.axes[axis].rank].id: index for axis, index in zip(planned.axes, path)}
    return again.rank, tuple([index_of[after.nodes[after.axes[axis].rank].id] for axis in again.axes])
