"""The invocation queue: sessions in the order in which they will run, and what became of them."""

from abc import abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from time import time

from nbgraph.errors import NotFoundError
from nbgraph.services.invocation_queue.invocation_queue_common import ENDED, QueueItem, QueueStatus
from nbgraph.services.shared.service import Service


class InvocationQueueBase(Service):
    """Takes sessions in, hands them out by (priority, number), one to each worker that asks.

    Waiting is done on a C primitive, so that an interrupt in another thread can never leave it locked.
    """

    def __init__(self) -> None:
        self._wake: SimpleQueue[None] = SimpleQueue()

    def put(self, session_id: str, *, prepend: bool = False) -> QueueItem:
        """Add a session at the end, or before all that wait."""
        waiting = [item.priority for item in self._rows() if item.status == "pending"]
        priority = max(waiting, default=0) + 1 if prepend else 0
        item = self._add(session_id, priority, time())
        self._wake.put(None)
        return item

    def take(self) -> QueueItem | None:
        """The next session, now in progress; None if none waits."""
        return self._claim(time())

    def wait(self, seconds: float) -> None:
        """Wait until something was added, or so long."""
        with suppress(Empty):
            self._wake.get(timeout=seconds)

    def wake(self) -> None:
        """End a `wait`."""
        self._wake.put(None)

    def finish(self, session_id: str, status: QueueStatus, error: str = "") -> None:
        """A session ended."""
        item = self.item(session_id)
        self._change(replace(item, status=status, ended=time(), error=error))

    def cancel(self, session_id: str) -> bool:
        """Take a waiting session out of the queue; False if it does not wait (any more)."""
        item = self.item(session_id)
        if item.status != "pending":
            return False
        self._change(replace(item, status="cancelled", ended=time()))
        return True

    def cancel_all(self) -> list[str]:
        """Take all waiting sessions out; returns their ids."""
        waiting = [item.session_id for item in self._rows() if item.status == "pending"]
        return [session_id for session_id in waiting if self.cancel(session_id)]

    def clear(self) -> int:
        """Forget the sessions that have ended; returns how many."""
        return self._drop([item.session_id for item in self._rows() if item.status in ENDED])

    def item(self, session_id: str) -> QueueItem:
        """The last item of a session; `NotFoundError` if it was never submitted."""
        found = self._get(session_id)
        if found is None:
            raise NotFoundError(f"no session {session_id!r} was submitted")
        return found

    def rows(self) -> list[QueueItem]:
        """All items: those that wait in the order in which they will run, after those that ran."""
        items = list(self._rows())
        done = sorted((item for item in items if item.status != "pending"), key=lambda item: item.started or item.submitted)
        return done + sorted((item for item in items if item.status == "pending"), key=queue_order)

    def is_empty(self) -> bool:
        """Whether nothing waits or runs."""
        return all(item.status in ENDED for item in self._rows())

    @abstractmethod
    def _add(self, session_id: str, priority: int, submitted: float) -> QueueItem:
        """Store a new pending item with the next number."""

    @abstractmethod
    def _claim(self, started: float) -> QueueItem | None:
        """Mark the first pending item by (priority, number) as in progress and return it, in one step."""

    @abstractmethod
    def _get(self, session_id: str) -> QueueItem | None:
        """The item, or None."""

    @abstractmethod
    def _change(self, item: QueueItem) -> None:
        """Store an item in place of the one of the same session."""

    @abstractmethod
    def _drop(self, session_ids: Iterable[str]) -> int:
        """Remove items; returns how many there were."""

    @abstractmethod
    def _rows(self) -> Iterable[QueueItem]:
        """All items, in any order."""


def queue_order(item: QueueItem) -> tuple[int, int]:
    """Sorts items into the order in which they run."""
    return -item.priority, item.number
