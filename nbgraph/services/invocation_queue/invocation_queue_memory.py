"""The queue in memory."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from threading import Lock

from nbgraph.services.invocation_queue.invocation_queue_base import InvocationQueueBase, queue_order
from nbgraph.services.invocation_queue.invocation_queue_common import QueueItem, QueueStatus


class InvocationQueueMemory(InvocationQueueBase):
    """Ends with its kernel. Writers replace the dictionary as a whole, so that readers need no lock."""

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[int, QueueItem] = {}
        self._numbers = count(1)
        self._lock = Lock()

    def runs_elsewhere(self) -> bool:
        return False

    def _add(self, session_id: str, priority: int, submitted: float) -> QueueItem:
        with self._lock:
            item = QueueItem(next(self._numbers), session_id, priority, "pending", submitted)
            # a new dictionary each time: readers iterate over the old one without a lock
            self._items = {**self._items, item.number: item}
        return item

    def _insert(self, item: QueueItem) -> None:
        with self._lock:
            number = next(self._numbers)
            self._items = {**self._items, number: replace(item, number=number)}

    def _claim(self, started: float) -> QueueItem | None:
        with self._lock:
            waiting = [item for item in self._items.values() if item.status == "pending"]
            if not waiting:
                return None
            item = replace(min(waiting, key=queue_order), status="in_progress", started=started)
            self._items = {**self._items, item.number: item}
            return item

    def _get(self, session_id: str) -> QueueItem | None:
        return next((item for item in reversed(self._items.values()) if item.session_id == session_id), None)

    def _change(self, item: QueueItem, before: QueueStatus | None = None) -> bool:
        with self._lock:
            known = self._items.get(item.number)
            if known is None or before not in (None, known.status):
                return False
            self._items = {**self._items, item.number: item}
            return True

    def _drop(self, items: Iterable[QueueItem]) -> int:
        with self._lock:
            gone = {item.number for item in items} & self._items.keys()
            self._items = {key: item for key, item in self._items.items() if key not in gone}
        return len(gone)

    def _rows(self) -> Iterable[QueueItem]:
        return list(self._items.values())
