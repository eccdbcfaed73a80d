"""The queue in memory."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from threading import Lock

from nbgraph.services.invocation_queue.invocation_queue_base import InvocationQueueBase, queue_order
from nbgraph.services.invocation_queue.invocation_queue_common import QueueItem


class InvocationQueueMemory(InvocationQueueBase):
    """Ends with its kernel."""

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[str, QueueItem] = {}
        self._numbers = count(1)
        self._lock = Lock()

    def _add(self, session_id: str, priority: int, submitted: float) -> QueueItem:
        item = QueueItem(next(self._numbers), session_id, priority, "pending", submitted)
        self._items = {**self._items, session_id: item}
        return item

    def _claim(self, started: float) -> QueueItem | None:
        with self._lock:
            waiting = [item for item in self._items.values() if item.status == "pending"]
            if not waiting:
                return None
            item = replace(min(waiting, key=queue_order), status="in_progress", started=started)
            self._items = {**self._items, item.session_id: item}
            return item

    def _get(self, session_id: str) -> QueueItem | None:
        return self._items.get(session_id)

    def _change(self, item: QueueItem) -> None:
        self._items = {**self._items, item.session_id: item}

    def _drop(self, session_ids: Iterable[str]) -> int:
        gone = set(session_ids) & self._items.keys()
        self._items = {key: item for key, item in self._items.items() if key not in gone}
        return len(gone)

    def _rows(self) -> Iterable[QueueItem]:
        return list(self._items.values())
