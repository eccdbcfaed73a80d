"""What the head of a cluster does when a task, a leg or a session has ended, and when a session is cancelled.

A task whose legs all reported their ends by message has nothing more to say. What a task returns is looked at only for
the others: an end that was too large for a message, a worker that was lost, a scheduler that is gone. A leg that has to
run again leaves its task and is submitted with as many starts as it has had, so that a third one is refused.
"""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from typing import cast
from uuid import uuid4

from nbgraph.errors import ClusterError
from nbgraph.services.invocation_processor.cluster_connection import Connection
from nbgraph.services.invocation_processor.cluster_dask import DaskFuture
from nbgraph.services.invocation_processor.cluster_flights import Flight, Leg, Shipment
from nbgraph.services.invocation_processor.cluster_intake import ClusterIntake
from nbgraph.services.invocation_processor.cluster_messages import Job, Letter
from nbgraph.services.invocation_processor.cluster_worker import cancel_leg
from nbgraph.services.invocation_processor.invocation_processor_base import SessionHandle
from nbgraph.services.invocation_queue.invocation_queue_common import QueueStatus
from nbgraph.services.shared.interrupts import defer_interrupt

logger = logging.getLogger("nbgraph")


class ClusterEnds(ClusterIntake):
    """Ends legs and sessions, or has legs run again, on the thread of the head."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, f"nbgraph-{uuid4().hex}")
        self._handles: dict[str, tuple[SessionHandle, Job]] = {}
        self._flights: dict[str, Flight] = {}
        self._shipments: list[Shipment] = []
        """Those that have legs which have not ended."""
        self._spent: list[DaskFuture | None] = []
        """Tasks that have ended with nothing to return. They are let go of each second: Dask tells the worker of each,
        and what it sends a worker within 5 ms after that waits."""
        self._waiting: list[Flight] = []
        """Those that were taken from the queue and are not sent: they run alone, or begin the next group."""
        self._hold = ExitStack()
        """Keeps what running sessions need from being deleted; open while there are flights."""

    @abstractmethod
    def _dispatch(self) -> None:
        """Send waiting sessions while there are workers for them."""

    @abstractmethod
    def _launch(self, flights: Sequence[Flight]) -> None:
        """Send the next legs of a flight, or all of a group."""

    @abstractmethod
    def _submit(self, legs: Sequence[Leg]) -> None:
        """Send legs as one task; raises `ClusterError` if no worker can be used."""

    def _returned(self, shipment: Shipment, end: object) -> None:
        """Take over what a task returned: the ends of legs that were too large for a message, or why there are none."""
        for leg in shipment.legs:
            if self._legs.get(leg.id) is not leg:
                continue  # it has ended by a message, or was submitted again
            if isinstance(end, dict):
                letter = cast("dict[str, Letter]", end).get(leg.id)
                if letter is not None and letter.result is not None and letter.result["status"] == "unusable":
                    self._run_elsewhere(leg)
                elif letter is not None and leg.worker:
                    self._letter(letter, leg.worker)
                elif not leg.is_reported:
                    self._end_without_result(leg)
            elif isinstance(end, BaseException):
                leg.end = leg.end or end
                if not leg.is_busy:
                    self._end_leg(leg)

    def _end_without_result(self, leg: Leg) -> None:
        """End a leg that a worker was not allowed to start, or whose end went with a connection."""
        if leg.end is None and not leg.flight.handle.cancel.requested:
            self._run_again(leg)
            return
        leg.end = leg.end or ClusterError("it was not started")
        if not leg.is_busy:
            self._end_leg(leg)

    def _run_elsewhere(self, leg: Leg) -> None:
        """Run a leg again that came to a worker which cannot be used."""
        del self._legs[leg.id], leg.flight.legs[leg.id]
        self._resubmit(leg)

    def _resubmit(self, leg: Leg) -> None:
        self._leave_shipment(leg)
        self._submit_again([leg])

    def _submit_again(self, legs: Sequence[Leg]) -> None:
        """Submit legs that have left their task, each with as many starts as it has had."""
        again = [leg.flight.new_leg(leg.part) for leg in legs]
        for old, new in zip(legs, again, strict=True):
            new.starts = old.starts
        try:
            self._submit(again)
        except Exception as error:
            for leg in again:
                self._legs[leg.id] = leg  # `_end_leg` ends legs that are known only
                leg.end = error
                self._end_leg(leg)

    def _leave_shipment(self, leg: Leg) -> None:
        # what is let go of here would be kept until a collection of cycles, and Dask would keep the task
        shipment, leg.shipment = leg.shipment, None
        if shipment in self._shipments and not any(self._legs.get(each.id) is each for each in shipment.legs):
            self._shipments.remove(shipment)
            if all(each.is_reported for each in shipment.legs):
                self._spent.append(shipment.future)
            shipment.future = None

    def _leg_ended(self, flight: Flight, leg: Leg) -> None:
        self._leave_shipment(leg)
        if not flight.legs:
            self._after_legs(flight, leg)
        self._dispatch()

    def _after_legs(self, flight: Flight, last: Leg) -> None:
        """Go on with a flight without legs: with its next legs, or to its end."""
        if flight.handle.cancel.requested and not flight.status:
            flight.status = "cancelled"
        if flight.status:
            self._finish(flight, flight.status)
        elif flight.is_alone and not flight.has_run_alone:
            flight.has_run_alone = True
            self._waiting.append(flight)
        elif last.part is not None:
            self._launch([flight])
        else:
            self._finish(flight, "failed" if flight.handle.failures else "completed")

    def _finish(self, flight: Flight, status: str) -> None:
        """End a session: store how, tell who listens, and wake who waits."""
        session, services = flight.handle.session, self._all
        try:
            flight.results.finish(status, was_cut=bool(flight.tried))
            if flight.had_losses and status != "interrupted":
                flight.results.drop_unfinished()
            error = next(iter(session.errors.values()), "")
            services.queue.finish(session.id, cast(QueueStatus, status), error)
            services.graph_execution_manager.set(session)
            services.flush()
            services.note(f"run {session.id} {status}")
        except Exception:
            logger.exception("the end of session %s could not be stored", session.id)
        del self._flights[flight.id]
        if not self._flights:
            self._hold.close()
        # after `_hold` is closed: while sessions run nothing is deleted
        services.retention.ended(session)
        # last, since whoever waits reads what is stored above
        self._end(flight.handle, status)

    def _cancel(self, session_id: str) -> None:
        flight = self._flights.get(session_id)
        if flight is None:
            return
        for leg in list(flight.legs.values()):
            self._cancel_leg(leg)
        if flight in self._waiting:
            self._waiting.remove(flight)
            self._finish(flight, "cancelled")

    def _cancel_leg(self, leg: Leg) -> None:
        shipment = leg.shipment
        if leg.worker:
            self.connection.call(leg.worker, lambda _: None, cancel_leg, self.id, leg.id)
            return
        # one with others that go on is cancelled when its worker begins
        if shipment is None or shipment.future is None or shipment.has_begun:
            return
        if all(each.flight.is_given_up for each in shipment.legs):
            shipment.future.cancel()

    def _end(self, handle: SessionHandle, status: str) -> None:
        self._forget(handle.session.id)
        handle.end(status, handle.failures)

    def _forget(self, session_id: str) -> None:
        with defer_interrupt(), self._lock:
            self._handles.pop(session_id, None)
