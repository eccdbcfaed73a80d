"""Rows that are written together, so that what is noted for each node costs little."""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import RLock
from time import monotonic
from typing import Generic, TypeVar

from nbgraph.errors import StoreError, StoreFullError
from nbgraph.services.shared.interrupts import defer_interrupt

Row = TypeVar("Row")
logger = logging.getLogger("nbgraph")
ROWS = 1024
SECONDS = 0.05


class Batch(Generic[Row]):
    """Collects rows and hands them to `write(rows)`: when there are 1024, or when the last time is 50 ms ago.

    What a killed process loses of it took at most 50 ms to make. If writing fails the rows stay, and the next row tries
    again; a `flush` of one's own raises.
    """

    def __init__(self, write: Callable[[list[Row]], None]) -> None:
        self._write = write
        self._rows: deque[Row] = deque()
        self._written = monotonic()
        self._complained = False
        self.lock = RLock()

    def add(self, row: Row) -> None:
        """Note a row, and write all if it is time."""
        rows = self._rows
        rows.append(row)
        if len(rows) >= ROWS or monotonic() - self._written > SECONDS:
            self._flush_or_complain()

    def extend(self, rows: Iterable[Row]) -> None:
        """Note rows, and write all if it is time."""
        self._rows.extend(rows)
        if len(self._rows) >= ROWS or monotonic() - self._written > SECONDS:
            self._flush_or_complain()

    @property
    def waiting(self) -> list[Row]:
        """The rows that are not written yet."""
        return list(self._rows)

    def discard(self, is_meant: Callable[[Row], bool]) -> int:
        """Forget rows that are not written yet; returns how many."""
        with defer_interrupt(), self.lock:
            before = list(self._rows)
            kept = [row for row in before if not is_meant(row)]
            if len(kept) == len(before):
                return 0
            for _ in before:
                self._rows.popleft()
            self._rows.extendleft(reversed(kept))
            return len(before) - len(kept)

    def end(self) -> None:
        """Write all rows now, the last time; what cannot be written is lost, with a line in the log."""
        try:
            self.flush()
        except StoreError as error:
            logger.warning("%d notes of runs could not be written, and are lost: %s", len(self._rows), error)

    def flush_if_room(self) -> None:
        """Write all rows now; on a full disk they stay, and whoever looks at what is stored looks at `waiting` too."""
        with suppress(StoreFullError):
            self.flush()

    def flush(self) -> None:
        """Write all rows now; `StoreError` if that cannot be, and they stay."""
        waiting = self._rows
        if not waiting:
            return
        with defer_interrupt(), self.lock:
            rows = list(waiting)
            if rows:
                self._write(rows)
                for _ in rows:
                    waiting.popleft()
            self._written = monotonic()

    def _flush_or_complain(self) -> None:
        try:
            self.flush()
            self._complained = False
        except StoreError as error:
            self._written = monotonic()
            if not self._complained:
                self._complained = True
                logger.warning("what a run notes cannot be written now and is kept in memory: %s", error)
