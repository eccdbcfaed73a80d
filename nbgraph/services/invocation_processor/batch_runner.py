"""The run loop of sessions with nodes that may run together: holds them, and runs those that wait in one call.

Whatever goes wrong with several in one call, each is then run by itself, so that the one that fails is named and the
others have their results. Only when memory runs out they are halved first, and no more are tried in one call again.
"""

import logging
import traceback
from collections.abc import Callable
from typing import Any

from nbgraph.errors import CancelledError, with_place
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.valid import validated
from nbgraph.services.invocation_processor.defensive_copies import copy_inputs, kept_output
from nbgraph.services.invocation_processor.error_texts import is_out_of_memory
from nbgraph.services.invocation_processor.node_batches import BatchLimits, HeldNode, NodeBatches, batches_of
from nbgraph.services.invocation_processor.node_context import NodeContext
from nbgraph.services.invocation_processor.own_frames import place_of
from nbgraph.services.invocation_processor.session_runner import SessionRunner
from nbgraph.services.invocation_stats.invocation_stats_common import CANCELLED, COMPLETED
from nbgraph.services.neighbours import Services
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared

logger = logging.getLogger("nbgraph")


def runner_of(
    session: GraphExecutionState, services: Services, is_cancelled: Callable[[], bool], limits: BatchLimits
) -> SessionRunner:
    """Return the runner of a session: the plain loop where no nodes can run together."""
    batches = batches_of(session, limits, lambda: services.model_manager.free_bytes)
    if batches is None:
        return SessionRunner(session, services, is_cancelled)
    return BatchRunner(session, services, is_cancelled, batches)


class HoldingRunner(SessionRunner):
    """A run loop whose nodes may be held, run in one call with others, and completed afterwards."""

    @property
    def _goes_on(self) -> bool:
        """True while more may be run; a cancel is passed on to the session here."""
        session = self.session
        if self._is_cancelled():
            session.cancel()
        return not (session.cancelled or (session.errors and session.on_error == "stop"))

    def _held(self, prepared: Prepared) -> HeldNode:
        """Return the node ready to run; not ready if its result is cached, or if its inputs are wrong.

        The error is raised, and recorded, when such a node runs by itself.
        """
        planned = prepared.planned
        try:
            inputs = self._inputs(prepared)
            if inputs.key is not None and self._cache.peek(inputs.key) is not None:
                return HeldNode(prepared)
            if planned.node_type.is_foreign:
                copy_inputs(inputs.values)
            node = validated(type(planned.node), inputs.values)
            context = NodeContext(self._services, self.session.id, self._is_cancelled, planned, prepared.path)
            return HeldNode(prepared, (node, context), node.batch_pixels(context), inputs)
        except Exception:
            logger.debug("%s is not held", prepared.id, exc_info=True)
            return HeldNode(prepared)

    def _complete(self, held: HeldNode, output: BaseInvocationOutput) -> None:
        """Record the output of a node that ran with others, as if it had run by itself."""
        prepared, inputs = held.prepared, held.inputs
        session = self.session
        assert inputs is not None
        self._cache.misses += self._cache.enabled and inputs.key is not None
        try:
            self._origins[prepared.key] = self._save(prepared, inputs, output, held.seconds)
        except BaseException as error:
            self._fail(prepared, self._probe.start(), error)
            return
        session.complete(prepared, output)
        if self._journal is not None:
            self._journal.completed(prepared, output)
        self._log.source = ""
        self._announce(prepared, output, False, held.seconds)


class BatchRunner(HoldingRunner):
    """Runs a session whose nodes wait in `batches`, by the rules of `NodeBatches`."""

    def __init__(
        self,
        session: GraphExecutionState,
        services: Services,
        is_cancelled: Callable[[], bool],
        batches: NodeBatches,
    ) -> None:
        super().__init__(session, services, is_cancelled)
        self._batches = batches

    def _run_nodes(self) -> None:
        while (prepared := self._next()) is not None:
            self._run_node(prepared)
            if len(self.session.outputs) >= self._due_at:
                self._maintain()

    def _next(self) -> Prepared | None:
        """Return the next node to run; while there is none, run those that wait."""
        if self._is_cancelled():
            self.session.cancel()
        while (prepared := self.session.next()) is None:
            rank = self._batches.furthest()
            if rank is None or not self._goes_on:
                return None
            self._run_line(rank)
        return prepared

    def _run_node(self, prepared: Prepared) -> None:
        rank = prepared.planned.rank
        if not self._batches.takes(prepared):
            super()._run_node(prepared)
            if self._batches.pass_by(rank) and (furthest := self._batches.furthest()) is not None:
                self._run_line(furthest)
            return
        for further in self._batches.made_from(rank):
            self._run_line(further)
        held = self._held(prepared)
        if not self._batches.has_room(held):
            self._run_line(rank)
        if not self._goes_on:
            self.session.release(prepared)
        elif not held.joins and not self._batches.line(rank):
            super()._run_node(prepared)
        else:
            self._batches.hold(held)
            if self._batches.is_full(rank) or not self.session.expects(prepared.planned):
                self._run_line(rank)

    def _run_line(self, rank: int) -> None:
        """Run the nodes that wait, of one source node: together where possible; finish them in their order."""
        line = self._batches.take(rank)
        for group in self._groups(line):
            if self._goes_on:
                self._run_together(rank, group)
        for held in line:
            if held.output is not None:
                self._complete(held, held.output)
            elif self._goes_on:
                super()._run_node(held.prepared)
            else:
                self.session.release(held.prepared)

    def _groups(self, line: list[HeldNode]) -> list[list[HeldNode]]:
        """Return the nodes of equal batch key, where there are several; of those with one cache key only the first."""
        groups: dict[Any, list[HeldNode]] = {}
        seen: set[bytes] = set()
        for held in line:
            if held.ready is None or (held.key in seen and self._cache.enabled):
                continue
            node, context = held.ready
            try:
                key = node.batch_key(context)
                if key is not None:
                    groups.setdefault(key, []).append(held)
            except Exception:
                logger.debug("%s has no key", held.prepared.id, exc_info=True)
            if held.key is not None:
                seen.add(held.key)
        return [group for group in groups.values() if len(group) > 1]

    def _run_together(self, rank: int, group: list[HeldNode]) -> None:
        """Run nodes in one call, or in several where memory does not allow one. Those without an output did not run."""
        for held in group:
            self._start(held.prepared)
        began = self._probe.start()
        while len(batch := group[: self._batches.size(rank)]) > 1:
            outputs, error, place = attempt(batch)
            if error is None:
                group = group[len(batch) :]
                seconds = self._note(began, batch, COMPLETED)
                began = self._probe.start()
                for held, output in zip(batch, outputs):
                    held.output, held.seconds = output, seconds
            if isinstance(error, CancelledError):
                self._note(began, batch, CANCELLED)
                self.session.cancel()
                return
            if error is not None and is_out_of_memory(error):
                self._batches.shrink(rank, len(batch) // 2)
                del error
                self.free_memory()
            elif error is not None:
                note_failed_batch(batch, error, place)
                return

    def _note(self, began: float, batch: list[HeldNode], status: str) -> float:
        """Add the rows of nodes that ran together; return the seconds of each."""
        planned = batch[0].prepared.planned
        nodes = [(held.prepared.id, held.prepared.path, self._seed(held.prepared)) for held in batch]
        return self._probe.finish_together(began, nodes, planned.id, planned.node_type.name, status)


def attempt(batch: list[HeldNode]) -> tuple[list[BaseInvocationOutput], BaseException | None, str]:
    """Run nodes in one call.

    Returns
    -------
    tuple
        Their outputs; or the error, without the frames that would keep tensors alive, and where it was raised.
    """
    try:
        node_type = batch[0].prepared.planned.node_type
        return [kept_output(output, node_type) for output in _invoke_batch(batch)], None, ""
    except BaseException as raised:
        place = place_of(raised)
        traceback.clear_frames(raised.__traceback__)
        return [], raised.with_traceback(None), place


def note_failed_batch(batch: list[HeldNode], error: BaseException, place: str) -> None:
    """Log that nodes failed in one call, and that each is run by itself."""
    logger.warning(
        "%s: %d nodes in one call failed, each is run by itself: %s",
        batch[0].prepared.planned.id,
        len(batch),
        with_place(f"{type(error).__name__}: {error}", place),
    )


def _invoke_batch(batch: list[HeldNode]) -> list[BaseInvocationOutput]:
    cls = type(batch[0].prepared.planned.node)
    nodes, contexts = zip(*(held.ready for held in batch if held.ready is not None))
    outputs = list(cls.invoke_batch(list(nodes), list(contexts)))
    wanted = cls.output_class
    if len(outputs) != len(batch) or not all(isinstance(output, wanted) for output in outputs):
        given = ", ".join(type(output).__name__ for output in outputs)
        raise TypeError(f"invoke_batch must return one {wanted.__name__} for each of {len(batch)} nodes, not [{given}]")
    return outputs
