"""What the head of a cluster does with what workers send: questions, mail and the ends of legs.

Mail of a leg is taken over in its order. A batch that did not come in the order in which it was cut, and what is too
large to be sent unasked, is fetched; meanwhile nothing else of the leg is taken over. A worker keeps all of it until it
is told that the leg has ended here.
"""

import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import cast

from nbgraph.errors import ClusterError, GraphError, NodeError, Problem
from nbgraph.services.events.events_common import NodeWarned, SessionWaits
from nbgraph.services.invocation_processor.cluster_connection import Connection
from nbgraph.services.invocation_processor.cluster_dask import why_cancelled
from nbgraph.services.invocation_processor.cluster_flights import Flight, Leg
from nbgraph.services.invocation_processor.cluster_keys import KeySeries, KnownKeys
from nbgraph.services.invocation_processor.cluster_messages import (
    Begun,
    LegResult,
    Letter,
    Mail,
    MailBatch,
    Message,
    Outputs,
    Question,
    Resource,
    WorkerFacts,
)
from nbgraph.services.invocation_processor.cluster_results import answer_of
from nbgraph.services.invocation_processor.cluster_worker import (
    cancel_leg,
    end_legs,
    fetch_resources,
    give_answer,
    take_mail,
)
from nbgraph.services.invocation_processor.invocation_processor_base import InvocationProcessorBase
from nbgraph.services.invocation_services import InvocationServices

logger = logging.getLogger("nbgraph")
CANCELLED = ("FutureCancelledError", "CancelledError", "CommClosedError")
SCHEDULER_GONE = "the scheduler of the cluster is gone"
WHY_CANCELLED = {
    "": SCHEDULER_GONE,
    "scheduler-connection-lost": SCHEDULER_GONE,
    "scheduler-restart": "the workers of the cluster were restarted by Client.restart()",
}
Task = Callable[[], object]


class ClusterIntake(InvocationProcessorBase):
    """Takes over what workers send, on the thread of the head."""

    def __init__(self, connection: Connection, studio: str) -> None:
        self.connection, self.id = connection, studio
        self.facts: dict[str, WorkerFacts] = {}
        """What each worker said about itself last, by address."""
        self._legs: dict[str, Leg] = {}
        self._inbox: SimpleQueue[Task] = SimpleQueue()
        self._forgotten: dict[str, list[str]] = {}
        """Legs that workers may forget, by worker."""
        self._lock = threading.Lock()
        self._series = KeySeries()

    @property
    def _all(self) -> InvocationServices:
        """The container, with all that the run loop may use of it."""
        return cast(InvocationServices, self.services)

    @abstractmethod
    def _resubmit(self, leg: Leg) -> None:
        """Run a leg again, with as many starts as it has had."""

    @abstractmethod
    def _leg_ended(self, flight: Flight, leg: Leg) -> None:
        """Go on with a flight of which a leg has ended."""

    @abstractmethod
    def _cancel_leg(self, leg: Leg) -> None:
        """Have a leg end wherever it is."""

    def hear(self, message: Message) -> None:
        """Take a message of a worker, on the thread of the client's event loop."""
        if isinstance(message, Mail):
            # at once, not on the head's thread: the end of the task comes next, and must find it
            for letter in message.letters:
                if letter.result is not None and (leg := self._legs.get(letter.leg)) is not None:
                    leg.is_reported = True
        self._inbox.put(partial(self._handle, message))

    def _handle(self, message: Message) -> None:
        if isinstance(message, Mail):
            if message.begun is not None:
                self._begun(message.begun)
            for letter in message.letters:
                self._letter(letter, message.worker)
            for leg in message.waiting:
                self._fetch(leg, message.worker)
        else:
            self._answer(message)

    # beginnings

    def _begun(self, message: Begun) -> None:
        for leg_id in message.legs:
            if self._start(message.worker, leg_id, message.facts) is not None:
                continue
            if (leg := self._legs.get(leg_id)) is not None:
                leg.worker = message.worker  # which says how it ended
            self.connection.call(message.worker, _ignore, cancel_leg, self.id, leg_id)

    def _answer(self, question: Question) -> None:
        try:
            answer = self._answer_to(question)
        except Exception as error:  # a folder that is busy or gone, say: without an answer the worker waits for ever
            logger.exception("a question of a worker could not be answered")
            text = f"the kernel could not answer worker {question.worker}: {type(error).__name__}: {error}"
            answer = ClusterError(text)
        self.connection.call(question.worker, _ignore, give_answer, self.id, question.number, answer)

    def _answer_to(self, question: Question) -> object:
        worker, arguments = question.worker, question.arguments
        if question.what == "start":
            legs, facts = cast("tuple[list[str], WorkerFacts]", arguments)
            return [self._start(worker, leg, facts) for leg in legs]
        if question.what == "keys":
            self._series.forget(worker)
            return self._new_keys(worker)
        return answer_of(self._all, question.what, arguments)

    def _new_keys(self, worker: str) -> KnownKeys:
        """Return the keys of the cache that a worker has to learn."""
        self._series.take(self._all.invocation_cache.keys_after(self._series.mark))
        return self._series.next(worker)

    def _start(self, worker: str, leg_id: str, facts: WorkerFacts) -> Outputs | None:
        """Let a worker start a leg: return the results that the head has got meanwhile; None if it must not start."""
        self.facts = {**self.facts, worker: facts}
        leg = self._legs.get(leg_id)
        # a worker with a problem says so in its result
        if leg is None or leg.flight.is_given_up or facts["problem"]:
            return None
        if leg.end is not None:
            # Dask runs a task again whose result went with its worker
            self._run_again(leg)
            return None
        sent_to = "" if leg.shipment is None else leg.shipment.where.first
        if leg.starts == 0 and sent_to not in ("", worker) and self._was_lost(sent_to, leg):
            leg.begin(sent_to)  # it was lost before its word that it begins had left it
        lost = leg.worker
        leg.begin(worker)
        if leg.is_lost:
            leg.end = ClusterError(f"the worker that ran it was lost {leg.starts - 1} times")
            return None
        if leg.starts > 1:
            leg.flight.had_losses = True
            self._all.note(f"run {leg.flight.id}: worker {lost} was lost; it starts again on {worker}")
        leg.flight.results.start()
        self.services.events.dispatch(SessionWaits(leg.flight.id, ""))
        return leg.flight.results.output_rows() if leg.starts > 1 else []

    def _was_lost(self, worker: str, leg: Leg) -> bool:
        """Return whether a worker was lost with a leg; one that was gone before it was sent has not tried to run it."""
        task = "" if leg.shipment is None else leg.shipment.task
        return self.connection.was_lost_with(worker, task)

    # mail

    def _letter(self, letter: Letter, worker: str) -> None:
        """Take over what a worker sent unasked, or the end of a task."""
        leg = self._legs.get(letter.leg)
        if leg is None or leg.worker != worker:
            return
        if letter.result is not None:
            leg.end, leg.resources = leg.end or letter.result, letter.resources
            if not leg.is_busy:
                self._end_leg(leg)
        elif leg.is_busy or not leg.continues(letter.batches):
            self._fetch(leg.id, worker)
        else:
            leg.is_busy = True
            self._take(leg, letter)

    def _fetch(self, leg_id: str, worker: str) -> None:
        """Fetch the mail of a leg, now or after what is under way."""
        leg = self._legs.get(leg_id)
        if leg is None or leg.worker != worker:
            return
        leg.has_mail = True
        if not leg.is_busy:
            leg.is_busy, leg.has_mail = True, False
            self._call(leg, partial(self._take_fetched, leg), take_mail, leg.id, leg.seen)

    def _call(
        self, leg: Leg, then: Callable[[object], None], function: Callable[..., object], *arguments: object
    ) -> None:
        """Call a function on the worker of a leg; `then` gets its answer on this thread, if the leg is there still."""
        starts = leg.starts

        def answered(answer: object) -> None:
            self._inbox.put(lambda: then(answer) if leg.starts == starts and leg.id in self._legs else None)

        self.connection.call(leg.worker, answered, function, self.id, *arguments)

    def _take_fetched(self, leg: Leg, letter: object) -> None:
        if isinstance(letter, Letter):
            self._take(leg, letter)
        elif leg.end is not None:
            self._run_again(leg)
        else:  # it stays at the worker, and is fetched again; if the worker is gone, the leg starts again
            self._go_on(leg)

    def _take(self, leg: Leg, letter: Letter) -> None:
        """Take over batches of mail, after fetching the resources that they name and nobody has sent."""
        new = [batch for batch in letter.batches if batch["number"] > leg.seen]
        shares_folder = self.facts[leg.worker]["shares_folder"]
        missing = [] if shares_folder else leg.flight.results.missing(new, letter.resources)
        if missing:
            self._call(leg, partial(self._store_fetched, leg, new, letter.resources), fetch_resources, missing)
        else:
            self._store(leg, new, letter.resources)

    def _store_fetched(self, leg: Leg, batches: Sequence[MailBatch], given: list[Resource], fetched: object) -> None:
        if isinstance(fetched, list):
            self._store(leg, batches, [*given, *cast("list[Resource]", fetched)])
        elif leg.end is not None:
            self._run_again(leg)
        else:
            self._go_on(leg)

    def _store(self, leg: Leg, batches: Sequence[MailBatch], resources: Sequence[Resource]) -> None:
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
        self._resubmit(leg)

    def _go_on(self, leg: Leg) -> None:
        """Do what came up while a call was under way: fetch mail, or end."""
        leg.is_busy = False
        if leg.end is not None:
            self._end_leg(leg)
        elif leg.has_mail:
            self._fetch(leg.id, leg.worker)

    # ends

    def _end_leg(self, leg: Leg) -> None:
        """Take over the end of a leg, when all its mail is."""
        end, flight = leg.end, leg.flight
        if isinstance(end, dict):
            self.facts = {**self.facts, leg.worker: end["facts"]}
            # mail that the end of the leg has overtaken
            if left := [batch for batch in end["batches"] if batch["number"] > leg.seen]:
                leg.is_busy = True
                if not leg.continues(left):
                    self._call(leg, partial(self._take_fetched, leg), take_mail, leg.id, leg.seen)
                    return
                self._take(leg, Letter(leg.id, left, leg.resources))
                return
            self._forgotten.setdefault(leg.worker, []).append(leg.id)
        del self._legs[leg.id], flight.legs[leg.id]
        if isinstance(end, dict):
            self._note_end(flight, end)
        elif end is not None:
            self._note_error(flight, end)
        if flight.status:
            for other in list(flight.legs.values()):
                self._cancel_leg(other)
        self._leg_ended(flight, leg)

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
        if end["status"] != "completed" and (end["status"] != "failed" or _stops(flight)):
            flight.status = flight.status or end["status"]

    def _note_error(self, flight: Flight, error: BaseException) -> None:
        """Note that a leg has no result: it was cancelled, the scheduler is gone, or workers were lost too often."""
        name = type(error).__name__
        if flight.is_given_up:
            flight.status = flight.status or "cancelled"
        elif name in CANCELLED:
            flight.status = "interrupted"
            why = WHY_CANCELLED.get(why_cancelled(error), "its task was cancelled, not by this studio")
            flight.results.errors["session"] = f"{why}; studio.resume(run) continues it"
        else:
            flight.status = "failed"
            text = f"{name}: {error}" if name != "ClusterError" else str(error)
            flight.results.errors["session"] = text
            flight.handle.failures.append(NodeError("session", "session", text, {}))

    def _let_forget(self) -> None:
        """Tell workers which legs they may forget."""
        forgotten, self._forgotten = self._forgotten, {}
        for worker, legs in forgotten.items():
            self.connection.call(worker, _ignore, end_legs, self.id, legs)


def _stops(flight: Flight) -> bool:
    session, handle = flight.handle.session, flight.handle
    return session.on_error == "stop" or handle.refusal is not None or not handle.failures


def _ignore(_: object) -> None:
    pass
