"""The database of a studio's folder: one connection, one lock, short transactions, and order between kernels.

All writing goes through `transaction()`, all reading through `rows()`. Inside this process a lock keeps threads apart.
Kernels are kept apart by the lock of a file, taken around each transaction: it is fair enough, and as checkpoints are
made within it too, the write-ahead log stays small, and no commit ever meets a checkpoint of another connection.
SQLite's own locks stay on as the second line; waiting for them is done here, in short turns, so that Stop is heard.
"""

import atexit
import logging
import os
import sqlite3
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from math import inf
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

from nbgraph.errors import ForkedStoreError, StoreError, StoreFullError, StoreGoneError
from nbgraph.services.shared.interrupts import DeferredInterrupt, defer_interrupt
from nbgraph.services.shared.sqlite.cleaning import (
    DAY,
    CleanReport,
    OrphanRule,
    audit_files,
    empty_trash,
    handle_orphans,
    remove_temporary_files,
)
from nbgraph.services.shared.sqlite.folder_log import FolderLog
from nbgraph.services.shared.sqlite.locks import TURN_SECONDS, FileLock, KernelLease, Patience
from nbgraph.services.shared.sqlite.migrations import Formats, check_format, migrate
from nbgraph.services.shared.sqlite.reserve import Reserve
from nbgraph.services.shared.sqlite.shared_counter import SharedCounter
from nbgraph.services.shared.sqlite.store_errors import corrupt_error, translate_errors
from nbgraph.services.shared.sqlite.store_folder import FileKind, StoreFolder
from nbgraph.services.shared.sqlite.write_ahead_log import HARD_LIMIT, SOFT_LIMIT, WriteAheadLog

WAIT_SECONDS = 10.0
PART = 32
"""Rows that are deleted in one transaction on a full disk."""
Row = TypeVar("Row")
Result = TypeVar("Result")


class SqliteDatabase:
    """`SqliteDatabase(folder, formats)` opens `nbgraph.db`, making it or bringing it to the newest format.

    `records` are the queries that give (name, size) of the files of each kind there are records of. `StoreError`s say
    what is wrong with the folder. `kernel` is the name of this process as the owner of what it runs; `adds` and `drops`
    count, for all kernels, what became of cached results.
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
        self._records = records or {}
        self._lock = RLock()
        self._depth = 0
        self._to_count: SharedCounter | None = None
        self._connection: sqlite3.Connection | None = None
        self._lease: KernelLease | None = None
        self._notes: FolderLog | None = None
        self.was_dirty = False
        self.being_saved: set[str] = set()
        """Names of resources whose file is written, or about to be, and whose record is not yet."""
        self.open()

    # life

    def open(self) -> None:
        """Open the folder; nothing if it is open."""
        if self._connection is not None:
            return
        try:
            self._open()
        except StoreFullError:
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
        self._process = os.getpid()
        connection = sqlite3.connect(
            self.folder.database, timeout=TURN_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection = connection
        connection.execute("PRAGMA trusted_schema=OFF")
        check_format(connection, self.formats, self.folder)
        self.log = self._patience.retry(lambda: WriteAheadLog(connection, self.folder.database), stop)
        connection.execute("PRAGMA cell_size_check=ON")
        connection.execute("PRAGMA foreign_keys=ON")
        if self.was_dirty:
            self.check()
        migrate(connection, self.formats, self.folder)
        self._try_to_write(connection)
        self._clean_up(connection, CleanReport())
        self.adds = SharedCounter(self.folder.counter("adds"))
        self.drops = SharedCounter(self.folder.counter("drops"))
        self._identity = self._file_identity()

    def _try_to_write(self, connection: sqlite3.Connection) -> None:
        """Find out now, not in the middle of a run, whether the file may be written; nothing is."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(f"PRAGMA user_version={self.formats.newest}")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the folder in good order; nothing if it is closed."""
        if self._connection is None:
            return
        atexit.unregister(self._at_exit)
        if self._process != os.getpid():
            return
        with defer_interrupt() as stop, self._lock:
            self._patience.wait_for(self._writing.try_acquire, stop)
            self.log.checkpoint()
            self.adds.close()
            self.drops.close()
            self._shut()

    def __del__(self) -> None:
        """Close what nobody has any more, without waiting: this may run anywhere, also where the folder is locked."""
        if getattr(self, "_connection", None) is not None and self._process == os.getpid():
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

    # use

    @contextmanager
    def transaction(self, *, durable: bool = False, awaited: bool = True) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed when the block ends, rolled back when anything is raised in it.

        On return of a `durable` one what was written outlasts a power cut; otherwise it outlasts the process. Upkeep of
        the database that is due is done after one that nobody awaits. Stop is heard while it waits, and else after it.
        Inside a transaction, another one is part of it. `StoreBusyError` after `wait_seconds`.
        """
        self._refuse_fork()
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

    def _outermost(self, stop: DeferredInterrupt, durable: bool, longest_log: int) -> Iterator[sqlite3.Connection]:
        connection = self._open_connection
        self._check_file()
        self._patience.wait_for(self._writing.try_acquire, stop)
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
            try:
                if durable:
                    connection.execute(f"PRAGMA synchronous={self.log.relaxed}")
                self.log.checkpoint_if_longer(longest_log)
            finally:
                self._writing.release()

    def free(self, rows: Sequence[Row], delete: Callable[[Sequence[Row]], Result]) -> list[Result]:
        """Delete rows by `delete(rows)` and return what that returns, also on a full disk.

        Deleting writes before it frees. So if there is no room, the write-ahead log is emptied, the room that is kept
        for this is given up, and the rows are deleted in parts that need little: then there is a result for each part.
        """
        try:
            return [delete(rows)]
        except StoreFullError:
            if self._depth:
                raise
            self._make_room()
        found = []
        for start in range(0, len(rows), PART):
            found.append(delete(rows[start : start + PART]))
            self._checkpoint()
        self._reserve.keep()
        return found

    def _make_room(self) -> None:
        self._checkpoint()
        self._reserve.release()

    def _checkpoint(self) -> None:
        with defer_interrupt() as stop, self._lock, translate_errors(self.folder.database):
            self._patience.wait_for(self._writing.try_acquire, stop)
            try:
                self.log.checkpoint()
            finally:
                self._writing.release()

    def count_when_committed(self, counter: SharedCounter) -> None:
        """Inside a transaction: count up as soon as it is committed, before others write."""
        self._to_count = counter

    def rows(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows a query gives."""
        self._refuse_fork()
        with self._lock:
            connection = self._open_connection
            try:
                return connection.execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                connection.text_factory = _readable_text if _is_text_damage(error) else str
                try:
                    with translate_errors(self.folder.database):
                        return self._patience.retry(
                            lambda: connection.execute(sql, parameters).fetchall(), defer_interrupt()
                        )
                finally:
                    connection.text_factory = str

    def row(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> tuple[Any, ...] | None:
        """The first row a query gives, None if there is none."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    # kernels

    def is_alive(self, kernel: str) -> bool:
        """Whether the kernel of that name still has the folder open."""
        return self._lease is not None and self._lease.is_alive(kernel)

    def copy_to(self, target: StoreFolder) -> Path:
        """Copy the database as it is now, and after it the files its records name, into a new folder; returns its path.

        Files never change once they are written, so none can be torn; one that is deleted meanwhile is left out, as its
        record would be a moment later. `StoreError` if the folder has anything in it.
        """
        if os.path.isdir(target.root) and any(target.root.iterdir()):
            raise StoreError(f"{target.root} is not empty; name a new folder for the copy")
        target.make()
        with defer_interrupt() as stop, self._lock, translate_errors(target.database):
            self._patience.wait_for(self._writing.try_acquire, stop)
            try:
                self._open_connection.execute("VACUUM INTO ?", (str(target.database),))
                named: list[tuple[FileKind, str]] = [
                    (kind, name) for kind, query in self._records.items() for name, _ in self.rows(query)
                ]
            finally:
                self._writing.release()
        for kind, name in named:
            data = self.folder.read(kind, name)
            if data is not None:
                target.write(kind, name, data, self.kernel, durable=False)
        return target.root

    @property
    def has_others(self) -> bool:
        """Whether other kernels have the folder open."""
        return self._lease is not None and self._lease.has_others()

    # upkeep

    def check(self) -> None:
        """Raise `StoreCorruptError` if SQLite finds the database damaged."""
        with translate_errors(self.folder.database):
            (found,) = self._open_connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise corrupt_error(self.folder.database, found)

    def clean(self, grace_seconds: float = DAY, compact: bool = False) -> CleanReport:
        """Remove what crashes left, and report it; look for files that are missing, or not as long as they were.

        Done in short when the folder is opened after a crash. A file without a record is removed when an earlier
        `clean` has seen it too, at least `grace_seconds` before: it may belong to a save that is under way.
        """
        report = CleanReport()
        with self.transaction() as connection:
            self._clean_up(connection, report)
            rule = self._orphan_rule(grace_seconds)
            for kind, query in self._records.items():
                audit_files(connection, self.folder, kind, query, rule, report)
        self.folder.remove_empty_folders()
        with suppress(StoreFullError):  # it needs room for a copy; what is empty in the file is used again anyway
            self._compact(always=compact)
        return report

    def remove_orphans(self, grace_seconds: float = DAY) -> CleanReport:
        """Remove files without a record that were seen before, at least `grace_seconds` ago, and note new ones.

        Others may use the folder meanwhile: files and records are listed outside of a transaction.
        """
        report = CleanReport()
        for kind, query in self._records.items():
            with translate_errors(self.folder.root):
                found = set(self.folder.names(kind))  # before the records: a save writes its file first
            orphans = found.difference(name for name, _ in self.rows(query))
            if orphans or self.row("SELECT 1 FROM orphans WHERE kind = ? LIMIT 1", (kind,)):
                with self.transaction(awaited=False) as connection:
                    # a save that was under way may have ended since
                    orphans = orphans.difference(name for name, _ in connection.execute(query))
                    handle_orphans(connection, self.folder, kind, orphans, self._orphan_rule(grace_seconds), report)
        return report

    def _orphan_rule(self, grace_seconds: float) -> OrphanRule:
        oldest = inf if self._lease is None else self._lease.oldest_other()
        return OrphanRule(grace_seconds, oldest, frozenset(self.being_saved))

    def _clean_up(self, connection: sqlite3.Connection, report: CleanReport) -> None:
        if self._lease is not None:
            for kernel in self._lease.dead():
                report.temporary_files += remove_temporary_files(self.folder, kernel)
                self._lease.forget(kernel)
                report.dead_kernels += 1
        if self._records:
            report.deleted_files += empty_trash(connection, self.folder)

    def _compact(self, always: bool = False) -> None:
        """Give the room of what was deleted back to the disk, always or if over a quarter of the file is empty."""
        (pages,), (free,) = self.rows("PRAGMA page_count")[0], self.rows("PRAGMA freelist_count")[0]
        if free * 4 > pages or (always and free):
            with defer_interrupt() as stop, self._lock, translate_errors(self.folder.database):
                self._patience.wait_for(self._writing.try_acquire, stop)
                try:
                    self._open_connection.execute("VACUUM")
                    self.log.checkpoint()
                finally:
                    self._writing.release()

    # inside

    @property
    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreGoneError(f"{self.folder.root} was closed; open a new studio in it")
        self._refuse_fork()
        return self._connection

    def _refuse_fork(self) -> None:
        """Raise `ForkedStoreError` in a forked process, before a lock that a thread of the parent held for ever."""
        if self._process != os.getpid():
            raise ForkedStoreError(f"{self.folder.root} was opened before a fork; open it anew in the forked process")

    def _check_file(self) -> None:
        if self._file_identity() != self._identity:
            text = f"{self.folder.database} was deleted or replaced while it was open; nothing was written"
            raise StoreGoneError(f"{text}. Put it back, or open a new studio")

    def _file_identity(self) -> tuple[int, int] | None:
        try:
            state = os.stat(self.folder.database)
        except OSError:
            return None
        return state.st_dev, state.st_ino


def _close(database: "weakref.ref[SqliteDatabase]") -> None:
    """Close a database at the end of the process, if it is still there."""
    found = database()
    if found is not None:
        found.close()


def _is_text_damage(error: sqlite3.Error) -> bool:
    """Whether a text is not UTF-8, which fails a whole query, not only the row it is in."""
    return "decode to UTF-8" in str(error)


def _readable_text(data: bytes) -> str:
    return data.decode(errors="replace")
