"""What the head knows of the sessions that are on their way: each with the legs that workers run for it."""

from typing import Any
from uuid import uuid4

from nbgraph.services.invocation_processor.cluster_results import SessionResults
from nbgraph.services.invocation_processor.cluster_session import Job, Part
from nbgraph.services.invocation_processor.cluster_worker import LegResult, WorkerFacts
from nbgraph.services.invocation_processor.invocation_processor_base import SessionHandle
from nbgraph.services.invocation_queue.invocation_queue_common import QueueItem

MOST_STARTS = 2
"""A leg whose worker was lost runs once more, elsewhere."""


class Leg:
    """One task at the scheduler: a session, or a part of one.

    `worker` is the address of the worker that runs it, `starts` how often one began to. `seen` is the number of the
    last batch of its mail that was taken over.
    """

    def __init__(self, flight: "Flight", part: Part | None) -> None:
        self.id = uuid4().hex
        self.flight, self.part = flight, part
        self.future: Any = None
        self.worker, self.starts, self.seen = "", 0, 0
        self.facts: WorkerFacts | None = None
        self.is_busy = self.has_mail = False
        self.end: LegResult | BaseException | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it was started as often as may be, and is asked for again."""
        return self.starts > MOST_STARTS


class Flight:
    """One session of the queue while it runs on workers."""

    def __init__(self, handle: SessionHandle, item: QueueItem, job: Job, results: SessionResults) -> None:
        self.handle, self.item, self.job, self.results = handle, item, job, results
        self.legs: dict[str, Leg] = {}
        self.tried: set[str] = set()
        self.status = ""
        """How it ends, as soon as that is known: a leg failed or was cancelled."""
        self.is_alone = False
        self.had_losses = False

    @property
    def id(self) -> str:
        """The id of the session."""
        return self.handle.session.id

    def new_leg(self, part: Part | None) -> Leg:
        """Return a new leg of this flight."""
        leg = Leg(self, part)
        self.legs[leg.id] = leg
        return leg
