"""The retention service: what a studio deletes, and when.

Tensors and intermediate images are needed while something refers to them: a cached result, a session that may continue
(it waits, or was cancelled, interrupted, or failed), a session that is referenced in this process (by a `Run` or a
result of one), or a library graph. What was saved outside of a run is needed while the studio is open. Unreferenced
ones are deleted after a run, when something is cleared, when a folder is opened, and by `clean()`.

Nothing is deleted while a session runs, here or in another kernel that has the folder open: it may find any cached
result at any moment, and then need what that refers to until its end. Deletions are postponed to the end of the run.
Within the process a lock keeps runs and deletions apart. Between kernels it is the transaction that deletes records:
either "a session begins" or "no session runs, so delete" is first.

Limits by bytes and days are applied when a folder is opened, by `clean()`, and at most every ten minutes after a run;
those of a studio in memory after every few runs. The oldest are deleted first.
"""

import logging
from _thread import allocate_lock
from abc import abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from time import monotonic, time
from weakref import WeakKeyDictionary

from nbgraph.errors import ChoiceError, StoreError
from nbgraph.invocations.fields import resources_in
from nbgraph.services.images.images_common import ImageQuery, ImageRecord
from nbgraph.services.invocation_queue.invocation_queue_common import ENDED, QueueItem
from nbgraph.services.latents.latents_common import TensorRecord
from nbgraph.services.retention.retention_common import DAY, Limit, Limits, Usage, resources_of
from nbgraph.services.service import InvokerLike, Service
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.interrupts import defer_interrupt

Resource = ImageRecord | TensorRecord
logger = logging.getLogger("nbgraph")
TIDY_SECONDS = 600.0
SLACK = 32
"""So many runs over the limit are kept before the oldest are deleted together: deleting searches all sessions."""
PARTS = ("pictures", "starred pictures", "intermediates", "cache", "runs", "stats")


class RetentionBase(Service):
    """Decides what a studio deletes and when, counts what there is, and frees what a person asks it to."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._turn = allocate_lock()
        self._to_go: set[str] = set()
        self._by_hand: set[str] = set()
        self._names: WeakKeyDictionary[GraphExecutionState, tuple[int, set[str]]] = WeakKeyDictionary()
        self._runs_left = 0
        self._tidied = monotonic()
        self._endings: list[Callable[[], None]] = []

    def start(self, invoker: InvokerLike) -> None:
        """Begin work: follow what is saved and released, and do what is due at the opening of a studio.

        Parameters
        ----------
        invoker
            The owner of the services.
        """
        if self._invoker is None:
            services = invoker.services
            self._endings = [
                services.invocation_cache.on_released(self._to_go.update),
                services.images.on_changed(self._note_picture),
                services.latents.on_changed(self._note_tensors),
            ]
            super().start(invoker)
            self._begin()

    def stop(self) -> None:
        for end in self._endings:
            end()
        self._endings = []
        super().stop()

    @property
    def is_started(self) -> bool:
        """True while the other services can be used."""
        return self._invoker is not None

    @contextmanager
    def running(self) -> Generator[None]:
        """Delete nothing within the block, in which a session runs."""
        with self._turn:
            yield

    def ended(self, session: GraphExecutionState) -> None:
        """Apply the limits after a session has run here. Errors are only logged: the session's results are valid.

        Parameters
        ----------
        session
            The session; what only it needed is deleted once it is not referenced any more.
        """
        try:
            self._to_go |= self._names_of(session)
            if monotonic() - self._tidied > TIDY_SECONDS:
                self.tidy(DAY)
            else:
                self._limit_runs()
                self.collect()
        except StoreError as error:
            logger.warning("unneeded resources are kept for now: %s", error)
        except Exception:
            logger.exception("unneeded resources are kept for now")

    def collect(self) -> int:
        """Delete resources whose last reference is gone; return how many. Postponed while a session runs."""
        return self._delete_unneeded(self._to_go) if self._to_go else 0

    def tidy(self, grace_seconds: float = 0.0) -> int:
        """Delete all unreferenced resources, and apply all limits.

        Parameters
        ----------
        grace_seconds
            Younger resources are kept, and those of less than a day if other kernels have the folder open: code there
            may still use them.

        Returns
        -------
        int
            The number of resources deleted.
        """
        self._tidied = monotonic()
        # sessions first: what they refer to is unneeded only after them
        self._limit_sessions(self.limits.sessions)
        self._limit_stats()
        self.services.invocation_cache.tidy()
        # other kernels may hold resources that no record shows
        before = time() - max(grace_seconds, DAY if self._others_live() else 0.0)
        for record in [*self._tensors(), *self._intermediates()]:
            if record.created.timestamp() <= before:
                self._to_go.add(_name(record))
        gone = self.collect()
        gone += self._limit_resources([*self._tensors(), *self._intermediates()], self.limits.intermediates)
        return gone + self._limit_resources(self._pictures(starred=False), self.limits.pictures)

    def needed(self, held: bool = True) -> set[str]:
        """Return the names of resources that unfinished sessions and library graphs refer to; the cache does not count.

        Parameters
        ----------
        held
            Include what this process references: completed sessions, and what was saved outside of runs.
        """
        sessions = self.services.graph_execution_manager
        live = {session.id: session for session in sessions.live() if held or session.status != "completed"}
        found = set(self._by_hand if held else ()).union(*map(self._names_of, live.values()))
        owner = self.services.queue.owner
        stored = [
            item.session_id
            for item in self._items().values()
            if item.session_id not in live and (item.status != "completed" or self._is_other(item.owner, owner))
        ]
        found |= sessions.names_in(stored)
        graphs = [graph.graph for graph in self.services.graph_library.list(per_page=1_000_000).items]
        typed = [node.literals() for graph in graphs for node in graph.nodes.values()]
        return found.union(field.resource_name for field in resources_in(typed))

    def delete_intermediates(self) -> int:
        """Delete the intermediate images that no unfinished session needs, with the cached results that name them.

        While a session runs, here or in another kernel, they are deleted after it.

        Returns
        -------
        int
            The number of images deleted now.
        """
        return self._delete_unneeded([record.image_name for record in self._intermediates()], also_cached=True)

    def usage(self) -> list[Usage]:
        """Return the count and the bytes of each part."""
        cache = self.services.invocation_cache.status()
        sizes = self.services.graph_execution_manager.sizes()
        stats = self.services.performance_statistics.sizes()
        kept, starred = self._pictures(starred=False), self._pictures(starred=True)
        between = [*self._tensors(), *self._intermediates()]
        return [
            Usage("pictures", len(kept), _bytes(kept), self.limits.pictures),
            Usage("starred pictures", len(starred), _bytes(starred)),
            Usage("intermediates", len(between), _bytes(between), self.limits.intermediates),
            Usage("cache", cache.size, self._cache_bytes()),
            Usage("runs", len(sizes), sum(sizes.values()), self.limits.sessions),
            Usage("stats", len(stats), sum(stats.values()), self.limits.stats),
        ]

    def free(self, part: str) -> int:
        """Delete everything of a part except what a session needs.

        Returns
        -------
        int
            The number of things deleted.

        Raises
        ------
        ChoiceError
            There is no such part.
        """
        if part not in PARTS:
            raise ChoiceError("part", part, map(repr, PARTS))
        if part in ("pictures", "starred pictures"):
            names = [record.image_name for record in self._pictures(starred=part != "pictures")]
            return self.services.images.delete(*names)
        if part == "intermediates":
            records = [*self._tensors(), *self._intermediates()]
            return self._delete_unneeded([_name(record) for record in records], also_cached=True)
        if part == "cache":
            return self.services.invocation_cache.clear()
        if part == "runs":
            gone = self._limit_sessions(Limit(bytes=0), keep_makers=False)
            self.services.queue.clear()
            self.collect()
            return gone
        ids = self.services.performance_statistics.session_ids()
        self.services.performance_statistics.reset_stats()
        return len(ids)

    def _begin(self) -> None:
        """Do what is due when the studio is opened."""

    def _delete_unneeded(self, names: Collection[str], also_cached: bool = False) -> int:
        """Delete the resources that nothing needs; return how many.

        With `also_cached`, a person asked for it: being cached or referenced in this process does not count as need.
        """
        names = list(names)
        with defer_interrupt():
            # never wait here: the thread that holds the lock runs a session, and may itself be asking for this
            if not self._turn.acquire(blocking=False):
                self._to_go.update(names if also_cached else ())
                return 0
            try:
                return self._delete(names, also_cached)
            finally:
                self._turn.release()

    def _delete(self, names: list[str], also_cached: bool) -> int:
        services = self.services
        # asked here to save the work, and again by `unless` in the deleting transaction, where the answer cannot
        # change
        if services.queue.runs_elsewhere():
            return 0
        needed = self.needed(held=not also_cached)
        if not also_cached:
            cached = services.invocation_cache.named(names)
            self._to_go -= cached  # `on_released` adds them again when the cache drops them
            needed |= cached
        unneeded = [name for name in names if name not in needed]
        pictures = {record.image_name for record in self._intermediates()} if unneeded else set[str]()
        unless = services.queue.runs_elsewhere
        gone = services.images.delete(*[name for name in unneeded if name in pictures], unless=unless)
        gone += services.latents.delete(*[name for name in unneeded if name not in pictures], unless=unless)
        self._to_go.difference_update(unneeded)
        return gone

    def _names_of(self, session: GraphExecutionState) -> set[str]:
        known = self._names.get(session)
        # outputs are only added, so their number tells whether the names are complete
        if known is None or known[0] != len(session.outputs):
            known = self._names[session] = len(session.outputs), resources_of(session)
        return known[1]

    def _items(self) -> dict[str, QueueItem]:
        """Return the last queue item of each session, oldest first."""
        return {item.session_id: item for item in self.services.queue.rows()}

    def _is_other(self, owner: str, own: str) -> bool:
        return owner != own and self.services.queue.is_alive(owner)

    @abstractmethod
    def _others_live(self) -> bool:
        """Return whether other kernels have this studio open."""

    @abstractmethod
    def _cache_bytes(self) -> int:
        """Return the bytes of the cached results, without the resources that they name."""

    def _tensors(self) -> list[TensorRecord]:
        return list(self.services.latents.records())

    def _intermediates(self) -> list[ImageRecord]:
        """Return the intermediate images, except starred ones, which are kept like other images."""
        return list(self.services.images.records(ImageQuery(is_intermediate=True, starred=False)))

    def _pictures(self, starred: bool) -> list[ImageRecord]:
        found = self.services.images.records(ImageQuery(starred=starred))
        return [record for record in found if starred or not record.is_intermediate]

    def _limit_runs(self) -> None:
        """Limit the number of ended runs in memory."""
        most = self.limits.runs
        # compared with what the last pass had to leave, or it would search again after each run
        if most is not None and len(self.services.graph_execution_manager) > max(most, self._runs_left) + SLACK:
            self._limit_sessions(self.limits.sessions)
            self._runs_left = len(self.services.graph_execution_manager)

    def _limit_sessions(self, limit: Limit, keep_makers: bool = True) -> int:
        """Delete the oldest sessions that ended, with their stats and queue items; return how many.

        Sessions that this process references are kept, and with `keep_makers` those that made a kept image, because the
        image shows their graph.
        """
        services = self.services
        sizes, items = services.graph_execution_manager.sizes(), self._items()
        total, count, most = sum(sizes.values()), len(sizes), self.limits.runs
        oldest = None if limit.days is None else time() - limit.days * DAY
        is_over = (limit.bytes is not None and total > limit.bytes) or (most is not None and count > most)
        ages = [item.ended for item in items.values() if item.ended is not None]
        if not is_over and (oldest is None or not any(age < oldest for age in ages)):
            return 0
        # a `Run` in this process reads its outputs when they are asked for
        kept = {session.id for session in services.graph_execution_manager.live()}
        if keep_makers:
            kept |= {record.session_id for each in (True, False) for record in self._pictures(starred=each)}
        gone: list[str] = []
        for session_id, size in sizes.items():
            item = items.get(session_id)
            is_old = oldest is not None and item is not None and item.ended is not None and item.ended < oldest
            is_over = (limit.bytes is not None and total > limit.bytes) or (most is not None and count > most)
            if session_id in kept or (item is not None and item.status not in ENDED) or not (is_over or is_old):
                continue
            gone.append(session_id)
            total, count = total - size, count - 1
        for session_id in gone:
            services.graph_execution_manager.delete(session_id)
            services.performance_statistics.reset_stats(session_id)
        services.queue.forget(gone)
        return len(gone)

    def _limit_stats(self) -> None:
        limit, stats = self.limits.stats, self.services.performance_statistics
        sizes, items = stats.sizes(), self._items()
        total = sum(sizes.values())
        oldest = None if limit.days is None else time() - limit.days * DAY
        live = {session.id for session in self.services.graph_execution_manager.live()}
        for session_id, size in sizes.items():
            ended = items[session_id].ended if session_id in items else None
            is_old = oldest is not None and ended is not None and ended < oldest
            if session_id not in live and (is_old or (limit.bytes is not None and total > limit.bytes)):
                stats.reset_stats(session_id)
                total -= size

    def _limit_resources(self, records: Iterable[Resource], limit: Limit) -> int:
        """Delete the oldest resources, with the cached results that name them, until a limit holds; return how many."""
        found = sorted(records, key=lambda record: record.created)
        total = sum(record.bytes for record in found)
        oldest = None if limit.days is None else time() - limit.days * DAY
        names: list[Resource] = []
        for record in found:
            is_old = oldest is not None and record.created.timestamp() < oldest
            if not is_old and (limit.bytes is None or total <= limit.bytes):
                break
            names.append(record)
            total -= record.bytes
        # kept images are limited by size and age alone; nothing needs them
        if names and all(isinstance(record, ImageRecord) and not record.is_intermediate for record in names):
            return self.services.images.delete(*map(_name, names))
        return self._delete_unneeded([_name(record) for record in names], also_cached=True) if names else 0

    def _note_picture(self, record: ImageRecord) -> None:
        # what a node saves is named by its output; only what is saved elsewhere has no other owner
        if record.is_intermediate and not self.services.processor.is_worker:
            self._by_hand.add(record.image_name)

    def _note_tensors(self, record: TensorRecord) -> None:
        if not self.services.processor.is_worker:
            self._by_hand.add(record.name)


def _name(record: Resource) -> str:
    return record.image_name if isinstance(record, ImageRecord) else record.name


def _bytes(records: Iterable[Resource]) -> int:
    return sum(record.bytes for record in records)
