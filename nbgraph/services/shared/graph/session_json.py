"""The results of a session apart from its plan: as JSON and back, and carried over to an extended graph.

In a file, results are stored by source node and path; in memory, under keys that are those of one plan only.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from nbgraph.errors import GraphError, Problem, Problems, suggest
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.types import JsonValue
from nbgraph.services.shared.graph.edges import GraphLike
from nbgraph.services.shared.graph.graph_json import node_to_dict
from nbgraph.services.shared.graph.plan import Key, Path, Plan, PreparedKeys, prepared_id
from nbgraph.services.shared.graph.validation import output_types

Kept = TypeVar("Kept")
Row = tuple[str, Path, Any]
"""A source node, a path, and what is stored for the node there."""


class SavedSession(BaseModel):
    """A session as a file has it."""

    id: str
    graph: Any
    targets: list[str] | None = None
    on_error: Literal["stop", "continue"] = "stop"
    strict: bool = False
    max_iterations: int
    cancelled: bool = False
    outputs: list[Row] = []
    seeds: list[tuple[str, Path, dict[str, int]]] = []
    errors: dict[str, str] = {}
    failed: list[Row] = []


def read_session(data: JsonValue) -> SavedSession:
    """Return the parts of a session read from JSON; raises `GraphError` if they are not those of one."""
    try:
        return SavedSession.model_validate(data)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        text = f"this is not a saved session: {place}: {error.errors()[0]['msg']}"
        raise GraphError([Problem("bad_file", text)]) from None


def rows(plan: Plan, keys: PreparedKeys, by_key: Mapping[Key, Kept]) -> list[tuple[str, Path, Kept]]:
    """Return what is stored by key, by node and path."""
    places = [(*keys.place(key), value) for key, value in by_key.items()]
    return [(plan.nodes[rank].id, path, value) for rank, path, value in places]


def by_key(plan: Plan, keys: PreparedKeys, found: Sequence[tuple[str, Path, Kept]]) -> dict[Key, Kept]:
    """Return the reverse of `rows`; raises `GraphError` for nodes and paths that are not in the plan."""
    problems = Problems()
    kept: dict[Key, Kept] = {}
    for node, path, value in found:
        rank = plan.ranks.get(node)
        if rank is None or len(path) != len(plan.nodes[rank].axes):
            problems.add("bad_file", "the saved session has results of it, and its graph has no such node", node)
        else:
            kept[keys.begin(path) + rank] = value
    problems.raise_any()
    return kept


def dump_outputs(plan: Plan, keys: PreparedKeys, outputs: Mapping[Key, BaseInvocationOutput]) -> list[Row]:
    """Return outputs as JSON-able rows; raises `GraphError` with those that cannot be saved."""
    problems = Problems()
    dumped: list[Row] = []
    for node, path, output in rows(plan, keys, outputs):
        try:
            dumped.append((node, path, output.model_dump(mode="json")))
        except PydanticSerializationError as error:
            problems.add("not_json", f"has an output that cannot be saved as JSON: {error}", prepared_id(node, path))
    problems.raise_any()
    return dumped


def load_outputs(
    plan: Plan, keys: PreparedKeys, graph: GraphLike, found: Sequence[Row]
) -> dict[Key, BaseInvocationOutput]:
    """Return outputs from rows, validated by the output class of each node, and by what arrives where types vary.

    Raises `GraphError` with all outputs that are not valid.
    """
    # outputs such as the item of an iterate are annotated with Any; what arrives says what to validate them as
    types = output_types(graph, [planned.id for planned in plan.nodes])
    problems = Problems()
    loaded: dict[Key, BaseInvocationOutput] = {}
    for key, values in by_key(plan, keys, found).items():
        rank, path = keys.place(key)
        planned = plan.nodes[rank]
        try:
            exact = {
                name: TypeAdapter[Any](annotation).validate_python(values[name])
                for name, annotation in types.get(planned.id, {}).items()
            }
            loaded[key] = planned.node.output_class.model_validate({**values, **exact})
        except (ValidationError, KeyError, TypeError) as error:
            problems.add("bad_file", f"the saved output is not valid: {error}", prepared_id(planned.id, path))
    problems.raise_any()
    return loaded


def refuse_changes(before: GraphLike, after: GraphLike, finished: Iterable[str]) -> None:
    """Raise `GraphError` with every input that differs among the nodes that have run."""
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
    # compared as files have them: a node that was read again is another object
    changed = {link.field for link in set(before.links(node_id)) ^ set(after.links(node_id))}
    if old is not new:
        values = node_to_dict(old, node_id, before.links(node_id)), node_to_dict(new, node_id, after.links(node_id))
        names = {*values[0], *values[1]}
        changed |= {name for name in names if values[0].get(name) != values[1].get(name)}
    return sorted(changed)


def place_after(rank: int, path: Path, before: Plan, after: Plan) -> tuple[int, Path]:
    """Return the rank and path in a new plan of a prepared node of the old one, whose axes may have another order."""
    planned = before.nodes[rank]
    again = after.nodes[after.ranks[planned.id]]
    index_of = {before.nodes[before.axes[axis].rank].id: index for axis, index in zip(planned.axes, path)}
    return again.rank, tuple([index_of[after.nodes[after.axes[axis].rank].id] for axis in again.axes])
