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
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from queue import Empty
from time import monotonic

from nbgraph.errors import ClusterError
from nbgraph.latch import Latch
from nbgraph.services.events.events_common import SessionWaits
from nbgraph.services.invocation_processor.cluster_connection import Connection
from nbgraph.services.invocation_processor.cluster_dask import DaskFuture
from nbgraph.services.invocation_processor.cluster_ends import ClusterEnds
from nbgraph.services.invocation_processor.cluster_flights import CellGroup, Flight, Leg, Shipment, even_size
from nbgraph.services.invocation_processor.cluster_keys import KnownKeys
from nbgraph.services.invocation_processor.cluster_messages import Job
from nbgraph.services.invocation_processor.cluster_parts import next_parts
from nbgraph.services.invocation_processor.cluster_placement import Placement, place
from nbgraph.services.invocation_processor.cluster_results import SessionResults

logger = logging.getLogger("nbgraph")
LOOK_SECONDS = 1.0
NO_WORKER = "no worker of the cluster is there; waiting for one"


class ClusterHead(ClusterEnds):
    """The thread of the head: chooses what runs where, and sends it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._taking = threading.Lock()
        self._thread: threading.Thread | None = None
        self._thread_ended = Latch()
        self._stopping = self._paused = False
        self._looked = 0.0

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
            while True:
                try:
                    self._handle_next()
                except Empty:
                    if self._may_end():
                        return
                except Exception:  # one message that fails must not end the thread, on which all sessions depend
                    logger.exception("a message about the cluster could not be handled")
                if self._stopping and self._may_end():
                    return
        finally:
            ended.open()

    def _handle_next(self) -> None:
        """Do what is next in the inbox, and look after the cluster each second; raises `Empty` if nothing came."""
        if monotonic() - self._looked > LOOK_SECONDS:
            self._looked = monotonic()
            self._look()
        self._inbox.get(timeout=LOOK_SECONDS)()

    def _may_end(self) -> bool:
        # under the lock of `_keep_working`: a session submitted now is seen here, or starts another thread
        with self._lock:
            if self._flights or not self._inbox.empty() or (self._handles and not self._stopping):
                return False
            self._rest()
            self._thread = None
            return True

    def _look(self) -> None:
        """Look whether workers have come or gone."""
        self.connection.restore()
        self._rest()
        known = self.connection.workers()
        for flight in self._flights.values() if not known else ():
            self.services.events.dispatch(SessionWaits(flight.id, NO_WORKER))
        for shipment in list(self._shipments) if known else ():
            # a worker that has just joined may run it, and is not among those that were known a moment ago
            if shipment.is_stuck(known.keys()) and not self.connection.has(shipment.worker):
                self._send_again(shipment)
        self._dispatch()

    def _send_again(self, shipment: Shipment) -> None:
        """Send the legs of a task once more whose worker is gone; Dask waits for one of that address."""
        legs, task = [leg for leg in shipment.legs if self._legs.get(leg.id) is leg], shipment.future
        for leg in legs:
            del self._legs[leg.id], leg.flight.legs[leg.id]
            leg.flight.had_losses = True
            leg.starts = leg.starts or int(self._was_lost(shipment.worker, leg))
            self._leave_shipment(leg)
        self._submit_again(legs)
        if task is not None:
            task.cancel()

    def _rest(self) -> None:
        """Do what need not be done at once."""
        self._spent.clear()
        self._let_forget()

    # sending

    def _dispatch(self) -> None:
        """Send waiting sessions while there are workers for them."""
        alone = next((flight for flight in self._waiting if flight.is_alone), None)
        if alone is not None and not self._legs:
            self._waiting.remove(alone)
            self._launch([alone])
        while not (self._paused or self._stopping) and self._room() > 0:
            if any(flight.is_alone for flight in self._flights.values()):
                return
            # while a group is being queued, or its first session would be sent before the second is there
            if not self._taking.acquire(blocking=False):
                return
            try:
                flights = self._take_flights()
            finally:
                self._taking.release()
            if not flights:
                return
            self._launch(flights)

    def _room(self) -> int:
        """Return how many tasks may be sent: one for each worker, and some more where their number follows load."""
        workers = len(self._usable())
        # a cluster that follows the load starts workers only while tasks wait
        spare = 0 if self.connection.is_fixed else max(2, workers)
        return workers + spare - len(self._shipments)

    def _usable(self) -> list[str]:
        return self.connection.usable(self.facts)

    def _idle(self) -> list[str]:
        busy = {shipment.worker for shipment in self._shipments}
        unplaced = sum(not shipment.worker for shipment in self._shipments)
        idle = [each for each in self._usable() if each not in busy]
        # Dask will give the tasks without a place to some of them; which ones is not known
        return idle[: max(0, len(idle) - unplaced)]

    def _take_flights(self) -> list[Flight]:
        """Take the next session from the queue, with as many of its group as are sent together."""
        first = self._next_flight()
        if first is None:
            return []
        flights, group = [first], first.handle.group
        if isinstance(group, CellGroup):
            group.size = group.size or self._group_size(group)
            while len(flights) < group.size and (flight := self._next_flight()) is not None:
                if flight.handle.group is not group:
                    self._waiting.append(flight)
                    break
                flights.append(flight)
        return flights

    def _group_size(self, group: CellGroup) -> int:
        with self._lock:
            cells = sum(handle.group is group for handle, _ in self._handles.values())
        return even_size(cells, len(self._usable()), self._batch_size)

    def _next_flight(self) -> Flight | None:
        if self._waiting:
            return self._waiting.pop(0)
        while (item := self.services.queue.take()) is not None:
            found = self._handles.get(item.session_id)
            if found is None:
                continue
            handle, job = found
            if not self._flights:
                self._hold.enter_context(self.services.retention.running())
            flight = Flight(handle, item, job, SessionResults(handle.session, self._all))
            self._flights[flight.id] = flight
            self._all.note(f"run {flight.id} started, {len(handle.session.graph.nodes)} nodes, on the cluster")
            return flight
        return None

    def _launch(self, flights: Sequence[Flight]) -> None:
        """Send the next legs of a flight: parts that can run at the same time, or what is left; or all of a group."""
        try:
            if len(flights) > 1:
                self._submit([flight.new_leg(None) for flight in flights])
                return
            (flight,) = flights
            # idle workers are left to the sessions that wait: cutting this one would only delay them
            waiting = len(self._handles) - len(self._flights)
            idle = len(self._idle()) - waiting
            parts = [] if flight.is_alone else next_parts(flight.handle.session, idle, self._batch_size, flight.tried)
            for part in parts or [None]:
                self._submit([flight.new_leg(part)])
        except Exception as error:
            logger.exception("session %s could not be sent", flights[0].id)
            for flight in flights:
                for leg in list(flight.legs.values()):
                    self._cancel_leg(leg)
                    self._legs.pop(leg.id, None)
                    self._leave_shipment(leg)
                flight.legs.clear()
                self._note_error(flight, error)
                self._finish(flight, flight.status)

    @property
    def _batch_size(self) -> int:
        return self.connection.settings.batch_size

    def _submit(self, legs: Sequence[Leg]) -> None:
        usable, known = self._usable(), len(self.connection.workers())
        if known and not usable:
            problems = "; ".join(sorted({each["problem"] for each in self.facts.values() if each["problem"]}))
            raise ClusterError(f"no worker can be used: {problems or 'none offers what the others do'}")
        wanted = {fingerprint for leg in legs for fingerprint in leg.flight.job.models.values()}
        held = {address: frozenset(facts["models"]) for address, facts in self.facts.items()}
        where = place(wanted, self._idle(), usable, held, known)
        shipment = Shipment(legs, where)
        for leg in legs:
            self._legs[leg.id] = leg
        self._shipments.append(shipment)
        try:
            self._send(shipment, where)
        except BaseException:
            self._shipments.remove(shipment)
            raise

    def _send(self, shipment: Shipment, where: Placement) -> None:
        jobs = [self._job_of(leg, where.first) for leg in shipment.legs]
        # all legs of a task run on one worker, which needs the keys once
        jobs[0] = replace(jobs[0], keys=self._keys_for(where.first))
        future = self.connection.submit(self.id, jobs, where, shipment.legs[0].flight.item.priority)
        shipment.future = future

        def done(future: DaskFuture) -> None:
            # the ends of all legs came as messages, before the end of the task: there is nothing to fetch
            if all(leg.is_reported for leg in shipment.legs):
                return
            try:
                end = future.result()
            except BaseException as error:
                end = error
            self._inbox.put(partial(self._returned, shipment, end))

        future.add_done_callback(done)

    def _job_of(self, leg: Leg, first: str) -> Job:
        flight = leg.flight
        session, data = flight.handle.session, flight.job.session
        if session.outputs:
            # what is finished need not run again
            data = {**data, "outputs": flight.results.output_rows(), "seeds": session.to_dict()["seeds"]}
        return replace(
            flight.job,
            session=data,
            part=leg.part,
            is_checked=flight.job.is_checked or leg.part is not None,
            is_cache_on=self._all.invocation_cache.enabled,
            is_alone=flight.is_alone,
            leg=leg.id,
            # one that has been started before must ask
            first=first if leg.starts == 0 else "",
        )

    def _keys_for(self, first: str) -> KnownKeys | None:
        """Return the keys that the cache has, for a worker that does not see it."""
        facts = [self.facts[first]] if first in self.facts else list(self.facts.values())
        if facts and all(each["shares_folder"] for each in facts):
            return None
        return self._new_keys(first)
