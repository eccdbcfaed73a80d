"""Hand out prepared nodes in the order of the scheduler, and skip those that cannot or need not run."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from operator import length_hint
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from nbgraph.errors import IterationLimitError
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.services.shared.graph.inputs import Arrivals, Iterations
from nbgraph.services.shared.graph.plan import (
    BRANCHES,
    Key,
    Path,
    PathRun,
    Plan,
    PlannedChoice,
    PlannedInput,
    PlannedNode,
    Prepared,
    PreparedKeys,
    prepared_id,
    source_path,
)
from nbgraph.services.shared.graph.scheduler import Scheduler, Stretch

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


MOST_TOGETHER = 64


class Dispatcher:
    """What is claimed, what is passed over, and which prepared node is next.

    It takes the stretches of the schedule one after the other, and goes through the nodes of each. A stretch whose next
    node needs one that still runs is put aside. As long as nothing failed, is gated, or runs beside, nodes need no
    looking at; otherwise it is *careful*, and asks for a verdict on each.
    """

    def __init__(
        self,
        plan: Plan,
        keys: PreparedKeys,
        outputs: Mapping[Key, BaseInvocationOutput],
        seeds: dict[Key, dict[str, int]],
        failed: Collection[Key],
        limit: int,
    ) -> None:
        self.claimed: dict[Key, Stretch] = {}
        self.skipped: dict[str, str] = {}
        self.refused: IterationLimitError | None = None
        self._plan = plan
        self._keys = keys
        self._missing = set(failed)
        self._held: list[Prepared] = []
        self._aside: list[tuple[Stretch, int]] = []
        self._stretch: Stretch = (-1, ())
        self._left: Iterator[PlannedNode] = iter(())
        self._is_straight = False
        self._careful = bool(outputs or failed) or any(planned.gates for planned in plan.nodes)
        iterations = Iterations(plan, keys, outputs, limit)
        self._schedule = Scheduler(plan, iterations.length)
        self.arrivals = Arrivals(plan, keys, outputs, seeds, iterations, self._schedule.walk)
        self._readiness = Readiness(plan, keys, outputs, self._missing, self.claimed, iterations, self.arrivals)
        self._look_ahead()

    @property
    def running(self) -> int:
        """How many prepared nodes were handed out and are not done."""
        return len(self.claimed) - len(self._held) + self._is_straight

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to hand out, and nothing runs."""
        left = self.claimed or self._is_straight or length_hint(self._left)
        return not left and self.refused is None

    def next(self) -> Prepared | None:
        """Claim the next prepared node; None if there is none now.

        `IterationLimitError` if a list is too long, this time and each further one.
        """
        if self._held:
            return self._held.pop()
        if self.refused is not None:
            raise self.refused
        try:
            while True:
                planned = next(self._left, None)
                if planned is None:
                    if not self._take_stretch():
                        return None
                    continue
                prepared = self._keys.prepared(planned, self._stretch[1])
                if not (self._careful or self.claimed) or self._may_run(prepared):
                    self.claimed[prepared.key] = self._stretch
                    return prepared
        except IterationLimitError as error:
            self.refused = error
            raise

    def straight(self) -> Iterator[PathRun]:
        """The prepared nodes that come next, some at a time, without claims, up to one that needs looking at.

        Each is to have its output before the next is taken. If one fails or is released, no more are to be taken.
        """
        if self._careful or self.refused:
            return
        if len(self.claimed) == len(self._held) == 1 and self._stretch in self.claimed.values():
            self._is_straight = True
            self.claimed.clear()
            held = self._held.pop()
            yield held.path, (held.planned,)
        self._is_straight = not self.claimed
        try:
            while self._is_straight:
                yield self._stretch[1], islice(self._left, MOST_TOGETHER)
                self._is_straight = length_hint(self._left) > 0 or self._take_stretch()
        except IterationLimitError as error:
            self.refused, self._is_straight = error, False

    def done(self, key: Key) -> None:
        """A claimed node has its output; stretches that waited for it come before the one that is under way."""
        stretch = self.claimed.pop(key, None)
        if self._aside and stretch != self._stretch and length_hint(self._left):
            self._put_aside()
        if self._careful or not length_hint(self._left):
            self._look_ahead()

    def failed(self, key: Key) -> None:
        """A claimed node will have no output."""
        self._missing.add(key)
        self._careful = True
        self._leave_straight(key)
        self.done(key)

    def release(self, prepared: Prepared) -> None:
        """Take a claimed node back undone, and hand it out next."""
        self._leave_straight(prepared.key)
        if prepared.key in self.claimed and prepared not in self._held:
            self._held.append(prepared)

    def _leave_straight(self, key: Key) -> None:
        """Go on with claims, the node that runs being the first."""
        if self._is_straight:
            self.claimed[key] = self._stretch
            self._is_straight = False

    def expects(self, planned: PlannedNode) -> bool:
        """Whether more prepared nodes of a source node may be handed out; if not, there are none."""
        place = self._plan.segments[planned.segment].nodes.index(planned)
        begun = [*self._aside, (self._stretch, self._place)] if self._is_under_way else self._aside
        return (
            any(segment == planned.segment and reached <= place for (segment, _), reached in begun)
            or any(held.planned is planned for held in self._held)
            or self._schedule.has_more(planned.segment)
        )

    def _look_ahead(self) -> None:
        """If nothing runs, claim the next node already: only then is it known whether there is one."""
        if self.claimed:
            return
        with suppress(IterationLimitError):
            prepared = self.next()
            if prepared is not None:
                self._held.append(prepared)

    @property
    def _is_under_way(self) -> bool:
        """Whether a stretch was taken that is neither finished nor put aside."""
        return self._stretch[0] >= 0

    @property
    def _place(self) -> int:
        """How many nodes of the stretch under way were handed out or passed over."""
        return len(self._plan.segments[self._stretch[0]].nodes) - length_hint(self._left)

    def _may_run(self, prepared: Prepared) -> bool:
        """Whether to hand a node out; if not, go past it, or put its stretch aside until claimed nodes are done."""
        verdict, reason = self._readiness.verdict(prepared)
        if verdict == "wait":
            self._put_aside(self._place - 1)
        elif verdict != "run" and reason:
            self.skipped[prepared.id] = reason
            self._missing.add(prepared.key)
        return verdict == "run"

    def _put_aside(self, place: int | None = None) -> None:
        """Leave the stretch under way for later, to go on at a place: where it is, if none is given."""
        self._aside.append((self._stretch, self._place if place is None else place))
        self._leave()

    def _leave(self) -> None:
        self._stretch, self._left = (-1, ()), iter(())

    def _take_stretch(self) -> bool:
        """Finish the stretch that is at its end, unless some of it still runs, and go on with one that can."""
        if self._stretch[0] >= 0:
            if self.claimed and self._stretch in self.claimed.values():
                self._put_aside()
            else:
                self._schedule.finish(self._stretch)
        found, place = self._take_aside() if self._aside else (None, 0)
        if found is None:
            found = self._schedule.next()
            if found is None:
                self._leave()
                return False
        self._stretch = found
        nodes = self._plan.segments[found[0]].nodes
        self._left = iter(nodes[place:] if place else nodes)
        return True

    def _take_aside(self) -> tuple[Stretch | None, int]:
        """The first of the stretches put aside that need not wait any longer, and where it goes on."""
        for number, (stretch, place) in enumerate(self._aside):
            if self._can_go_on(stretch, place):
                return self._aside.pop(number)
        return None, 0

    def _can_go_on(self, stretch: Stretch, place: int) -> bool:
        nodes = self._plan.segments[stretch[0]].nodes
        if place == len(nodes):
            return stretch not in self.claimed.values()
        return self._readiness.verdict(self._keys.prepared(nodes[place], stretch[1]))[0] != "wait"
