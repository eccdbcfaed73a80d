"""A session: one execution of a graph. It hands out prepared nodes, takes their outputs, and can be saved half way."""

import random
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from nbgraph.errors import IterationLimitError
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.control_flow import IterateOutput
from nbgraph.invocations.fields import SEED_MAX
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import FlatGraph, flatten
from nbgraph.services.shared.graph.plan import Path, Plan, PlannedChoice, PlannedInput, PlannedNode, prepared_id
from nbgraph.services.shared.graph.schedule import Blocked, Schedule, Stretch

Key = int | tuple[int, Path]
Status = Literal["pending", "running", "completed", "failed", "cancelled"]
MAX_ITERATIONS = 1_000_000


class Prepared(NamedTuple):
    """One execution of a source node at one iteration path."""

    planned: PlannedNode
    path: Path
    key: Key

    @property
    def id(self) -> str:
        """`denoise[1,0]`"""
        return prepared_id(self.planned.id, self.path)


def _prepared(planned: PlannedNode, path: Path) -> Prepared:
    return Prepared(planned, path, (planned.rank, path) if path else planned.rank)


class GraphExecutionState:
    """One execution of a graph: `next()` claims a prepared node, `complete()` or `fail()` says what became of it.

    `targets` restricts it to what those nodes need. With `on_error="continue"`, what does not depend on a failed node
    still runs. What has finished is never run again: a saved session goes on where it was, and a session may grow.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        id: str | None = None,
        targets: Sequence[str] | None = None,
        on_error: Literal["stop", "continue"] = "stop",
        max_iterations: int = MAX_ITERATIONS,
    ) -> None:
        self.id = id or uuid4().hex
        self.graph = graph
        self.targets = None if targets is None else [graph.id_of(target) for target in targets]
        self.on_error: Literal["stop", "continue"] = on_error
        self.max_iterations = max_iterations
        self.cancelled = False
        self.errors: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.seeds: dict[Key, dict[str, int]] = {}
        self._outputs: dict[Key, BaseInvocationOutput] = {}
        self._missing: set[Key] = set()
        self._plan_anew()

    # running

    def next(self) -> Prepared | None:
        """Claim the next prepared node; None if there is none now (all done, stopped, or waiting for claimed ones)."""
        if self.cancelled or (self.errors and self.on_error == "stop"):
            return None
        ahead, self._ahead = self._ahead, None
        return ahead or self._claim()

    def _claim(self) -> Prepared | None:
        while True:
            if self._stretch is None and not self._take_stretch():
                return None
            stretch = self._stretch
            segment, path = stretch  # type: ignore[misc]
            ranks = self.plan.segments[segment].ranks
            while self._cursor < len(ranks):
                rank = ranks[self._cursor]
                planned = self.plan.nodes[rank]
                prepared = Prepared(planned, path, (rank, path) if path else rank)
                if self._careful or self._claimed or planned.gates:
                    verdict = self._verdict(prepared)
                    if verdict == "wait":
                        break
                    if verdict == "pass":
                        self._cursor += 1
                        continue
                self._cursor += 1
                self._claimed[prepared.key] = stretch  # type: ignore[assignment]
                return prepared
            self._leave_stretch(len(ranks))

    def complete(self, prepared: Prepared, output: BaseInvocationOutput) -> None:
        """A claimed node has its output."""
        self._outputs[prepared.key] = output
        self._claimed.pop(prepared.key, None)

    def fail(self, prepared: Prepared, error: str) -> None:
        """A claimed node failed; `error` is text, never the exception, which would keep its tensors alive."""
        self.errors[prepared.id] = error
        self._missing.add(prepared.key)
        self._claimed.pop(prepared.key, None)
        self._careful = True

    def release(self, prepared: Prepared) -> None:
        """Give a claimed node back undone; it will be handed out again."""
        del self._claimed[prepared.key]
        self._plan_anew()

    def cancel(self) -> None:
        """Hand out nothing more; what has finished stays."""
        self.cancelled = True

    def resume(self) -> None:
        """Take back a cancel and forget errors: what failed or was skipped is tried again, nothing else."""
        self.cancelled = False
        self.errors.clear()
        self.skipped.clear()
        self._missing.clear()
        self._plan_anew()

    # what is known of it

    @property
    def status(self) -> Status:
        """How far the session is."""
        if self.cancelled:
            return "cancelled"
        if self.errors and (self.on_error == "stop" or self.is_complete):
            return "failed"
        if self.is_complete:
            return "completed"
        return "running" if self._outputs or self._claimed else "pending"

    @property
    def is_complete(self) -> bool:
        """Whether every prepared node has run, was skipped, or failed."""
        if self._ahead is None and not self._claimed:
            self._ahead = self._claim()
        return not self._claimed

    def __len__(self) -> int:
        """How many prepared nodes have finished."""
        return len(self._outputs)

    def results(self) -> Iterator[tuple[Prepared, BaseInvocationOutput]]:
        """Every finished prepared node and its output, in the order they finished."""
        for key, output in self._outputs.items():
            rank, path = key if isinstance(key, tuple) else (key, ())
            yield Prepared(self.plan.nodes[rank], path, key), output

    def outputs_of(self, node_id: str) -> dict[Path, BaseInvocationOutput]:
        """The outputs of a source node by path, in path order; of a graph node, what it exposes."""
        if node_id in self.flat.outlets:
            return self._exposed(node_id)
        rank = self.plan.ranks.get(node_id)
        if rank is None:
            return {}
        if not self.plan.nodes[rank].axes:
            return {(): self._outputs[rank]} if rank in self._outputs else {}
        found = {key[1]: out for key, out in self._outputs.items() if isinstance(key, tuple) and key[0] == rank}
        return dict(sorted(found.items()))

    def _exposed(self, node_id: str) -> dict[Path, BaseInvocationOutput]:
        ends = self.flat.outlets[node_id]
        inner = {alias: self.outputs_of(source) for alias, (source, _) in ends.items()}
        paths = sorted(set.intersection(*(set(found) for found in inner.values()))) if inner else []
        make = self.graph.nodes[node_id].output_class.model_construct if node_id in self.graph.nodes else None
        if make is None:
            return {}
        return {
            path: make(**{alias: getattr(inner[alias][path], field) for alias, (_, field) in ends.items()})
            for path in paths
        }

    # inputs

    def value(self, edge: PlannedInput, path: Path) -> Any:
        """What arrives over an edge at a prepared node's path; KeyError if its source has no output there."""
        at = path if edge.keep is None else tuple([path[place] for place in edge.keep])
        return self._outputs[(edge.parent, at) if at else edge.parent].__dict__[edge.output]

    def arriving(self, prepared: Prepared) -> dict[str, Any]:
        """Everything that arrives over edges, by input; a seed that was left open is drawn and noted."""
        planned, path, _ = prepared
        if planned.collects:
            return self._gather(planned, path)
        values: dict[str, Any] = {}
        for edge in planned.inputs:
            if edge.many:
                values.setdefault(edge.field, []).append(self.value(edge, path))
            else:
                values[edge.field] = self._optional(edge, path) if planned.node.type == "if" else self.value(edge, path)
        for name in planned.seeds:
            if values.get(name, planned.node.__dict__[name]) is None:
                values[name] = self._draw(prepared, name)
        return values

    def source_keys(self, planned: PlannedNode, path: Path) -> list[Key]:
        """What the inputs of a prepared node come from; of an iterate node, give the path around it."""
        if planned.collects:
            found = [(edge.parent, at) for edge in planned.inputs for at, _ in self._instances(planned, edge, path)]
            return [(parent, at) if at else parent for parent, at in found]
        return [self._key(edge, path) for edge in planned.inputs]

    def iterate_output(self, prepared: Prepared) -> IterateOutput:
        """The output of an iterate node at a path: its item, the place of the item, how many there are."""
        planned, path, _ = prepared
        items = self._items(planned, path[:-1])
        return IterateOutput(item=items[path[-1]], index=path[-1], total=len(items))

    def _items(self, planned: PlannedNode, outer: Path) -> list[Any]:
        if not planned.inputs:
            return planned.node.__dict__["collection"]
        try:
            return self.value(planned.inputs[0], outer)
        except KeyError:
            return []

    def _optional(self, edge: PlannedInput, path: Path) -> Any:
        try:
            return self.value(edge, path)
        except KeyError:
            return None

    def _draw(self, prepared: Prepared, name: str) -> int:
        drawn = self.seeds.setdefault(prepared.key, {})
        if name not in drawn:
            drawn[name] = random.SystemRandom().randint(0, SEED_MAX)
        return drawn[name]

    def _gather(self, planned: PlannedNode, path: Path) -> dict[str, Any]:
        """What a collect node gathers at a path: chained lists first, and the items by (path, edge)."""
        items: list[tuple[Path, int, Any]] = []
        chained: list[tuple[Path, int, Any]] = []
        for number, edge in enumerate(planned.inputs):
            for at, inner in self._instances(planned, edge, path):
                value = self._outputs[(edge.parent, at) if at else edge.parent].__dict__[edge.output]
                (items if edge.field == "item" else chained).append((inner, number, value))
        for found in (items, chained):
            found.sort(key=lambda entry: entry[:2])
        values: dict[str, Any] = {"item": [value for _, _, value in items]}
        if chained:
            values["collection"] = [value for _, _, values_at in chained for value in values_at]
        return values

    def _instances(self, planned: PlannedNode, edge: PlannedInput, path: Path) -> Iterator[tuple[Path, Path]]:
        """The paths of a source that belong to a collect's path, each with the part of it that the collect removes."""
        axes = self.plan.nodes[edge.parent].axes
        fixed = {axis: path[planned.axes.index(axis)] for axis in axes if axis in planned.axes}
        removed = [place for place, axis in enumerate(axes) if axis not in fixed]
        for at in self._schedule.walk(axes, fixed):
            if not isinstance(at, Blocked):
                yield at, tuple([at[place] for place in removed])

    # inside

    def _plan_anew(self) -> None:
        self.flat: FlatGraph = flatten(self.graph)
        targets = self.targets
        if targets is not None:
            targets = [inner for target in targets for inner in self.flat.inner_ids(target)]
        self.plan = Plan(self.flat, targets)
        self._longest: dict[int, int] = {}
        self._schedule = Schedule(self.plan, self._length)
        self._stretch: Stretch | None = None
        self._cursor = 0
        self._waiting: list[tuple[Stretch, int]] = []
        self._claimed: dict[Key, Stretch] = {}
        self._ahead: Prepared | None = None
        self._careful = bool(self._outputs or self._missing)

    def _take_stretch(self) -> bool:
        for place, (stretch, cursor) in enumerate(self._waiting):
            if self._can_go_on(stretch, cursor):
                del self._waiting[place]
                self._stretch, self._cursor = stretch, cursor
                return True
        self._stretch, self._cursor = self._schedule.next(), 0
        return self._stretch is not None

    def _can_go_on(self, stretch: Stretch, cursor: int) -> bool:
        segment, path = stretch
        ranks = self.plan.segments[segment].ranks
        if cursor == len(ranks):
            return stretch not in self._claimed.values()
        return self._verdict(_prepared(self.plan.nodes[ranks[cursor]], path)) != "wait"

    def _leave_stretch(self, end: int) -> None:
        """Finish the stretch if all its nodes are done, else put it aside until claimed nodes are."""
        stretch = self._stretch
        assert stretch is not None
        self._stretch = None
        if self._cursor < end or (self._claimed and stretch in self._claimed.values()):
            self._waiting.append((stretch, self._cursor))
        else:
            self._schedule.finish(*stretch)

    def _verdict(self, prepared: Prepared) -> Literal["run", "pass", "wait"]:
        """Whether a node may run now, is to be passed over (done, gated, or its inputs failed), or must wait."""
        planned, path, key = prepared
        if key in self._outputs or key in self._missing:
            return "pass"
        if self._claimed and any(needed in self._claimed for needed in self._needed(planned, path)):
            return "wait"
        if planned.gates and not any(self._is_open(gate, path) for gate in planned.gates):
            return self._skip(prepared, "its branch was not taken")
        lost = next((needed for needed in self._needed(planned, path) if needed in self._missing), None)
        if lost is not None:
            return self._skip(prepared, f"{self._id_of(lost)} gave nothing")
        return "run"

    def _needed(self, planned: PlannedNode, path: Path) -> Iterator[Key]:
        """What must have an output before a node can run; of an `if`, its condition and the branch that is taken."""
        for gate in planned.gates:
            yield from (self._key(c.condition, path) for c in gate if isinstance(c.condition, PlannedInput))
        not_taken = self._branch_not_taken(planned, path) if planned.node.type == "if" else None
        for edge in planned.inputs:
            if planned.collects:
                for at, _ in self._instances(planned, edge, path):
                    yield (edge.parent, at) if at else edge.parent
            elif edge.field != not_taken:
                yield self._key(edge, path)

    def _branch_not_taken(self, planned: PlannedNode, path: Path) -> str | None:
        edge = next((edge for edge in planned.inputs if edge.field == "condition"), None)
        try:
            condition = planned.node.__dict__["condition"] if edge is None else self.value(edge, path)
        except KeyError:
            return None
        return "false_input" if condition else "true_input"

    def _is_open(self, gate: Sequence[PlannedChoice], path: Path) -> bool:
        for choice in gate:
            condition = choice.condition
            try:
                taken = condition if isinstance(condition, bool) else self.value(condition, path)
            except KeyError:
                return False
            if bool(taken) != choice.branch:
                return False
        return True

    @staticmethod
    def _key(edge: PlannedInput, path: Path) -> Key:
        at = path if edge.keep is None else tuple([path[place] for place in edge.keep])
        return (edge.parent, at) if at else edge.parent

    def _id_of(self, key: Key) -> str:
        rank, path = key if isinstance(key, tuple) else (key, ())
        return prepared_id(self.plan.nodes[rank].id, path)

    def _skip(self, prepared: Prepared, reason: str) -> Literal["pass"]:
        self.skipped[prepared.id] = reason
        self._missing.add(prepared.key)
        self._careful = True
        return "pass"

    def _length(self, axis: int, outer: Path) -> int:
        """How many items an axis has at a path of the axes around it; refuses more prepared nodes than the limit."""
        planned = self.plan.nodes[self.plan.axes[axis].rank]
        length = len(self._items(planned, outer))
        if length > self._longest.get(axis, 0):
            self._longest[axis] = length
            self._check_limit(axis)
        return length

    def _check_limit(self, axis: int) -> None:
        for segment in self.plan.segments:
            if axis in segment.axes:
                count = 1
                for each in segment.axes:
                    count *= self._longest.get(each, 1)
                if count > self.max_iterations:
                    raise IterationLimitError(self.plan.nodes[segment.ranks[0]].id, count, self.max_iterations)
