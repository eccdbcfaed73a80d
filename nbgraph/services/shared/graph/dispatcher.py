"""Hand out prepared nodes in the order of the scheduler, and skip those that cannot or need not run.

**Policy.** A prepared node runs once all that it needs has an output. It is skipped if its branch was not taken, or if
something it needs failed or was skipped. A node that needs one that is still running is suspended with the rest of its
block, and the next block continues.

**State.** `claimed` are the nodes handed out and not done, each with its block; `skipped` has the reason why a node
will not run; `_suspended` are blocks with the place where they continue. As soon as nothing runs the next block is
taken, because only that tells whether the session is complete. A node that was claimed to find that out, or that was
given back, waits in `_buffered`.

**Fast path.** As long as nothing failed, no node is conditional and nothing runs beside, every node of a block can run
when it is its turn, and none is examined. Otherwise `_slow_path` is set, and each gets a verdict.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from nbgraph.errors import IterationLimitError
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.types import NodeValue
from nbgraph.services.shared.graph.inputs import Inputs, Iterations
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
from nbgraph.services.shared.graph.scheduler import Block, Scheduler

Verdict = Literal["run", "done", "wait", "not taken", "missing"]
TRUTH = TypeAdapter(bool)

NO_BLOCK: Block = (-1, ())


class Readiness:
    """Decide about prepared nodes by the outputs there are, those that will never come, and the claimed nodes."""

    def __init__(
        self,
        plan: Plan,
        keys: PreparedKeys,
        outputs: Mapping[Key, BaseInvocationOutput],
        missing: Collection[Key],
        claimed: Collection[Key],
        iterations: Iterations,
        inputs: Inputs,
    ) -> None:
        self._plan = plan
        self._keys = keys
        self._outputs = outputs
        self._missing = missing
        self._claimed = claimed
        self._iterations = iterations
        self._inputs = inputs

    def verdict(self, prepared: Prepared) -> tuple[Verdict, str]:
        """Return what to do with a node, and the reason if it cannot run."""
        planned, path, key = prepared.planned, prepared.path, prepared.key
        if key in self._outputs or key in self._missing:
            return "done", ""
        if self._claimed and any(needed in self._claimed for needed in self._needed(planned, path)):
            return "wait", ""
        if planned.branches and not any(self._holds(choices, path) for choices in planned.branches):
            return "not taken", "its branch was not taken"
        if (missing := self._missing_source(planned, path)) is not None:
            return "missing", f"{missing} gave nothing"
        return "run", ""

    def _needed(self, planned: PlannedNode, path: Path) -> Iterator[Key]:
        """Iterate over the keys that must have an output first; for an `if`, the condition and the branch taken."""
        conditions = (choice.condition for choices in planned.branches for choice in choices)
        yield from (self._keys.source(edge, path) for edge in conditions if isinstance(edge, PlannedInput))
        for _, key in self._used_sources(planned, path):
            yield key

    def _used_sources(self, planned: PlannedNode, path: Path) -> Iterator[tuple[str, Key]]:
        unused = self._unused_branches(planned, path) if planned.node_type.is_if else ()
        return ((field, key) for field, key in self._inputs.sources(planned, path) if field not in unused)

    def _missing_source(self, planned: PlannedNode, path: Path) -> str | None:
        """Return the prepared node whose missing output keeps this one from running."""
        for _, key in self._used_sources(planned, path):
            if key in self._missing:
                rank, at = self._keys.place(key)
                return prepared_id(self._plan.nodes[rank].id, at)
        return self._missing_list(planned, path) if planned.node_type.collects else None

    def _missing_list(self, planned: PlannedNode, path: Path) -> str | None:
        """Return the prepared node that never made one of the lists a collect iterates over."""
        if not self._iterations.missing:
            return None
        ours = dict(zip(planned.axes, path))
        collected = {axis for edge in planned.inputs for axis in self._plan.nodes[edge.parent].axes}
        for axis, outer in sorted(self._iterations.missing):
            source = self._plan.axes[axis].source
            enclosing = zip(self._plan.axes[axis].outer, outer)
            if axis in collected and source is not None and all(ours.get(each, at) == at for each, at in enclosing):
                return prepared_id(self._plan.nodes[source.parent].id, source_path(source, outer))
        return None

    def _unused_branches(self, planned: PlannedNode, path: Path) -> list[str]:
        """Return the branches that an `if` does not take; both, if its condition is neither true nor false."""
        edge = next((edge for edge in planned.inputs if edge.field == "condition"), None)
        taken = self._truth(planned.values["condition"] if edge is None else edge, path)
        return [field for field, branch in BRANCHES.items() if branch is not taken]

    def _holds(self, choices: Sequence[PlannedChoice], path: Path) -> bool:
        return all(self._truth(choice.condition, path) is choice.branch for choice in choices)

    def _truth(self, condition: NodeValue, path: Path) -> bool | None:
        """Read a condition as the `if` node will; None if it is unknown, or neither true nor false."""
        if isinstance(condition, PlannedInput):
            output = self._outputs.get(self._keys.source(condition, path))
            condition = None if output is None else vars(output)[condition.output]
        try:
            return TRUTH.validate_python(condition)
        except ValidationError:
            return None


class Dispatcher:
    """Hand out prepared nodes; `claimed`, `skipped` and `refused` tell how far that is."""

    def __init__(
        self,
        plan: Plan,
        keys: PreparedKeys,
        outputs: Mapping[Key, BaseInvocationOutput],
        seeds: dict[Key, dict[str, int]],
        failed: Collection[Key],
        limit: int,
    ) -> None:
        self.claimed: dict[Key, Block] = {}
        self.skipped: dict[str, str] = {}
        self.refused: IterationLimitError | None = None
        self._plan = plan
        self._keys = keys
        self._missing = set(failed)
        self._buffered: list[Prepared] = []
        self._suspended: list[tuple[Block, int]] = []
        self._block: Block = NO_BLOCK
        self._nodes: Sequence[PlannedNode] = ()
        self._place = 0
        self._first: Key = 0  # the key of rank 0 at the path of the block
        self._suffix = ""  # what the ids of nodes have at that path: `[1,0]`
        self._is_looking_ahead = False
        self._slow_path = bool(outputs or failed) or plan.has_branches
        iterations = Iterations(plan, keys, outputs, limit)
        self._scheduler = Scheduler(plan, iterations.length)
        self.inputs = Inputs(plan, keys, outputs, seeds, iterations, self._scheduler.walk)
        self._readiness = Readiness(plan, keys, outputs, self._missing, self.claimed, iterations, self.inputs)
        self._look_ahead()

    @property
    def running(self) -> int:
        """The number of prepared nodes that were handed out and are not done."""
        return len(self.claimed) - len(self._buffered)

    @property
    def is_done(self) -> bool:
        """True once nothing is left to hand out, and nothing runs."""
        left = self.claimed or self._is_looking_ahead or self._place < len(self._nodes)
        return not left and self.refused is None

    def next(self) -> Prepared | None:
        """Claim the next prepared node; return None if there is none now.

        Raises `IterationLimitError` if a list is too long, and again on each later call.
        """
        if self._place < len(self._nodes) and not (self.claimed or self._slow_path):
            return self._claim_next()
        if self._buffered:
            return self._buffered.pop()
        if self.refused is not None:
            raise self.refused
        try:
            while True:
                if self._place == len(self._nodes):
                    if not self._take_block():
                        return None
                    continue
                prepared = self._claim_next()
                if not self._slow_path and len(self.claimed) == 1:
                    return prepared
                del self.claimed[prepared.key]
                if self._may_run(prepared):
                    self.claimed[prepared.key] = self._block
                    return prepared
        except IterationLimitError as error:
            self.refused = error
            raise

    def _claim_next(self) -> Prepared:
        """Claim the next node of the block, which is not at its end."""
        planned = self._nodes[self._place]
        self._place += 1
        key = self._first + planned.rank
        self.claimed[key] = self._block
        return Prepared(planned, self._block[1], key, planned.id + self._suffix)

    def done(self, key: Key) -> None:
        """Record that a claimed node has its output; blocks that waited for it go before the current one."""
        if self._place < len(self._nodes) and not (self._slow_path or self._suspended):
            self.claimed.pop(key, None)
            return
        # whoever asks meanwhile, in another thread, must not see a session without claims and take it for complete
        self._is_looking_ahead = self._slow_path or self._place == len(self._nodes)
        block = self.claimed.pop(key, None)
        if self._suspended and block != self._block and self._place < len(self._nodes):
            self._is_looking_ahead = True
            self._suspend()
        if self._is_looking_ahead:
            self._look_ahead()
            self._is_looking_ahead = False

    def end(self) -> None:
        """Hand out nothing more: everything has its output."""
        self._scheduler.end()
        self._leave_block()

    def failed(self, key: Key) -> None:
        """Record that a claimed node will have no output."""
        self._missing.add(key)
        self._slow_path = True
        self.done(key)

    def release(self, prepared: Prepared) -> None:
        """Take a claimed node back undone; it is handed out next."""
        if prepared.key in self.claimed and prepared not in self._buffered:
            self._buffered.append(prepared)

    def expects(self, planned: PlannedNode) -> bool:
        """Return whether more prepared nodes of a source node may be handed out; if False, there are none."""
        place = self._plan.segments[planned.segment].nodes.index(planned)
        started = [*self._suspended, (self._block, self._place)] if self._block != NO_BLOCK else self._suspended
        return (
            any(segment == planned.segment and reached <= place for (segment, _), reached in started)
            or any(buffered.planned is planned for buffered in self._buffered)
            or self._scheduler.has_more(planned.segment)
        )

    def _look_ahead(self) -> None:
        """Find the next node while nothing runs, since only that tells whether the session is complete.

        On the fast path any node of the next block can run; on the slow path it must be claimed to know.
        """
        if self.claimed:
            return
        if not self._slow_path:
            self._find_block()
            return
        with suppress(IterationLimitError):
            if (prepared := self.next()) is not None:
                self._buffered.append(prepared)

    def _find_block(self) -> None:
        try:
            while self._place == len(self._nodes) and self._take_block():
                pass
        except IterationLimitError as error:
            self.refused = error

    def _may_run(self, prepared: Prepared) -> bool:
        """Return whether to hand a node out; if not, skip it, or suspend its block until claimed nodes are done."""
        verdict, reason = self._readiness.verdict(prepared)
        if verdict == "wait":
            self._suspend(self._place - 1)
        elif verdict != "run" and reason:
            self.skipped[prepared.id] = reason
            self._missing.add(prepared.key)
        return verdict == "run"

    def _suspend(self, place: int | None = None) -> None:
        """Suspend the current block, to go on at `place`, or where it is."""
        self._suspended.append((self._block, self._place if place is None else place))
        self._leave_block()

    def _leave_block(self) -> None:
        self._block, self._nodes, self._place = NO_BLOCK, (), 0

    def _take_block(self) -> bool:
        """Finish the current block, or suspend it if some of it still runs; go on with one that can run, if any."""
        if self._block != NO_BLOCK:
            if self.claimed and self._block in self.claimed.values():
                self._suspend()
            else:
                self._scheduler.finish(self._block)
        found, place = self._resumable() if self._suspended else (None, 0)
        if found is None:
            found = self._scheduler.next()
            if found is None:
                self._leave_block()
                return False
        self._block, self._place = found, place
        self._nodes, self._first = self._plan.segments[found[0]].nodes, self._keys.begin(found[1])
        self._suffix = prepared_id("", found[1])
        return True

    def _resumable(self) -> tuple[Block | None, int]:
        """Return and remove the first suspended block that need not wait any longer, and where it goes on."""
        for number, (block, place) in enumerate(self._suspended):
            if self._can_go_on(block, place):
                return self._suspended.pop(number)
        return None, 0

    def _can_go_on(self, block: Block, place: int) -> bool:
        nodes = self._plan.segments[block[0]].nodes
        if place == len(nodes):
            return block not in self.claimed.values()
        return self._readiness.verdict(self._keys.prepared(nodes[place], block[1]))[0] != "wait"
