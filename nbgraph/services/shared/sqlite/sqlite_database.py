"""The database of a studio's folder: one connection, one lock, short transactions, and order between kernels.

All writing goes through `transaction()`, all reading through `rows()`. Inside this process a lock keeps threads apart.
Kernels are kept apart by the lock of a file, taken around each transaction: it is fair enough, and as checkpoints are
made within it too, the write-ahead log stays small, and no commit ever meets a checkpoint of another connection.
SQLite's own locks stay on as the second line; waiting for them is done here, in short turns, so that Stop is heard.
"""

import atexit
import os
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import RLock
from time import monotonic, sleep
from typing import Any

from nbgraph.errors import ForkedStoreError, StoreBusyError, StoreGoneError
from nbgraph.services.shared.interrupts import HeldStop
from nbgraph.services.shared.sqlite.cleaning import CleanReport, empty_trash, judge_files, remove_temporary_files
from nbgraph.services.shared.sqlite.file_lock import FileLock
from nbgraph.services.shared.sqlite.kernel_lease import KernelLease, living_kernels
from nbgraph.services.shared.sqlite.migrations import migrate, pending_steps
from nbgraph.services.shared.sqlite.store_errors import corrupt_error, is_busy, told_plainly
from nbgraph.services.shared.sqlite.store_folder import FileKind, StoreFolder

WAIT_SECONDS = 10.0
DAY = 24 * 3600.0
CHECKPOINT_EVERY = 200
TURN_SECONDS = 0.05


class SqliteDatabase:
    """`SqliteDatabase(folder, steps)` opens `nbgraph.db`, making it or bringing it to the newest format.

    `steps` are the scripts that make each format of the one before, `records` the queries that give (name, size) of the
    files of each kind there are records of. `StoreError`s say what is wrong with the folder. `kernel` is the name of
    this process as the owner of what it runs.
    """

    def __init__(
        self,
        folder: StoreFolder,
        steps: Sequence[str],
        records: Mapping[FileKind, str] | None = None,
        *,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self.folder, self.steps, self.wait_seconds = folder, steps, wait_seconds
        self._records = records or {}
        self._lock = RLock()
        self._depth = 0
        self._since_checkpoint = 0
        self._connection: sqlite3.Connection | None = None
        self._lease: KernelLease | None = None
        self.was_dirty = False
        self.open()

    # life

    def open(self) -> None:
        """Open the folder; nothing if it is open."""
        if self._connection is not None:
            return
        self.folder.make()
        with HeldStop() as stop, told_plainly(self.folder.database):
            self._writing = FileLock(self.folder.write_lock)
            try:
                self._take_write_lock(stop)
                self._open_locked()
                self._writing.release()
            except BaseException:
                self._shut()
                raise
        atexit.register(self.close)

    def _open_locked(self) -> None:
        lease = self._lease = KernelLease(self.folder)
        self.kernel = lease.kernel
        self.was_dirty = bool(lease.dead())
        self._process = os.getpid()
        connection = sqlite3.connect(
            self.folder.database, timeout=TURN_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection = connection
        connection.execute("PRAGMA trusted_schema=OFF")
        pending_steps(connection, self.steps, self.folder)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cell_size_check=ON")
        connection.execute("PRAGMA foreign_keys=ON")
        if self.was_dirty:
            self.check()
        migrate(connection, self.steps, self.folder)
        self._clean_up(connection, CleanReport())
        self._identity = self._file_identity()

    def close(self) -> None:
        """Close the folder in good order; nothing if it is closed."""
        if self._connection is None:
            return
        atexit.unregister(self.close)
        if self._process != os.getpid():
            return
        with HeldStop() as stop, self._lock:
            self._take_write_lock(stop)
            self._checkpoint()
            self._shut()

    def _shut(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self._lease is not None:
            self._lease.end()
            self._lease = None
        self._writing.close()

    # use

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed when the block ends, rolled back when anything is raised in it.

        On return of a `durable` one what was written outlasts a power cut; otherwise it outlasts the process. Stop is
        heard while it waits, and else after it. Inside a transaction, another one is part of it. `StoreBusyError` after
        `wait_seconds`.
        """
        with HeldStop() as stop:
            self._take_lock(stop)
            try:
                if self._depth:
                    yield self._open_connection
                    return
                with told_plainly(self.folder.database):
                    yield from self._outermost(stop, durable)
            finally:
                self._lock.release()

    def _outermost(self, stop: HeldStop, durable: bool) -> Iterator[sqlite3.Connection]:
        connection = self._open_connection
        self._check_file()
        self._take_write_lock(stop)
        self._depth += 1
        try:
            if durable:
                connection.execute("PRAGMA synchronous=FULL")
            self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"), stop)
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            self._depth -= 1
            try:
                self._after_transaction(durable)
            finally:
                self._writing.release()

    def _after_transaction(self, durable: bool) -> None:
        if durable:
            self._open_connection.execute("PRAGMA synchronous=NORMAL")
        self._since_checkpoint += 1
        if self._since_checkpoint >= CHECKPOINT_EVERY:
            self._checkpoint()

    def rows(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows a query gives."""
        with self._lock:
            connection = self._open_connection
            try:
                return connection.execute(sql, parameters).fetchall()
            except sqlite3.Error:
                with told_plainly(self.folder.database):
                    return self._patiently(lambda: connection.execute(sql, parameters).fetchall(), HeldStop())

    def row(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> tuple[Any, ...] | None:
        """The first row a query gives, None if there is none."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    # kernels

    def is_alive(self, kernel: str) -> bool:
        """Whether the kernel of that name still has the folder open."""
        return self._lease is not None and self._lease.is_alive(kernel)

    # upkeep

    def check(self) -> None:
        """Raise `StoreCorruptError` if SQLite finds the database damaged."""
        with told_plainly(self.folder.database):
            (found,) = self._open_connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise corrupt_error(self.folder.database, found)

    def clean(self, grace_seconds: float = DAY) -> CleanReport:
        """Remove what crashes left, and report it; look for files that are missing, or not as long as they were.

        Done in short when the folder is opened after a crash. A file without a record is removed when an earlier
        `clean` has seen it too, at least `grace_seconds` before: it may belong to a save that is under way.
        """
        report = CleanReport()
        with self.transaction() as connection:
            self._clean_up(connection, report)
            for kind, query in self._records.items():
                judge_files(connection, self.folder, kind, query, grace_seconds, report)
        self._compact()
        return report

    def _clean_up(self, connection: sqlite3.Connection, report: CleanReport) -> None:
        if self._lease is not None:
            for kernel in self._lease.dead():
                report.temporary_files += remove_temporary_files(self.folder, kernel)
                self._lease.forget(kernel)
                report.dead_kernels += 1
        if self._records:
            report.deleted_files += empty_trash(connection, self.folder)

    def _compact(self) -> None:
        """Give the room of what was deleted back to the disk, if more than a quarter of the file is empty."""
        (pages,), (free,) = self.rows("PRAGMA page_count")[0], self.rows("PRAGMA freelist_count")[0]
        if free * 4 > pages:
            with HeldStop() as stop, self._lock, told_plainly(self.folder.database):
                self._take_write_lock(stop)
                try:
                    self._open_connection.execute("VACUUM")
                    self._checkpoint()
                finally:
                    self._writing.release()

    # inside

    @property
    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreGoneError(f"{self.folder.root} was closed; open a new studio in it")
        if self._process != os.getpid():
            raise ForkedStoreError(f"{self.folder.root} was opened before a fork; open it anew in the forked process")
        return self._connection

    def _take_lock(self, stop: HeldStop) -> None:
        deadline = monotonic() + self.wait_seconds
        while not self._lock.acquire(timeout=TURN_SECONDS):
            self._give_up(deadline, stop)

    def _take_write_lock(self, stop: HeldStop) -> None:
        if self._writing.try_acquire():
            return
        deadline, turn = monotonic() + self.wait_seconds, 0.0002
        while not self._writing.try_acquire():
            self._give_up(deadline, stop)
            sleep(random.uniform(0, turn))
            turn = min(turn * 1.5, 0.01)

    def _patiently(self, work: Callable[[], Any], stop: HeldStop) -> Any:
        deadline = monotonic() + self.wait_seconds
        while True:
            try:
                return work()
            except sqlite3.Error as error:
                if not is_busy(error):
                    raise
                self._give_up(deadline, stop)
                sleep(random.uniform(0, 0.01))

    def _give_up(self, deadline: float, stop: HeldStop) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        if monotonic() > deadline:
            text = f"{self.folder.database} was kept locked for {self.wait_seconds:g} s; in use by: "
            raise StoreBusyError(text + living_kernels(self.folder) + "; try again, or close the other kernel")

    def _checkpoint(self) -> None:
        """Move the log into the database; if that cannot be now, what the log holds is as safe."""
        self._since_checkpoint = 0
        with suppress(sqlite3.OperationalError):
            self._open_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

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
