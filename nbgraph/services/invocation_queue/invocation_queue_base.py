"""The invocation queue: sessions in the order in which they will run, and what became of them."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from time import time

from nbgraph.errors import NotFoundError
from nbgraph.latch import Bell
from nbgraph.services.invocation_queue.invocation_queue_common import ENDED, QueueItem, QueueStatus
from nbgraph.services.service import InvokerLike, Service
from nbgraph.services.shared.callbacks import Callbacks


class InvocationQueueBase(Service):
    """Takes sessions in, hands them out by (priority, number), one to each worker that asks.

    Where several kernels share a queue, each runs, cancels and clears its own sessions (`owner`), and sees all. What a
    kernel that died had waiting or running becomes `interrupted`: it may be resumed.

    `bell` rings when something was added: who waits for it holds nothing of the queue.
    """

    def __init__(self) -> None:
        self.bell = Bell()
        self._listeners: Callbacks[None] = Callbacks()

    def on_changed(self, callback: Callable[[None], None]) -> Callable[[], None]:
        """Call back whenever this kernel changed the queue, in the thread that did; returns what ends it."""
        return self._listeners.add(callback)

    def changed(self) -> None:
        """Tell who listens that the queue is another now, or is worked off in another way."""
        self._listeners(None)

    @property
    def owner(self) -> str:
        """The name of this kernel; empty where there is but one."""
        return ""

    def start(self, invoker: InvokerLike) -> None:
        if self._invoker is None:
            self.recover()
        super().start(invoker)

    def recover(self) -> list[str]:
        """Mark what dead kernels left as interrupted; returns the ids of those sessions."""
        left = [item for item in self._rows() if item.status not in ENDED and not self.is_alive(item.owner)]
        for item in left:
            self._change(replace(item, status="interrupted", ended=time()), item.status)
        return [item.session_id for item in left]

    def put(self, session_id: str, *, prepend: bool = False) -> QueueItem:
        """Add a session at the end, or before all that wait."""
        priority = self._highest() + 1 if prepend else 0
        item = self._add(session_id, priority, time())
        self.bell.ring()
        self.changed()
        return item

    def take(self) -> QueueItem | None:
        """The next session, now in progress; None if none waits."""
        item = self._claim(time())
        if item is not None:
            self.changed()
        return item

    def finish(self, session_id: str, status: QueueStatus, error: str = "") -> None:
        """A session ended."""
        item = self.item(session_id)
        self._change(replace(item, status=status, ended=time(), error=error))
        self.changed()

    def restore(self, item: QueueItem) -> None:
        """Add a session that ended in another studio, as it ended there."""
        self._insert(replace(item, owner=self.owner))
        self.changed()

    def prepend(self, session_id: str) -> bool:
        """Move a waiting session before all others; False if it does not wait (any more), or for another kernel."""
        item = self.item(session_id)
        if item.status != "pending" or item.owner != self.owner:
            return False
        return self._told(self._change(replace(item, priority=self._highest() + 1), "pending"))

    def cancel(self, session_id: str) -> bool:
        """Take a waiting session out of the queue; False if it does not wait (any more), or for another kernel."""
        item = self.item(session_id)
        if item.status != "pending" or item.owner != self.owner:
            return False
        return self._told(self._change(replace(item, status="cancelled", ended=time()), "pending"))

    def cancel_all(self) -> list[str]:
        """Take all waiting sessions out; returns their ids."""
        return [item.session_id for item in self._waiting() if self.cancel(item.session_id)]

    def clear(self) -> int:
        """Forget the items that have ended; returns how many. The sessions themselves stay."""
        dropped = self._drop([item for item in self._rows() if item.status in ENDED])
        self.changed()
        if self._invoker is not None:
            self.services.retention.collect()
        return dropped

    def forget(self, session_ids: Collection[str]) -> None:
        """Forget all items of sessions that have ended."""
        gone = set(session_ids)
        if gone:
            self._drop([item for item in self._rows() if item.session_id in gone])

    def runs_elsewhere(self) -> bool:
        """Whether another kernel runs a session now."""
        own = self.owner
        return any(
            item.status == "in_progress" and item.owner != own and self.is_alive(item.owner) for item in self._rows()
        )

    def item(self, session_id: str) -> QueueItem:
        """The last item of a session; `NotFoundError` if it was never submitted."""
        found = self._get(session_id)
        if found is None:
            raise NotFoundError(f"no session {session_id!r} was submitted")
        return found

    def rows(self) -> list[QueueItem]:
        """All items: those that wait in the order in which they will run, after those that ran."""
        self.recover()
        items = list(self._rows())
        done = sorted(
            (item for item in items if item.status != "pending"), key=lambda item: item.started or item.submitted
        )
        return done + sorted((item for item in items if item.status == "pending"), key=queue_order)

    def is_empty(self) -> bool:
        """Whether nothing of this kernel waits or runs."""
        return all(item.status in ENDED for item in self._rows() if item.owner == self.owner)

    def _told(self, is_changed: bool) -> bool:
        if is_changed:
            self.changed()
        return is_changed

    def _highest(self) -> int:
        return max((item.priority for item in self._waiting()), default=0)

    def _waiting(self) -> list[QueueItem]:
        return [item for item in self._rows() if item.status == "pending" and item.owner == self.owner]

    def is_alive(self, owner: str) -> bool:
        """Whether the kernel of that name lives; in memory there is but one."""
        return True

    @abstractmethod
    def _add(self, session_id: str, priority: int, submitted: float) -> QueueItem:
        """Store a new pending item with the next number."""

    @abstractmethod
    def _insert(self, item: QueueItem) -> None:
        """Store an item under the next number, in place of the one it has."""

    @abstractmethod
    def _claim(self, started: float) -> QueueItem | None:
        """Mark this kernel's first pending item by (priority, number) as in progress and return it, in one step."""

    @abstractmethod
    def _get(self, session_id: str) -> QueueItem | None:
        """The last item of a session, or None."""

    @abstractmethod
    def _change(self, item: QueueItem, before: QueueStatus | None = None) -> bool:
        """Store an item in place of the one of the same number; not if `before` is given and its status is another."""

    @abstractmethod
    def _drop(self, items: Iterable[QueueItem]) -> int:
        """Remove items; returns how many there were."""

    @abstractmethod
    def _rows(self) -> Iterable[QueueItem]:
        """All items, in any order."""


def queue_order(item: QueueItem) -> tuple[int, int]:
    """Sorts items into the order in which they run."""
    return -item.priority, item.number
