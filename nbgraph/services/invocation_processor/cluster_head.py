"""How sessions come to the workers of a Dask cluster, and back: one thread of the kernel that a person sits at.

**Policy.** The unit of work is a session: it is sent as JSON to one worker, which keeps models in memory from one
session to the next. A session goes to a worker that does nothing and has its models, else to any that does nothing;
when there are more workers than sessions, large iterations are cut (`cluster_parts.py`). Which worker is free, what is
lost and what has to run again is the business of Dask's scheduler; there is no other.

**Threads.** One thread of the head does everything, a message at a time: a worker's question or mail, a task that has
ended, a cancel. It never waits for a worker. It lives while sessions wait or run.

**Failures.** Dask runs a task again when its worker is lost; the worker that starts it asks the head first (`_start`),
which counts, gives it what has finished meanwhile, and refuses a third time. A session that ran out of memory runs once
more when nothing else does. What a node raises is its result: it never runs again. If the scheduler is lost the session
is `interrupted`, and `resume` continues it; so it is for another kernel if this one is lost.

**Example.** A sweep of four on two workers:

    head        submit 1 2   start 1  start 2   mail 1   end 1: submit 3   mail 2   end 2: submit 4   ...
    worker a                 run 1 ------------------- | run 3 ---
    worker b                 run 2 --------------------------------- | run 4 ---
"""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, cast
from uuid import uuid4

from nbgraph.errors import ClusterError, GraphError, NodeError, Problem
from nbgraph.latch import Latch
from nbgraph.services.events.events_common import NodeWarned, SessionWaits
from nbgraph.services.invocation_processor.cluster_connection import Connection
from nbgraph.services.invocation_processor.cluster_flights import Flight, Leg
from nbgraph.services.invocation_processor.cluster_outbox import MailBatch
from nbgraph.services.invocation_processor.cluster_parts import next_parts
from nbgraph.services.invocation_processor.cluster_results import Resources, SessionResults, answer_of
from nbgraph.services.invocation_processor.cluster_session import Job
from nbgraph.services.invocation_processor.cluster_worker import (
    LegResult,
    WorkerFacts,
    cancel_leg,
    end_leg,
    fetch_resources,
    give_answer,
    take_mail,
)
from nbgraph.services.invocation_processor.invocation_processor_base import InvocationProcessorBase, SessionHandle
from nbgraph.services.invocation_queue.invocation_queue_common import QueueStatus
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.interrupts import defer_interrupt

logger = logging.getLogger("nbgraph")
LOOK_SECONDS = 1.0
NO_WORKER = "no worker of the cluster is there; waiting for one"
Message = Callable[[], None]


class ClusterHead(InvocationProcessorBase):
    """The thread of the head: sends sessions to workers, and takes over what they send back."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.id = connection, f"nbgraph-{uuid4().hex}"
        self.facts: dict[str, WorkerFacts] = {}
        """What each worker said about itself last, by address."""
        self._handles: dict[str, tuple[SessionHandle, Job]] = {}
        self._flights: dict[str, Flight] = {}
        self._legs: dict[str, Leg] = {}
        self._alone: list[Flight] = []
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._thread_ended = Latch()
        self._stopping = self._paused = False
        self._hold = ExitStack()

    @property
    def _all(self) -> InvocationServices:
        """The container, with all that the run loop may use of it."""
        return cast(InvocationServices, self.services)

    def _keep_working(self) -> None:
        with self._lock:
            if self._thread is None or self._thread_ended.is_open:
                self._thread_ended = Latch()
                ended = self._thread_ended
                self._thread = threading.Thread(target=self._work, args=(ended,), name="nbgraph cluster", daemon=True)
                self._thread.start()
        self._inbox.put(self._dispatch)

    def _work(self, ended: Latch) -> None:
        try:
            while not self._may_end():
                try:
                    message = self._inbox.get(timeout=LOOK_SECONDS)
                except Empty:
                    message = self._look
                try:
                    message()
                except Exception:
                    logger.exception("a message about the cluster could not be handled")
        finally:
            ended.open()

    def _may_end(self) -> bool:
        with self._lock:
            if self._flights or not self._inbox.empty() or (self._handles and not self._stopping):
                return False
            self._thread = None
            return True

    def _look(self) -> None:
        """Look whether workers have come or gone, while nothing else happens."""
        self.connection.restore()
        if not self.connection.workers():
            for flight in self._flights.values():
                self.services.events.dispatch(SessionWaits(flight.id, NO_WORKER))
        self._dispatch()

    def _dispatch(self) -> None:
        """Send waiting sessions while there are workers for them."""
        if self._alone and not self._legs:
            self._launch(self._alone.pop(0))
        while not (self._alone or self._paused or self._stopping) and self._room() > 0:
            if any(flight.is_alone for flight in self._flights.values()):
                return
            item = self.services.queue.take()
            if item is None:
                return
            found = self._handles.get(item.session_id)
            if found is None:
                continue
            handle, job = found
            if not self._flights:
                self._hold.enter_context(self.services.retention.running())
            flight = Flight(handle, item, job, SessionResults(handle.session, self._all))
            self._flights[flight.id] = flight
            self._all.note(f"run {flight.id} started, {len(handle.session.graph.nodes)} nodes, on the cluster")
            self._launch(flight)

    def _room(self) -> int:
        """Return how many legs may be submitted: one for each worker, and some more where their number follows load."""
        workers = len(self._usable())
        spare = 0 if self.connection.is_fixed else max(2, workers)
        return workers + spare - len(self._legs)

    def _usable(self) -> list[str]:
        return [each for each in self.connection.workers() if not self._problem(each)]

    def _problem(self, worker: str) -> str:
        facts = self.facts.get(worker)
        return "" if facts is None else facts["problem"]

    def _idle(self) -> list[str]:
        busy = {leg.worker for leg in self._legs.values()}
        unplaced = sum(not leg.worker for leg in self._legs.values())
        idle = [each for each in self._usable() if each not in busy]
        return idle[: max(0, len(idle) - unplaced)] if unplaced else idle

    def _launch(self, flight: Flight) -> None:
        """Submit the next legs of a flight: parts that can run at the same time, or all that is left."""
        session = flight.handle.session
        waiting = len(self._handles) - len(self._flights)
        idle = len(self._idle()) - waiting
        parts = [] if flight.is_alone else next_parts(session, idle, self._batch_size, flight.tried)
        try:
            for part in parts or [None]:
                self._submit(flight.new_leg(part))
        except Exception as error:
            logger.exception("session %s could not be sent", flight.id)
            flight.legs.clear()
            self._note_error(flight, error)
            self._finish(flight, flight.status)

    @property
    def _batch_size(self) -> int:
        return self.connection.settings.batch_size

    def _submit(self, leg: Leg) -> None:
        self._legs[leg.id] = leg
        job, idle = self._job_of(leg), self._idle()
        wanted = set(job.models.values())
        resident = [each for each in idle if wanted and each in self.facts and wanted <= {*self.facts[each]["models"]}]
        are_all_usable = len(self._usable()) == len(self.connection.workers())
        workers = resident or ([] if are_all_usable else self._usable())
        future = self.connection.submit(self.id, leg.id, job, workers, are_all_usable, leg.flight.item.priority)
        leg.future = future

        def done(future: Any) -> None:
            try:
                end = future.result()
            except BaseException as error:
                end = error
            self._inbox.put(partial(self._ended, leg.id, future, end))

        future.add_done_callback(done)

    def _job_of(self, leg: Leg) -> Job:
        given, session, cache = leg.flight.job, leg.flight.handle.session, self._all.invocation_cache
        all_share = all(each["shares_folder"] for each in self.facts.values()) and len(self.facts) > 0
        data = given.session
        if session.outputs:
            # what is finished need not run again
            data = {**data, "outputs": leg.flight.results.output_rows(), "seeds": session.to_dict()["seeds"]}
        return Job(
            session=data,
            part=leg.part,
            is_checked=given.is_checked or leg.part is not None,
            modules=given.modules,
            classes=given.classes,
            models=given.models,
            keys=None if all_share else cache.keys(),
            is_cache_on=cache.enabled,
            is_alone=leg.flight.is_alone,
        )

    # messages

    def _answer(self, worker: str, number: int, what: str, arguments: list[Any]) -> None:
        answer = self._start(worker, *arguments) if what == "start" else answer_of(self._all, what, arguments)
        self.connection.call(worker, lambda _: None, give_answer, self.id, number, answer)

    def _start(self, worker: str, leg_id: str, facts: WorkerFacts) -> list[Any] | None:
        """Let a worker start a leg: return the results that the head has got meanwhile; None if it must not start."""
        self.facts = {**self.facts, worker: facts}
        leg = self._legs.get(leg_id)
        if leg is None or leg.flight.handle.cancel.requested:
            return None
        if leg.end is not None:
            # Dask runs a task again whose result went with its worker
            self._run_again(leg)
            return None
        leg.starts += 1
        if leg.is_lost:
            leg.end = ClusterError(f"the worker that ran it was lost {leg.starts - 1} times")
            return None
        if leg.starts > 1:
            leg.flight.had_losses = True
            self._all.note(f"run {leg.flight.id}: worker {leg.worker} was lost; it starts again on {worker}")
        leg.worker, leg.seen, leg.is_busy, leg.has_mail = worker, 0, False, False
        leg.flight.results.start()
        self.services.events.dispatch(SessionWaits(leg.flight.id, ""))
        return leg.flight.results.output_rows() if leg.starts > 1 else []

    def _mail(self, leg_id: str, worker: str) -> None:
        leg = self._legs.get(leg_id)
        if leg is None or leg.worker != worker:
            return
        leg.has_mail = True
        if not leg.is_busy:
            leg.is_busy, leg.has_mail = True, False
            self._call(leg, partial(self._take, leg), take_mail, leg.id, leg.seen)

    def _call(self, leg: Leg, then: Callable[[Any], None], function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function on the worker of a leg; `then` gets its answer on this thread, if the leg is there still."""
        starts = leg.starts

        def answered(answer: Any) -> None:
            self._inbox.put(lambda: then(answer) if leg.starts == starts and leg.id in self._legs else None)

        self.connection.call(leg.worker, answered, function, self.id, *arguments)

    def _take(self, leg: Leg, batches: list[MailBatch] | Exception) -> None:
        """Take over batches of mail, after fetching the resources that they name and the head has not."""
        if isinstance(batches, Exception):
            self._go_on(leg)
            return
        new = [batch for batch in batches if batch["number"] > leg.seen]
        missing = [] if self.facts[leg.worker]["shares_folder"] else leg.flight.results.missing(new)
        if missing:
            self._call(leg, partial(self._store, leg, new), fetch_resources, missing)
        else:
            self._store(leg, new, [])

    def _store(self, leg: Leg, batches: list[MailBatch], resources: Resources | Exception) -> None:
        if isinstance(resources, Exception):
            if leg.end is not None:
                self._run_again(leg)
            else:  # it stays at the worker, and is fetched again; if the worker is gone, the leg starts again
                self._go_on(leg)
            return
        try:
            leg.flight.results.store(resources)
            for batch in batches:
                leg.flight.results.apply(batch, self.facts[leg.worker])
                leg.seen = batch["number"]
        except Exception as error:  # a full disk, say: who waits must hear of it, and the worker need not go on
            logger.exception("results of session %s could not be stored", leg.flight.id)
            leg.end = error
            self._cancel_leg(leg)
        self._go_on(leg)

    def _run_again(self, leg: Leg) -> None:
        """Run a leg again that has ended, as its worker was lost with images and tensors that were not fetched yet."""
        flight = leg.flight
        del self._legs[leg.id], flight.legs[leg.id]
        flight.had_losses = True
        self._all.note(f"run {flight.id}: worker {leg.worker} was lost before its results were fetched; it runs again")
        again = flight.new_leg(leg.part)
        again.starts = leg.starts
        self._submit(again)

    def _go_on(self, leg: Leg) -> None:
        """Do what came up while a call was under way: fetch mail, or end."""
        leg.is_busy = False
        if leg.end is not None:
            self._end_leg(leg)
        elif leg.has_mail:
            self._mail(leg.id, leg.worker)

    def _ended(self, leg_id: str, future: Any, end: LegResult | BaseException) -> None:
        leg = self._legs.get(leg_id)
        if leg is None or leg.future is not future:
            return
        leg.end = leg.end or end
        if not leg.is_busy:
            self._end_leg(leg)

    def _end_leg(self, leg: Leg) -> None:
        """Take over the end of a leg, when all its mail is."""
        end, flight = leg.end, leg.flight
        if isinstance(end, dict):
            self.facts = {**self.facts, leg.worker: end["facts"]}
            if left := [batch for batch in end["batches"] if batch["number"] > leg.seen]:
                leg.is_busy = True
                self._take(leg, left)
                return
            self.connection.call(leg.worker, lambda _: None, end_leg, self.id, leg.id)
        del self._legs[leg.id], flight.legs[leg.id]
        if isinstance(end, dict):
            self._note_end(flight, end)
        elif end is not None:
            self._note_error(flight, end)
        if flight.status:
            for other in list(flight.legs.values()):
                self._cancel_leg(other)
        if not flight.legs:
            self._after_legs(flight, leg)
        self._dispatch()

    def _note_end(self, flight: Flight, end: LegResult) -> None:
        """Note how a leg ended; memory that ran out is an end only the second time."""
        if end["ran_out_of_memory"] and not flight.is_alone and not flight.handle.cancel.requested:
            flight.is_alone = True
            node = end["failures"][0]["node"] if end["failures"] else ""
            text = "memory ran out on a worker; the run starts once more when nothing else runs"
            self.services.events.dispatch(NodeWarned(flight.id, node, text))
            return
        flight.results.end_leg(end)
        flight.handle.failures += [NodeError(**each) for each in end["failures"]]
        if end["refusal"]:
            flight.handle.refusal = GraphError([Problem(*each) for each in end["refusal"]])
        if end["status"] != "completed" and (end["status"] != "failed" or self._stops(flight)):
            flight.status = flight.status or end["status"]

    def _stops(self, flight: Flight) -> bool:
        session, handle = flight.handle.session, flight.handle
        return session.on_error == "stop" or handle.refusal is not None or not handle.failures

    def _note_error(self, flight: Flight, error: BaseException) -> None:
        """Note that a leg has no result: it was cancelled, the scheduler is gone, or workers were lost too often."""
        name = type(error).__name__
        if flight.handle.cancel.requested:
            flight.status = flight.status or "cancelled"
        elif name in ("FutureCancelledError", "CancelledError", "CommClosedError"):
            flight.status = "interrupted"
            flight.results.errors["session"] = "the scheduler of the cluster is gone; studio.resume(run) continues it"
        else:
            flight.status = "failed"
            text = f"{name}: {error}" if name != "ClusterError" else str(error)
            flight.results.errors["session"] = text
            flight.handle.failures.append(NodeError("session", "session", text, {}))

    def _after_legs(self, flight: Flight, last: Leg) -> None:
        """Go on with a flight without legs: with its next legs, or to its end."""
        if flight.handle.cancel.requested and not flight.status:
            flight.status = "cancelled"
        if flight.status:
            self._finish(flight, flight.status)
        elif flight.is_alone and last.flight is flight and not self._has_run_alone(flight):
            flight.tried.add("alone")
            self._alone.append(flight)
        elif last.part is not None:
            self._launch(flight)
        else:
            self._finish(flight, "failed" if flight.handle.failures else "completed")

    def _has_run_alone(self, flight: Flight) -> bool:
        return "alone" in flight.tried

    def _finish(self, flight: Flight, status: str) -> None:
        """End a session: store how, tell who listens, and wake who waits."""
        session, services = flight.handle.session, self._all
        try:
            flight.results.finish(status, was_cut=bool(flight.tried - {"alone"}))
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
        services.retention.ended(session)
        self._end(flight.handle, status)

    def _cancel(self, session_id: str) -> None:
        flight = self._flights.get(session_id)
        if flight is None:
            return
        for leg in list(flight.legs.values()):
            self._cancel_leg(leg)
        if flight in self._alone:
            self._alone.remove(flight)
            self._finish(flight, "cancelled")

    def _cancel_leg(self, leg: Leg) -> None:
        if leg.worker:
            self.connection.call(leg.worker, lambda _: None, cancel_leg, self.id, leg.id)
        else:
            leg.future.cancel()

    def _end(self, handle: SessionHandle, status: str) -> None:
        self._forget(handle.session.id)
        handle.end(status, handle.failures)

    def _forget(self, session_id: str) -> None:
        with defer_interrupt(), self._lock:
            self._handles.pop(session_id, None)
