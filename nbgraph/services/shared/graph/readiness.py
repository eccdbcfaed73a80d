"""Whether a prepared node may run now: gates, inputs that failed, and nodes that are still running."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.services.shared.graph.inputs import Arrivals, Iterations
from nbgraph.services.shared.graph.plan import (
    BRANCHES,
    Key,
    Path,
    Plan,
    PlannedChoice,
    PlannedInput,
    PlannedNode,
    Prepared,
    PreparedKeys,
    prepared_id,
    source_path,
)

Verdict = Literal["run", "done", "wait", "gated", "lost"]
TRUTH = TypeAdapter(bool)


class Readiness:
    """Judges prepared nodes by what has an output, what is missing one for good, and what is still claimed."""

    def __init__(
        self,
        plan: Plan,
        keys: PreparedKeys,
        outputs: Mapping[Key, BaseInvocationOutput],
        missing: Collection[Key],
        claimed: Collection[Key],
        iterations: Iterations,
        arrivals: Arrivals,
    ) -> None:
        self._plan = plan
        self._keys = keys
        self._outputs = outputs
        self._missing = missing
        self._claimed = claimed
        self._iterations = iterations
        self._arrivals = arrivals

    def verdict(self, prepared: Prepared) -> tuple[Verdict, str]:
        """What is to be done with a node, and why if it cannot run."""
        planned, path, key = prepared
        if key in self._outputs or key in self._missing:
            return "done", ""
        if self._claimed and any(needed in self._claimed for needed in self._needed(planned, path)):
            return "wait", ""
        if planned.gates and not any(self._is_open(gate, path) for gate in planned.gates):
            return "gated", "its branch was not taken"
        if (lost := self._lost(planned, path)) is not None:
            return "lost", f"{lost} gave nothing"
        return "run", ""

    def _needed(self, planned: PlannedNode, path: Path) -> Iterator[Key]:
        """What must have an output before a node can run; of an `if`, its condition and the branch that is taken."""
        for gate in planned.gates:
            yield from (self._keys.source(c.condition, path) for c in gate if isinstance(c.condition, PlannedInput))
        unused = self._unused_branches(planned, path) if planned.kind.is_if else ()
        for field, key in self._arrivals.sources(planned, path):
            if field not in unused:
                yield key

    def _lost(self, planned: PlannedNode, path: Path) -> str | None:
        """The prepared node whose failure keeps this one from running."""
        unused = self._unused_branches(planned, path) if planned.kind.is_if else ()
        for field, key in self._arrivals.sources(planned, path):
            if key in self._missing and field not in unused:
                rank, at = self._keys.place(key)
                return prepared_id(self._plan.nodes[rank].id, at)
        return self._lost_list(planned, path) if planned.kind.collects else None

    def _lost_list(self, planned: PlannedNode, path: Path) -> str | None:
        """The list that was never made among those a collect gathers over."""
        if not self._iterations.lost:
            return None
        ours = dict(zip(planned.axes, path))
        gathered = {axis for edge in planned.inputs for axis in self._plan.nodes[edge.parent].axes}
        for axis, outer in sorted(self._iterations.lost):
            source = self._plan.axes[axis].source
            around = zip(self._plan.axes[axis].outer, outer)
            if axis in gathered and source is not None and all(ours.get(each, at) == at for each, at in around):
                return prepared_id(self._plan.nodes[source.parent].id, source_path(source, outer))
        return None

    def _unused_branches(self, planned: PlannedNode, path: Path) -> list[str]:
        """The branches an `if` does not take; both, if its condition is neither true nor false."""
        edge = next((edge for edge in planned.inputs if edge.field == "condition"), None)
        taken = self._truth(planned.values["condition"] if edge is None else edge, path)
        return [field for field, branch in BRANCHES.items() if branch is not taken]

    def _is_open(self, gate: Sequence[PlannedChoice], path: Path) -> bool:
        return all(self._truth(choice.condition, path) is choice.branch for choice in gate)

    def _truth(self, condition: Any, path: Path) -> bool | None:
        """What an `if` makes of its condition; None if it is not known or neither true nor false."""
        if isinstance(condition, PlannedInput):
            output = self._outputs.get(self._keys.source(condition, path))
            condition = None if output is None else output.__dict__[condition.output]
        try:
            return TRUTH.validate_python(condition)
        except ValidationError:
            return None
