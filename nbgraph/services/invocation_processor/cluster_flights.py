"""What the head knows of the sessions that are on their way: each with the legs that workers run for it."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from uuid import uuid4

from nbgraph.services.invocation_processor.cluster_dask import DaskFuture
from nbgraph.services.invocation_processor.cluster_messages import Job, LegResult, MailBatch, Part, Resource
from nbgraph.services.invocation_processor.cluster_placement import Placement
from nbgraph.services.invocation_processor.cluster_results import SessionResults
from nbgraph.services.invocation_processor.invocation_processor_base import SessionHandle
from nbgraph.services.invocation_queue.invocation_queue_common import QueueItem

MOST_STARTS = 2
"""A leg whose worker was lost runs once more, elsewhere."""


class Leg:
    """What a worker runs of a session: all of it, or a part.

    `worker` is the address of the worker that runs it, `starts` how often one began to. `seen` is the number of the
    last batch of its mail that was taken over. `is_reported` is set as soon as a message with its end has arrived.
    """

    def __init__(self, flight: "Flight", part: Part | None) -> None:
        self.id = uuid4().hex
        self.flight, self.part = flight, part
        self.shipment: Shipment | None = None
        self.worker, self.starts, self.seen = "", 0, 0
        self.is_busy = self.has_mail = self.is_reported = False
        self.end: LegResult | BaseException | None = None
        self.resources: list[Resource] = []
        """Images and tensors that came with its end."""

    @property
    def is_lost(self) -> bool:
        """Whether it was started as often as may be, and is asked for again."""
        return self.starts > MOST_STARTS

    def begin(self, worker: str) -> None:
        """Note that a worker begins it, from its first batch of mail."""
        self.starts += 1
        # a worker numbers its batches from the first one, whatever another has sent of this leg
        self.worker, self.seen, self.is_busy, self.has_mail = worker, 0, False, False

    def continues(self, batches: Sequence[MailBatch]) -> bool:
        """Return whether these batches are those after the last one that was taken over."""
        return not batches or batches[0]["number"] <= self.seen + 1


class Shipment:
    """One task at the scheduler: a leg, or several whose nodes may share calls of a model."""

    def __init__(self, legs: Sequence[Leg], where: Placement) -> None:
        self.legs, self.where = list(legs), where
        self.future: DaskFuture | None = None
        for leg in legs:
            leg.shipment = self

    @property
    def worker(self) -> str:
        """The address of the worker that runs it, or will; "" if that is not known."""
        return next((leg.worker for leg in self.legs if leg.worker), self.where.first)

    @property
    def task(self) -> str:
        """The name of the task at the scheduler."""
        return self.legs[0].id

    @property
    def has_begun(self) -> bool:
        """Whether a worker has said that it runs it."""
        return any(leg.worker for leg in self.legs)

    def is_stuck(self, known: AbstractSet[str]) -> bool:
        """Return whether it waits for workers that are gone: those that it was sent to, and the one that ran it.

        Dask gives a task to other workers than those it names only while there are some; later ones do not get it.
        """
        return bool(self.where.workers) and known.isdisjoint([*self.where.workers, self.worker])


class Flight:
    """One session of the queue while it runs on workers."""

    def __init__(self, handle: SessionHandle, item: QueueItem, job: Job, results: SessionResults) -> None:
        self.handle, self.item, self.job, self.results = handle, item, job, results
        self.legs: dict[str, Leg] = {}
        self.tried: set[str] = set()
        self.status = ""
        """How it ends, as soon as that is known: a leg failed or was cancelled."""
        self.is_alone = self.has_run_alone = False
        self.had_losses = False

    @property
    def id(self) -> str:
        """The id of the session."""
        return self.handle.session.id

    @property
    def is_given_up(self) -> bool:
        """Whether nothing more of it is to run: it was cancelled, or a leg failed."""
        return self.handle.cancel.requested or self.status != ""

    def new_leg(self, part: Part | None) -> Leg:
        """Return a new leg of this flight."""
        leg = Leg(self, part)
        self.legs[leg.id] = leg
        return leg


class CellGroup:
    """Sessions that were submitted together, whose nodes may share calls; `size` is how many are sent together."""

    def __init__(self) -> None:
        self.size = 0


def even_size(cells: int, workers: int, batch_size: int) -> int:
    """Return how many cells to send together, so that each worker gets as many, in as few calls, as the others.

    Parameters
    ----------
    cells
        The number of cells of a group.
    workers
        The number of workers.
    batch_size
        The number of nodes that may run in one call.
    """
    workers = max(1, workers)
    rounds = -(-cells // (workers * batch_size))
    return max(1, -(-cells // (workers * max(1, rounds))))
