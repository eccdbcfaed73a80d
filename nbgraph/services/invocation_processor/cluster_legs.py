"""Legs on a worker: what runs there of sessions, one alone or several that share calls of a model."""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from time import perf_counter, time
from typing import Protocol

from nbgraph.errors import GraphError, IterationLimitError, NbgraphError, NodeError
from nbgraph.loading import looking_while_waiting
from nbgraph.services.events.events_common import SessionWaits
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.invocation_cache.portable_entries import FollowsHead
from nbgraph.services.invocation_processor.batch_runner import runner_of
from nbgraph.services.invocation_processor.cluster_messages import (
    FailureRow,
    Job,
    LegResult,
    ProblemRow,
    WorkerFacts,
    nothing_done,
)
from nbgraph.services.invocation_processor.cluster_outbox import Outbox
from nbgraph.services.invocation_processor.group_runner import Cell, CellRunner, GroupRunner
from nbgraph.services.invocation_processor.invocation_processor_default import waiting_message
from nbgraph.services.invocation_processor.node_batches import BatchLimits, HeldNode
from nbgraph.services.invocation_processor.session_runner import SessionRunner
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState

logger = logging.getLogger("nbgraph")


class RunningLeg:
    """A leg while a worker runs it: the job, whether it was cancelled, and, when it begins, its session and mail."""

    def __init__(self, job: Job) -> None:
        self.job, self.id = job, job.leg
        self.is_cancelled = False
        self.sent: set[str] = set()
        """Names of images and tensors that the head was sent."""
        self.session: GraphExecutionState | None = None
        self.outbox: Outbox | None = None

    def begin(self, session: GraphExecutionState, notify: Callable[[], None]) -> Outbox:
        """Take the session that runs; `notify` is called when there is mail."""
        self.session = session
        self.outbox = Outbox(session, time() - perf_counter(), notify)
        return self.outbox

    @property
    def has_to_end(self) -> bool:
        """Whether it was cancelled, or has a result that cannot be sent."""
        return self.is_cancelled or (self.outbox is not None and self.outbox.unsendable != "")


class LegHost(Protocol):
    """What runs legs, as they see it."""

    @property
    def services(self) -> InvocationServices: ...

    def facts(self) -> WorkerFacts: ...

    def session_of(self, leg: RunningLeg) -> GraphExecutionState: ...

    def notify(self) -> None: ...

    def end(self, leg: RunningLeg, result: LegResult) -> None: ...


class LegRunner:
    """Runs legs on the thread that calls it.

    Parameters
    ----------
    host
        Has the services, and takes how each leg ends.
    limits
        How much may run in one call.
    is_gone
        Whether the head has given the task up, or the worker ends.
    """

    def __init__(self, host: LegHost, limits: BatchLimits, is_gone: Callable[[], bool]) -> None:
        self._host, self._limits, self._is_gone = host, limits, is_gone
        self._entries: list[CacheEntry] = []

    def run(self, legs: Sequence[RunningLeg]) -> None:
        """Run all legs; several share calls of a model. How each ends is given to the host."""
        if len(legs) > 1:
            self._run_group(legs)
        else:
            for leg in legs:
                self._run_alone(leg)

    def _run_alone(self, leg: RunningLeg) -> None:
        with self._ended(leg) as outcome:
            session, outbox = self._begin(leg)
            # node by node where memory ran out before
            limits = BatchLimits(1, self._limits.pixels) if leg.job.is_alone else self._limits
            runner = runner_of(session, self._host.services, self._is_cancelled(leg), limits)
            outcome.runner = runner
            with looking_while_waiting(_Waiting(session.id, outbox)):
                runner.run(is_checked=leg.job.is_checked)

    def _run_group(self, legs: Sequence[RunningLeg]) -> None:
        waiting = iter(legs)

        def take() -> Cell | None:
            for leg in waiting:
                outcome = _Outcome()
                with self._refused(leg, outcome):
                    session, outbox = self._begin(leg)
                    runner = outcome.runner = CellRunner(session, self._host.services, self._is_cancelled(leg))
                    shown = partial(looking_while_waiting, _Waiting(session.id, outbox))
                    return Cell(runner, self._steps(leg, runner, outcome), shown)
                self._end(leg, outcome)
            return None

        GroupRunner(take, self._host.services, self._limits).run()

    def _steps(self, leg: RunningLeg, runner: CellRunner, outcome: "_Outcome") -> Generator[HeldNode]:
        with self._ended(leg, outcome):
            yield from runner.steps(is_checked=leg.job.is_checked)

    def _begin(self, leg: RunningLeg) -> tuple[GraphExecutionState, Outbox]:
        session = self._host.session_of(leg)
        return session, leg.begin(session, self._host.notify)

    def _is_cancelled(self, leg: RunningLeg) -> Callable[[], bool]:
        return lambda: leg.has_to_end or self._is_gone()

    @contextmanager
    def _ended(self, leg: RunningLeg, outcome: "_Outcome | None" = None) -> "Generator[_Outcome]":
        """Collect what happens in a leg that the block runs, and give the host how it ended."""
        outcome = outcome or _Outcome()
        stop = self._host.services.events.subscribe(lambda event: leg.outbox(event) if leg.outbox else None)
        try:
            with self._refused(leg, outcome):
                yield outcome
                if leg.session is not None:
                    outcome.status = leg.session.status
        finally:
            stop()
            self._end(leg, outcome)

    @contextmanager
    def _refused(self, leg: RunningLeg, outcome: "_Outcome") -> Generator[None]:
        """Note what keeps a session from being run."""
        try:
            yield
        except IterationLimitError as refused:
            logger.info("leg %s: %s", leg.id, refused)
        except GraphError as refused:
            outcome.refusal = [(each.kind, each.message, each.node, each.field) for each in refused.problems]
        except Exception as error:
            if leg.session is None and isinstance(error, NbgraphError):
                outcome.refusal = [("worker", str(error), None, None)]
                return
            logger.exception("leg %s could not be run", leg.id)
            outcome.error = f"{type(error).__name__}: {error}"

    def _end(self, leg: RunningLeg, outcome: "_Outcome") -> None:
        services, result = self._host.services, nothing_done(outcome.status, self._host.facts(), outcome.refusal)
        services.flush()  # where the folder is shared, the head reads it as soon as it hears of the end
        if outcome.error:
            result["errors"]["session"] = outcome.error
        if leg.session is not None and leg.outbox is not None and outcome.runner is not None:
            result["errors"] |= leg.session.errors
            self._add_entries(leg.outbox)
            leg.outbox.rest()  # writes all results as JSON, of which some may have none
            result["failures"] = [_failure(each) for each in outcome.runner.failures]
            result["failed"] = leg.outbox.failed
            result["ran_out_of_memory"] = outcome.runner.ran_out_of_memory
            if leg.outbox.unsendable:
                result["status"] = "failed"
                result["failures"] = [_unsendable(leg.outbox.unsendable, result["facts"]["name"])]
        self._host.end(leg, result)

    def _add_entries(self, outbox: Outbox) -> None:
        """Hand over the cached results that were made, but those that name what another leg of the group made."""
        cache = self._host.services.invocation_cache
        if not isinstance(cache, FollowsHead):
            return
        self._entries += cache.take_fresh()
        outbox.add_entries([entry for entry in self._entries if outbox.named.issuperset(entry.resources)])
        self._entries = [entry for entry in self._entries if not outbox.named.issuperset(entry.resources)]


class _Outcome:
    """How a leg ended; it has failed until something else is known."""

    def __init__(self) -> None:
        self.status, self.error = "failed", ""
        self.refusal: list[ProblemRow] = []
        self.runner: SessionRunner | None = None


class _Waiting:
    """Reports to the head for what a session waits while a module is loaded."""

    def __init__(self, session_id: str, outbox: Outbox) -> None:
        self._session_id, self._outbox, self._shown = session_id, outbox, ""

    def __call__(self, module: str) -> None:
        message = waiting_message(module)
        if message != self._shown:
            self._shown = message
            self._outbox(SessionWaits(self._session_id, message))


def _failure(error: NodeError) -> FailureRow:
    return FailureRow(
        node=error.node,
        type=error.type,
        message=error.message,
        inputs=error.inputs,
        traceback=error.traceback,
        place=error.place,
    )


def _unsendable(what: str, worker: str) -> FailureRow:
    node, _, why = what.partition(": ")
    name, _, kind = node.partition(" (")
    text = f"its result cannot be sent from worker {worker!r} ({why}); return images, numbers, texts, lists or dicts"
    return FailureRow(node=name, type=kind.rstrip(")"), message=text, inputs={}, traceback="", place="")
