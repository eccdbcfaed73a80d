"""The queue in memory."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from heapq import heappop, heappush
from itertools import count
from threading import Lock

from nbgraph.services.invocation_queue.invocation_queue_base import InvocationQueueBase, queue_order
from nbgraph.services.invocation_queue.invocation_queue_common import QueueItem, QueueStatus
from nbgraph.services.shared.interrupts import defer_interrupt


class InvocationQueueMemory(InvocationQueueBase):
    """Ends with its kernel.

    Putting and taking a session costs the same however many others wait or have ended. `_order` is a heap of the
    waiting items by their place; it may hold places of items that wait no longer, or wait at another place since.
    """

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[int, QueueItem] = {}
        self._by_session: dict[str, list[int]] = {}
        self._order: list[tuple[int, int]] = []
        self._numbers = count(1)
        self._lock = Lock()

    @contextmanager
    def _locked(self) -> Generator[None]:
        # an interrupt just after the lock was acquired would leave it held
        with defer_interrupt(), self._lock:
            yield

    def runs_elsewhere(self) -> bool:
        return False

    def _add(self, session_id: str, priority: int, submitted: float) -> QueueItem:
        with self._locked():
            item = QueueItem(next(self._numbers), session_id, priority, "pending", submitted)
            self._store(item)
        return item

    def _insert(self, item: QueueItem) -> None:
        with self._locked():
            self._store(replace(item, number=next(self._numbers)))

    def _store(self, item: QueueItem) -> None:
        if item.number not in self._items:
            self._by_session.setdefault(item.session_id, []).append(item.number)
        self._items[item.number] = item
        if item.status == "pending":
            heappush(self._order, queue_order(item))

    def _claim(self, started: float) -> QueueItem | None:
        with self._locked():
            while self._order:
                place = heappop(self._order)
                item = self._items.get(place[1])
                if item is not None and item.status == "pending" and queue_order(item) == place:
                    item = replace(item, status="in_progress", started=started)
                    self._store(item)
                    return item
        return None

    def _get(self, session_id: str) -> QueueItem | None:
        with self._locked():
            numbers = self._by_session.get(session_id)
            return None if numbers is None else self._items[numbers[-1]]

    def _change(self, item: QueueItem, before: QueueStatus | None = None) -> bool:
        with self._locked():
            known = self._items.get(item.number)
            if known is None or before not in (None, known.status):
                return False
            self._store(item)
            return True

    def _drop(self, items: Iterable[QueueItem]) -> int:
        with self._locked():
            gone = [item for item in items if self._items.pop(item.number, None) is not None]
            for item in gone:
                numbers = self._by_session[item.session_id]
                numbers.remove(item.number)
                if not numbers:
                    del self._by_session[item.session_id]
        return len(gone)

    def _rows(self) -> Iterable[QueueItem]:
        with self._locked():
            return list(self._items.values())
