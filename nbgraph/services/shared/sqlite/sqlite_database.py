"""The database of a studio's folder: one connection, one lock, short transactions, and order between kernels.

All writing goes through `transaction()`, all reading through `rows()`. Inside this process a lock keeps threads apart.
Kernels are kept apart by a file lock, taken around each transaction. SQLite's own locks are not fair: a kernel that
commits often starves the others. As checkpoints are made under the same lock, the write-ahead log stays small, and no
commit meets a checkpoint of another connection. SQLite's locks stay on as the second line of defence; waiting for them
is done here, in short turns, because a wait inside SQLite cannot be interrupted.
"""

import atexit
import logging
import sqlite3
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from math import inf
from threading import RLock
from typing import Any, TypeVar

from nbgraph.errors import StoreError, StoreFullError, StoreGoneError
from nbgraph.services.shared.interrupts import DeferredInterrupt, defer_interrupt
from nbgraph.services.shared.sqlite.cleaning import CleanReport, empty_trash, remove_temporary_files
from nbgraph.services.shared.sqlite.damaged_rows import is_text_damage, readable_text
from nbgraph.services.shared.sqlite.folder_log import FolderLog
from nbgraph.services.shared.sqlite.folder_watch import FolderWatch
from nbgraph.services.shared.sqlite.locks import TURN_SECONDS, FileLock, KernelLease, Patience, SharedCounter
from nbgraph.services.shared.sqlite.migrations import Formats, check_format, migrate
from nbgraph.services.shared.sqlite.store_errors import corrupt_error, translate_errors
from nbgraph.services.shared.sqlite.store_folder import FileKind, OpenedDatabase, Reserve, StoreFolder
from nbgraph.services.shared.sqlite.write_ahead_log import HARD_LIMIT, SOFT_LIMIT, WriteAheadLog

WAIT_SECONDS = 10.0
PAGE_CACHE_KIB = 64 * 1024
"""The most of the file that SQLite keeps in memory. By its own limit of 2 MB, a list of 100,000 results reads most of
the file again: a search takes 23 ms instead of 15."""
ROWS_WITHOUT_ROOM = 32
"""Rows that are deleted in one transaction on a full disk."""
SqlValue = str | bytes | int | float | None
SqlRow = tuple[Any, ...]
"""Values of a row by the types of its columns; SQLite does not enforce them, so a reader must expect others."""
Row = TypeVar("Row")
Result = TypeVar("Result")


class SqliteDatabase:
    """The open database `nbgraph.db` of a folder, created or migrated to the newest format.

    Parameters
    ----------
    folder
        The studio's folder; it is created if it does not exist.
    formats
        The tables of the newest format, and the steps from older ones.
    records
        For each kind of file, the query that returns (name, size) of the files that have a record.
    wait_seconds
        How long to wait for other kernels before `StoreBusyError`.

    Raises
    ------
    StoreError
        The folder cannot be used; the subclass and the text say why.

    Attributes
    ----------
    kernel
        The name of this process, the owner of the sessions that it runs.
    adds, drops
        How often any kernel added or dropped cached results.
    others
        Calls displays when another kernel has written.
    """

    def __init__(
        self,
        folder: StoreFolder,
        formats: Formats,
        records: Mapping[FileKind, str] | None = None,
        *,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self.folder, self.formats = folder, formats
        self._patience = Patience(folder, wait_seconds)
        self._reserve = Reserve(folder)
        self.others = FolderWatch(self)
        self.records = records or {}
        self._lock = RLock()
        self._depth = 0  # of transactions, which may be nested
        self._holds = 0  # of the folder's lock, within each other
        self._to_count: SharedCounter | None = None
        self._connection: sqlite3.Connection | None = None
        self._lease: KernelLease | None = None
        self._notes: FolderLog | None = None
        self.was_dirty = False
        self.being_saved: set[str] = set()
        """Resources whose file may be written already while their record is not."""
        self.open()

    def open(self) -> None:
        """Open the folder; do nothing if it is open."""
        if self._connection is not None:
            return
        try:
            self._open()
        except StoreFullError:
            # opening writes; the reserve is there so that a full folder can still be opened and cleaned up
            if not self._reserve.release():
                raise
            self._open()
        self._reserve.keep()

    def _open(self) -> None:
        self.folder.make()
        with defer_interrupt() as stop, translate_errors(self.folder.database):
            self._writing = FileLock(self.folder.write_lock)
            try:
                self._patience.wait_for(self._writing.try_acquire, stop)
                self._open_locked(stop)
                self._writing.release()
            except BaseException:
                self._shut()
                raise
        self._at_exit = partial(_close, weakref.ref(self))
        self._notes = FolderLog(self.folder.log)
        self.note(f"opened, format {self.formats.newest}, SQLite {sqlite3.sqlite_version}")
        atexit.register(self._at_exit)

    def _open_locked(self, stop: DeferredInterrupt) -> None:
        lease = self._lease = KernelLease(self.folder)
        self.kernel = lease.kernel
        self.was_dirty = bool(lease.dead())
        # transactions are begun by `transaction`, not by the module, and `_lock` keeps threads apart
        connection = sqlite3.connect(
            self.folder.database, timeout=TURN_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection = connection
        # a folder may come from elsewhere, with triggers and views that call functions
        connection.execute("PRAGMA trusted_schema=OFF")
        check_format(connection, self.formats, self.folder)
        self._opened = OpenedDatabase(self.folder)
        self.log = self._patience.retry(lambda: WriteAheadLog(connection, self.folder.database), stop)
        connection.execute("PRAGMA cell_size_check=ON")
        connection.execute(f"PRAGMA cache_size={-PAGE_CACHE_KIB}")
        connection.execute("PRAGMA foreign_keys=ON")
        # a full check reads the whole file, so it is made only where a kernel crashed
        if self.was_dirty:
            self.check()
        migrate(connection, self.formats, self.folder)
        self._try_to_write(connection)
        self.finish_crashed(connection, CleanReport())
        self.adds = SharedCounter(self.folder.counter("adds"))
        self.drops = SharedCounter(self.folder.counter("drops"))

    def _try_to_write(self, connection: sqlite3.Connection) -> None:
        """Fail now, not in the middle of a run, if the file is read-only. The write is rolled back."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(f"PRAGMA user_version={self.formats.newest}")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the folder in good order; do nothing if it is closed."""
        if self._connection is None:
            return
        atexit.unregister(self._at_exit)
        # the lease and the connection belong to the parent of a forked process
        if not self._opened.is_of_this_process:
            return
        with defer_interrupt() as stop, self._lock:
            self._patience.wait_for(self._writing.try_acquire, stop)
            self.log.checkpoint()
            self.adds.close()
            self.drops.close()
            self._shut()

    def __del__(self) -> None:
        """Close an unreferenced database without waiting: this may run anywhere, also while the folder is locked."""
        if getattr(self, "_connection", None) is not None and self._opened.is_of_this_process:
            atexit.unregister(self._at_exit)
            with suppress(OSError, sqlite3.Error):
                self._shut()

    def note(self, text: str, level: int = logging.INFO) -> None:
        """Write a line into the folder's log."""
        if self._notes is not None:
            self._notes.note(text, level)

    def _shut(self) -> None:
        notes, self._notes = self._notes, None
        if notes is not None:
            notes.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self._lease is not None:
            self._lease.end()
            self._lease = None
        self._writing.close()

    @contextmanager
    def transaction(self, *, durable: bool = False, awaited: bool = True) -> Generator[sqlite3.Connection]:
        """Run the block in a write transaction: commit at its end, roll back if it raises.

        A transaction inside another one is part of the outer one. Stop interrupts the wait for the folder; once the
        transaction has begun, it is deferred to its end.

        Parameters
        ----------
        durable
            Sync to the disk, so that a power cut loses nothing; else only a crash of the process loses nothing.
        awaited
            False if no person waits for it: a write-ahead log of medium length is emptied after it.

        Raises
        ------
        StoreBusyError
            Others wrote for longer than `wait_seconds`.
        StoreError
            The database cannot be written.
        """
        self._opened.refuse_fork()
        with defer_interrupt() as stop:
            self._patience.wait_for(lambda: self._lock.acquire(timeout=TURN_SECONDS), stop)
            try:
                if self._depth:
                    yield self._open_connection
                    return
                with translate_errors(self.folder.database):
                    yield from self._outermost(stop, durable, SOFT_LIMIT if not awaited else HARD_LIMIT)
            finally:
                self._lock.release()

    def _outermost(self, stop: DeferredInterrupt, durable: bool, longest_log: int) -> Generator[sqlite3.Connection]:
        connection = self._open_connection
        self._opened.refuse_another()
        with self._hold_folder(stop):
            self._depth += 1
            try:
                if durable:
                    connection.execute("PRAGMA synchronous=FULL")
                self._patience.retry(lambda: connection.execute("BEGIN IMMEDIATE"), stop)
                yield connection
                self._patience.retry(lambda: connection.execute("COMMIT"), stop)
                if self._to_count is not None:
                    self._to_count.count_up()
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._to_count = None
                self._depth -= 1
                if durable:
                    connection.execute(f"PRAGMA synchronous={self.log.relaxed}")
                # before the lock is released: a checkpoint must not meet a commit of another kernel
                self.log.checkpoint_if_longer(longest_log)

    @contextmanager
    def _hold_folder(self, stop: DeferredInterrupt) -> Generator[None]:
        """Hold the folder's lock in the block; inside another such block, that one keeps it to its end."""
        if not self._holds:
            self._patience.wait_for(self._writing.try_acquire, stop)
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if not self._holds:
                self._writing.release()

    def free(self, rows: Sequence[Row], delete: Callable[[Sequence[Row]], Result]) -> list[Result]:
        """Delete rows by `delete(rows)`, also on a full disk.

        Deleting writes before it frees. Without room the write-ahead log is emptied, the reserve is released, and the
        rows are deleted in small parts.

        Returns
        -------
        list
            What `delete` returned, for each part.
        """
        try:
            return [delete(rows)]
        except StoreFullError:
            if self._depth:
                raise
        self._checkpoint()
        self._reserve.release()
        found: list[Result] = []
        for start in range(0, len(rows), ROWS_WITHOUT_ROOM):
            found.append(delete(rows[start : start + ROWS_WITHOUT_ROOM]))
            self._checkpoint()
        self._reserve.keep()
        return found

    def _checkpoint(self) -> None:
        with self.exclusive():
            self.log.checkpoint()

    @contextmanager
    def exclusive(self) -> Generator[sqlite3.Connection]:
        """Hold the folder without a transaction, for statements that cannot run in one, such as VACUUM.

        A transaction inside the block is committed at its own end, and the folder is held on.

        Raises
        ------
        StoreBusyError
            Others wrote for longer than `wait_seconds`.
        StoreError
            It is called inside a transaction.
        """
        self._opened.refuse_fork()
        with defer_interrupt() as stop, self._lock, translate_errors(self.folder.database):
            if self._depth:
                raise StoreError(f"{self.folder.database} is in a transaction; end it before holding the folder")
            with self._hold_folder(stop):
                yield self._open_connection

    def count_when_committed(self, counter: SharedCounter) -> None:
        """Inside a transaction: increase a counter once it is committed, before other kernels can write."""
        self._to_count = counter

    def rows(self, sql: str, parameters: Sequence[SqlValue] | Mapping[str, SqlValue] = ()) -> list[SqlRow]:
        """Return all rows of a query, or raise the `StoreError` that says why the database cannot be read."""
        self._opened.refuse_fork()
        with self._lock:
            connection = self._open_connection
            try:
                return connection.execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                # read again with marks in the text, so that only its own row is damaged
                connection.text_factory = readable_text if is_text_damage(error) else str
                try:
                    with translate_errors(self.folder.database):
                        return self._patience.retry(
                            lambda: connection.execute(sql, parameters).fetchall(), defer_interrupt()
                        )
                finally:
                    connection.text_factory = str

    def row(self, sql: str, parameters: Sequence[SqlValue] | Mapping[str, SqlValue] = ()) -> SqlRow | None:
        """Return the first row of a query, or None."""
        return next(iter(self.rows(sql, parameters)), None)

    def is_alive(self, kernel: str) -> bool:
        """Return whether the kernel of that name still has the folder open."""
        return self._lease is not None and self._lease.is_alive(kernel)

    @property
    def has_others(self) -> bool:
        """True if other kernels have the folder open."""
        return self._lease is not None and self._lease.has_others()

    def oldest_other_kernel(self) -> float:
        """Return when the first of the other living kernels was opened, in ns by the filesystem's clock; else inf."""
        return inf if self._lease is None else self._lease.oldest_other()

    def check(self) -> None:
        """Raise `StoreCorruptError` if SQLite finds the database damaged."""
        with translate_errors(self.folder.database):
            (found,) = self._open_connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise corrupt_error(self.folder.database, found)

    def finish_crashed(self, connection: sqlite3.Connection, report: CleanReport) -> None:
        """Remove what dead kernels were writing, and finish deletions that a crash came into.

        Parameters
        ----------
        connection
            The write lock of the folder is held.
        report
            Counts are added to it.
        """
        if self._lease is not None:
            for kernel in self._lease.dead():
                report.temporary_files += remove_temporary_files(self.folder, kernel)
                self._lease.forget(kernel)
                report.dead_kernels += 1
        if self.records:
            report.deleted_files += empty_trash(connection, self.folder)

    @property
    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreGoneError(f"{self.folder.root} was closed; open a new studio in it")
        self._opened.refuse_fork()
        return self._connection


def _close(database: "weakref.ref[SqliteDatabase]") -> None:
    """Close a database at the end of the process, if it is still there."""
    found = database()
    if found is not None:
        found.close()
