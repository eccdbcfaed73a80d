"""A session: one execution of a graph. It hands out prepared nodes, takes their outputs, and can be saved half way."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal
from uuid import uuid4

from nbgraph.errors import IterationLimitError
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.control_flow import IterateOutput
from nbgraph.services.shared.graph.arrivals import Arrivals
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.iterations import Iterations
from nbgraph.services.shared.graph.library import FlatGraph, flatten
from nbgraph.services.shared.graph.plan import Path, Plan
from nbgraph.services.shared.graph.prepared import Key, Prepared, key_at, place_of
from nbgraph.services.shared.graph.readiness import Readiness
from nbgraph.services.shared.graph.saved_session import (
    SavedSession,
    refuse_changes,
    renamed_keys,
    session_from_dict,
    session_to_dict,
)
from nbgraph.services.shared.graph.schedule import Schedule, Stretch

Status = Literal["pending", "running", "completed", "failed", "cancelled"]
OnError = Literal["stop", "continue"]
MAX_ITERATIONS = 1_000_000


class GraphExecutionState:
    """One execution of a graph: `next()` claims a prepared node, `complete()` or `fail()` says what became of it.

    `targets` restricts it to what those nodes need. With `on_error="continue"`, what does not depend on a failed node
    still runs. What has finished is never run again: a saved session goes on where it was, and a session may grow.

    One thread drives a session; any other may read `status`, `outputs_of` and the like meanwhile.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        id: str | None = None,
        targets: Sequence[str] | None = None,
        on_error: OnError = "stop",
        max_iterations: int = MAX_ITERATIONS,
    ) -> None:
        self.id = id or uuid4().hex
        self.graph = graph.copy()
        self.targets = None if targets is None else [graph.id_of(target) for target in targets]
        self.on_error: OnError = on_error
        self.max_iterations = max_iterations
        self.cancelled = False
        self.errors: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.seeds: dict[Key, dict[str, int]] = {}
        self._outputs: dict[Key, BaseInvocationOutput] = {}
        self._paths: dict[int, list[Path]] = {}
        self._missing: set[Key] = set()
        self._plan_anew()

    # running

    def next(self) -> Prepared | None:
        """Claim the next prepared node; None if there is none now (all done, stopped, or waiting for claimed ones).

        Raises `IterationLimitError` where a list turned out too long; the session has then failed.
        """
        if self.cancelled or (self.errors and self.on_error == "stop"):
            return None
        if self._refused is not None:
            raise self._refused
        if self._waiting_room:
            return self._waiting_room.pop()
        return self._claim()

    def complete(self, prepared: Prepared, output: BaseInvocationOutput) -> None:
        """A claimed node has its output."""
        planned, path, key = prepared
        self._outputs[key] = output
        if path:
            self._paths.setdefault(planned.rank, []).append(path)
        self._claimed.pop(key, None)
        if self._cursor == self._end or self._careful:
            self._look_ahead()

    def fail(self, prepared: Prepared, error: str) -> None:
        """A claimed node failed; `error` is text, never the exception, which would keep its tensors alive."""
        self.errors[prepared.id] = error
        self._missing.add(prepared.key)
        self._claimed.pop(prepared.key, None)
        self._careful = True
        self._look_ahead()

    def release(self, prepared: Prepared) -> None:
        """Give a claimed node back undone; it is the next to be handed out."""
        if prepared.key in self._claimed:
            self._waiting_room.append(prepared)

    def cancel(self) -> None:
        """Hand out nothing more; what has finished stays."""
        self.cancelled = True

    def resume(self) -> None:
        """Take back a cancel and forget errors: what was claimed, failed or skipped is tried again, nothing else."""
        self.cancelled = False
        self.errors.clear()
        self.skipped.clear()
        self._missing.clear()
        self._plan_anew()

    def grow(self, graph: Graph) -> None:
        """Go on with a graph that has more in it; `GraphError` if it changes or lacks what has run already."""
        refuse_changes(self.graph, graph, {planned.id for planned in self._finished_nodes()})
        before = self.plan
        self.graph = graph.validate().copy()
        self._plan_anew()
        rename = renamed_keys(before, self.plan)
        self._take_over(
            {rename(key): output for key, output in self._outputs.items()},
            {rename(key): drawn for key, drawn in self.seeds.items()},
            {rename(key) for key in self._missing if self._name(key, before) in self.errors},
        )
