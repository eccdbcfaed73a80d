"""The invocation queue: sessions in the order in which they will run, and how those before them ended."""

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
    """Hands out sessions in the order of (priority, number), each to one worker.

    Several kernels may share a queue: each runs, cancels and clears its own sessions (`owner`) and sees all. Sessions
    that a dead kernel left waiting or running become `interrupted` and can be resumed. `bell` rings when a session was
    added.
    """

    def __init__(self) -> None:
        self.bell = Bell()
        self._listeners: Callbacks[None] = Callbacks()

    def on_changed(self, callback: Callable[[None], None]) -> Callable[[], None]:
        """Call `callback(None)` whenever this kernel changed the queue, on the thread that did.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """
        return self._listeners.add(callback)

    def changed(self) -> None:
        """Notify the listeners."""
        self._listeners(None)

    @property
    def owner(self) -> str:
        """The name of this kernel; empty where there is only one."""
        return ""

    def start(self, invoker: InvokerLike) -> None:
        """Begin work, and mark the sessions of dead kernels as interrupted.

        Parameters
        ----------
        invoker
            The owner of the services.
        """
        # before the services that start later: they ask the queue which sessions run
        if self._invoker is None:
            self.recover()
        super().start(invoker)

    def recover(self) -> list[str]:
        """Mark the sessions of dead kernels as interrupted, and return their ids."""
        left = [item for item in self._rows() if item.status not in ENDED and not self.is_alive(item.owner)]
        for item in left:
            # only if it is unchanged: another kernel may be recovering it at the same moment
            self._change(replace(item, status="interrupted", ended=time()), item.status)
        return [item.session_id for item in left]

    def put(self, session_id: str, *, prepend: bool = False) -> QueueItem:
        """Add a session at the end, or before all waiting ones.

        Parameters
        ----------
        session_id
            The session; it may have been queued before.
        prepend
            Run it next.
        """
        priority = self._highest() + 1 if prepend else 0
        item = self._add(session_id, priority, time())
        self.bell.ring()
        self.changed()
        return item

    def take(self) -> QueueItem | None:
        """Return the next session, marked as in progress, or None."""
        item = self._claim(time())
        if item is not None:
            self.changed()
        return item

    def finish(self, session_id: str, status: QueueStatus, error: str = "") -> None:
        """Record that a session ended.

        Raises
        ------
        NotFoundError
            The session was never queued.
        """
        item = self.item(session_id)
        self._change(replace(item, status=status, ended=time(), error=error))
        self.changed()

    def restore(self, item: QueueItem) -> None:
        """Add the item of a session that ended in another studio.

        Parameters
        ----------
        item
            Its number and owner are replaced by those of this queue.
        """
        self._insert(replace(item, owner=self.owner))
        self.changed()

    def prepend(self, session_id: str) -> bool:
        """Move a waiting session before all others.

        Returns
        -------
        bool
            False if it no longer waits, or belongs to another kernel.

        Raises
        ------
        NotFoundError
            The session was never queued.
        """
        item = self._own_waiting(session_id)
        return item is not None and self._replace_waiting(replace(item, priority=self._highest() + 1))

    def cancel(self, session_id: str) -> bool:
        """Remove a waiting session.

        Returns
        -------
        bool
            False if it no longer waits, or belongs to another kernel.

        Raises
        ------
        NotFoundError
            The session was never queued.
        """
        item = self._own_waiting(session_id)
        return item is not None and self._replace_waiting(replace(item, status="cancelled", ended=time()))

    def cancel_all(self) -> list[str]:
        """Remove all waiting sessions of this kernel, and return their ids."""
        return [item.session_id for item in self._waiting() if self.cancel(item.session_id)]

    def clear(self) -> int:
        """Delete the items that have ended, and return how many. The sessions are kept."""
        dropped = self._drop([item for item in self._rows() if item.status in ENDED])
        self.changed()
        # items of failed sessions kept their intermediate results alive
        if self._invoker is not None:
            self.services.retention.collect()
        return dropped

    def forget(self, session_ids: Collection[str]) -> None:
        """Delete all items of sessions that have ended.

        Parameters
        ----------
        session_ids
            The sessions; those without items are ignored.
        """
        gone = set(session_ids)
        if gone:
            self._drop([item for item in self._rows() if item.session_id in gone])

    def runs_elsewhere(self) -> bool:
        """Return whether another living kernel is running a session."""
        own = self.owner
        return any(
            item.status == "in_progress" and item.owner != own and self.is_alive(item.owner) for item in self._rows()
        )

    def item(self, session_id: str) -> QueueItem:
        """Return the newest item of a session.

        Raises
        ------
        NotFoundError
            The session was never queued.
        """
        found = self._get(session_id)
        if found is None:
            raise NotFoundError(f"no session {session_id!r} was submitted")
        return found

    def rows(self) -> list[QueueItem]:
        """Return all items: ended and running ones first, then waiting ones in the order in which they will run."""
        # a kernel may have died since, and its sessions would look as if they ran forever
        self.recover()
        items = list(self._rows())
        done = sorted(
            (item for item in items if item.status != "pending"), key=lambda item: item.started or item.submitted
        )
        return done + sorted((item for item in items if item.status == "pending"), key=queue_order)

    def is_empty(self) -> bool:
        """Return whether nothing of this kernel waits or runs."""
        return all(item.status in ENDED for item in self._rows() if item.owner == self.owner)

    def _own_waiting(self, session_id: str) -> QueueItem | None:
        """Return the newest item of a session, if it waits and belongs to this kernel."""
        item = self.item(session_id)
        return item if item.status == "pending" and item.owner == self.owner else None

    def _replace_waiting(self, item: QueueItem) -> bool:
        # only if it still waits: the worker may be taking it at this moment
        is_changed = self._change(item, "pending")
        if is_changed:
            self.changed()
        return is_changed

    def _highest(self) -> int:
        return max((item.priority for item in self._waiting()), default=0)

    def _waiting(self) -> list[QueueItem]:
        return [item for item in self._rows() if item.status == "pending" and item.owner == self.owner]

    def is_alive(self, owner: str) -> bool:
        """Return whether a kernel still has the queue open.

        Parameters
        ----------
        owner
            The name of the kernel, as items have it.
        """
        return True

    @abstractmethod
    def _add(self, session_id: str, priority: int, submitted: float) -> QueueItem:
        """Store a new pending item with the next number."""

    @abstractmethod
    def _insert(self, item: QueueItem) -> None:
        """Store an item under the next number."""

    @abstractmethod
    def _claim(self, started: float) -> QueueItem | None:
        """Mark this kernel's first pending item by (priority, number) as in progress and return it, in one step."""

    @abstractmethod
    def _get(self, session_id: str) -> QueueItem | None:
        """Return the newest item of a session, or None."""

    @abstractmethod
    def _change(self, item: QueueItem, before: QueueStatus | None = None) -> bool:
        """Replace the item of the same number unless its status is no longer `before`; return whether that was done."""

    @abstractmethod
    def _drop(self, items: Iterable[QueueItem]) -> int:
        """Delete items; return how many existed."""

    @abstractmethod
    def _rows(self) -> Iterable[QueueItem]:
        """Return all items, in any order."""


def queue_order(item: QueueItem) -> tuple[int, int]:
    """Return the sort key of the order in which items run."""
    return -item.priority, item.number
