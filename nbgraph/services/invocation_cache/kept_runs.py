"""Runs whose results are all cached, kept so that an unchanged graph is answered without making its keys again.

**Policy.** The key of a result follows from the code of its node, the values typed there, and the inputs over edges,
which follow from other keys. So if code and values are those of an earlier run of the same plan, all keys are, and it
is enough that each result is still cached: the very object of that run. A run is kept if nothing else decided it: each
node had a cache key, or only collects or iterates; no seed was drawn, no branch chosen, and nothing names an image,
tensors or a model, which may be deleted or changed without the graph.

**State.** A kept run has the values of its nodes: the objects, and as text the content of lists, dicts and the like,
which may be changed in place. A plan is kept while nothing of its graph changes (see `shared/graph/compiled_graph.py`);
the run of a plan is dropped with it.

**Example.** `total = Add(a=first, b=2)` runs twice. The second time plan, code and values are the same, and the cache
still has the outputs of both nodes, so these are the results. After `cache.forget("first", downstream=False)` that of
`first` is missing: the session runs node by node. Should `first` then give something else, whose key with `total` is
known too, the outputs are other objects than in the kept run, which is no answer any more.

(Measured: with it a cached chain, fan-out and map take 1.0 to 1.3 F a node, without it 2.2 to 3.2.)
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import attrgetter, is_
from typing import cast
from weakref import WeakKeyDictionary

from nbgraph.invocations.base import Ref, is_link
from nbgraph.invocations.fields import ResourceField, models_in, resources_in
from nbgraph.invocations.inputs import REQUIRED
from nbgraph.invocations.node_output import BaseInvocationOutput
from nbgraph.invocations.node_type import KeyHead, NodeType
from nbgraph.services.invocation_cache.contents import Contents
from nbgraph.services.invocation_stats.invocation_stats_common import Measured
from nbgraph.services.shared.defensive_copy import SMALL
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.plan import Key, Plan, PreparedKeys

Heads = Mapping[NodeType, KeyHead]
Origins = Mapping[Key, tuple[bytes, ...]]
PUT_TOGETHER = frozenset({"iterate", "collect"})
"""The types of nodes whose results have no key, and follow from what arrives."""

_FIXED = SMALL | {Ref, type(REQUIRED)}
_values_of = attrgetter("values")


class KeptRun:
    """A completed run of a plan.

    Parameters
    ----------
    session
        The session, completed.
    heads
        The beginning of the keys of each node type, at the time of the run.
    origins
        The cache keys of each result.
    rows
        A stats row for each result, in the order of the results.
    """

    def __init__(self, session: GraphExecutionState, heads: Heads, origins: Origins, rows: Sequence[Measured]) -> None:
        self.outputs: Mapping[Key, BaseInvocationOutput] = session.outputs
        self.keys: PreparedKeys = session.keys
        self.rows = rows
        self._heads, self._limit = dict(heads), session.max_iterations
        keyed = [key for key, row in zip(session.outputs, rows) if row.type not in PUT_TOGETHER]
        # lists, not the dictionary they come from: a node takes a tenth of a kilobyte less
        self.cached = [origins[key][0] for key in keyed], [session.outputs[key] for key in keyed]
        """The keys of all results that have one, and these results."""
        self._values = _values(session.plan)
        self._texts = _texts(self._values)

    def is_answer(self, session: GraphExecutionState, heads: Heads) -> bool:
        """Return whether a session of the same plan would have these results, as far as they are still cached."""
        # with a lower limit of iterations, a list that ran then may be too long now
        if self._texts is None or session.max_iterations < self._limit or self._heads != heads:
            return False
        if session.outputs or session.errors or session.cancelled:  # it has begun, or is not to begin
            return False
        values = _values(session.plan)
        return all(map(is_, values, self._values)) and _texts(values) == self._texts


class KeptRuns:
    """The last run of each plan, as long as the plan is alive."""

    def __init__(self) -> None:
        self._runs: WeakKeyDictionary[Plan, KeptRun] = WeakKeyDictionary()

    def get(self, plan: Plan) -> KeptRun | None:
        """Return the run that is kept for a plan."""
        return self._runs.get(plan)

    def keep(self, session: GraphExecutionState, heads: Heads, origins: Origins, rows: Sequence[Measured]) -> None:
        """Keep a run if all its results follow from code, values and each other; parameters as for `KeptRun`."""
        is_whole = session.status == "completed" and len(rows) == len(session.outputs)
        if is_whole and not (session.seeds or session.skipped) and _is_closed(session.plan, heads):
            self._runs[session.plan] = KeptRun(session, heads, origins, rows)

    def clear(self) -> None:
        """Forget all runs."""
        self._runs.clear()


def _is_closed(plan: Plan, heads: Heads) -> bool:
    """Return whether each node has a cache key, or only puts together what others gave, and no type names resources."""
    for node_type in plan.node_types.values():
        if node_type not in heads or node_type.is_if or node_type.seeds:
            return False
        if node_type.is_foreign if node_type.name in PUT_TOGETHER else node_type.names_resources:
            return False
    choices = {(planned.node_type, planned.values["use_cache"]) for planned in plan.nodes}
    return all(heads[each].keeps(choice) != (each.name in PUT_TOGETHER) for each, choice in choices)


def _values(plan: Plan) -> list[object]:
    """Return all values of all nodes, one after the other."""
    return list(chain.from_iterable(map(dict[str, object].values, map(_values_of, plan.nodes))))


def _texts(values: list[object]) -> list[str] | None:
    """Return the content of the values that may be changed in place; None if one has none, or names a stored resource.

    Edges are skipped: they are a part of the plan.
    """
    if _FIXED.issuperset(map(type, values)):
        return []
    larger = [value for value in values if type(value) not in _FIXED and not is_link(value)]
    # numbers and texts, of which lists may be long, name nothing
    nested = [value for value in larger if not _is_list_of_small(value)]
    if any(map(resources_in, nested)) or any(map(models_in, nested)):
        return None
    contents = Contents(_no_content)
    try:
        return [contents.text(value) for value in larger]
    except TypeError:
        return None


def _is_list_of_small(value: object) -> bool:
    return type(value) is list and SMALL.issuperset(map(type, cast(list[object], value)))


def _no_content(field: ResourceField) -> str:
    raise TypeError(f"{field.resource_name} is stored, and may be deleted")
