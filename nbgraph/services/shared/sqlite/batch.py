"""Rows that are written together: a transaction for each node would cost more than most nodes."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from sqlite3 import Connection
from threading import RLock
from time import monotonic
from typing import Generic, TypeVar

from nbgraph.errors import StoreError, StoreFullError
from nbgraph.services.shared.interrupts import defer_interrupt

Row = TypeVar("Row")
logger = logging.getLogger("nbgraph")
ROWS = 1024
SECONDS = 0.05
ROWS_OF_A_STATEMENT = 32
"""With 32 rows in an INSERT, SQLite takes 7.7 us for a cached result; with one 10.4, with 64 7.5."""


class Batch(Generic[Row]):
    """Buffers rows and passes them to `write(rows)`: when there are 1024, or 50 ms after the last time.

    A killed process loses at most 50 ms of rows. If writing fails, the rows stay buffered and a later row tries again;
    only an explicit `flush` raises.

    Parameters
    ----------
    write
        Stores rows; it is called with `lock` held.
    """

    def __init__(self, write: Callable[[list[Row]], None]) -> None:
        self._write = write
        # appending to a deque is atomic, so `add` needs no lock
        self._rows: deque[Row] = deque()
        self._written = monotonic()
        self._complained = False
        self.lock = RLock()

    def add(self, row: Row) -> None:
        """Buffer a row, and write all rows if it is time."""
        rows = self._rows
        rows.append(row)
        if len(rows) >= ROWS or monotonic() - self._written > SECONDS:
            self._flush_or_complain()

    def extend(self, rows: Iterable[Row]) -> None:
        """Buffer rows, and write all rows if it is time."""
        self._rows.extend(rows)
        if len(self._rows) >= ROWS or monotonic() - self._written > SECONDS:
            self._flush_or_complain()

    @property
    def waiting(self) -> list[Row]:
        """The buffered rows."""
        return list(self._rows)

    def discard(self, is_meant: Callable[[Row], bool]) -> int:
        """Drop the buffered rows for which `is_meant` is true; return how many."""
        with defer_interrupt(), self.lock:
            before = list(self._rows)
            kept = [row for row in before if not is_meant(row)]
            if len(kept) == len(before):
                return 0
            # in place, not a new deque: other threads may append meanwhile, without the lock
            for _ in before:
                self._rows.popleft()
            self._rows.extendleft(reversed(kept))
            return len(before) - len(kept)

    def end(self) -> None:
        """Write all rows for the last time; what cannot be written is lost, with a line in the log."""
        try:
            self.flush()
        except StoreError as error:
            logger.warning("%d rows of runs could not be written and are lost: %s", len(self._rows), error)

    def flush_if_room(self) -> None:
        """Write all rows now; on a full disk they stay buffered, so a reader must look at `waiting` too."""
        with suppress(StoreFullError):
            self.flush()

    def flush(self) -> None:
        """Write all rows now.

        Raises
        ------
        StoreError
            They cannot be written, and stay buffered.
        """
        waiting = self._rows
        if not waiting:
            return
        with defer_interrupt(), self.lock:
            rows = list(waiting)
            if rows:
                self._write(rows)
                # after the write, so that what fails stays; rows that came meanwhile are behind these
                for _ in rows:
                    waiting.popleft()
            self._written = monotonic()

    def _flush_or_complain(self) -> None:
        try:
            self.flush()
            self._complained = False
        except StoreError as error:
            # try again after 50 ms, not at each row
            self._written = monotonic()
            if not self._complained:
                self._complained = True
                logger.warning("rows of a run cannot be written now and are kept in memory: %s", error)


def insert_rows(connection: Connection, insert: str, places: str, rows: Sequence[tuple[object, ...]]) -> int:
    """Insert rows, many by each statement, and return how many were inserted.

    Parameters
    ----------
    connection
        It is in a transaction.
    insert
        The statement up to `VALUES`: `INSERT INTO table (a, b)`.
    places
        The values of one row: `(?, ?)`.
    rows
        The parameters of each row.
    """
    size = ROWS_OF_A_STATEMENT
    whole = len(rows) - len(rows) % size
    groups = [tuple(chain.from_iterable(rows[start : start + size])) for start in range(0, whole, size)]
    inserted = connection.executemany(f"{insert} VALUES {', '.join([places] * size)}", groups).rowcount
    return inserted + connection.executemany(f"{insert} VALUES {places}", rows[whole:]).rowcount
