"""Locks between kernels: who writes now, who has the folder open, and waiting for them.

A lock is the lock of the operating system on an open file, which the process loses when it ends, however it ends.
"""

import os
import random
import socket
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

from filelock import lock_descriptor, unlock_descriptor

from nbgraph.errors import StoreBusyError
from nbgraph.services.shared.interrupts import DeferredInterrupt
from nbgraph.services.shared.names import new_name
from nbgraph.services.shared.sqlite.store_errors import is_busy
from nbgraph.services.shared.sqlite.store_folder import StoreFolder

TURN_SECONDS = 0.05
Result = TypeVar("Result")


class FileLock:
    """A lock on a file of its own, opened once. Two of them exclude each other also within one process.

    It keeps its file open, as `filelock.FileLock` does not: one is taken around each transaction, and the file of
    another holds a note that an open for writing would have to leave alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        return lock_descriptor(self._descriptor, blocking=False)

    def release(self) -> None:
        """Let others have it."""
        unlock_descriptor(self._descriptor)

    def note(self, text: str) -> None:
        """Write a line into the file, for people."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, text.encode())

    def close(self) -> None:
        """Close the file, which releases the lock."""
        os.close(self._descriptor)


class KernelLease:
    """This kernel's sign of life. Taking, ending and judging leases is done with the write lock of the folder held."""

    def __init__(self, folder: StoreFolder) -> None:
        self.kernel = new_name()
        self._folder = folder
        self._lock = FileLock(folder.lease(self.kernel))
        self._lock.try_acquire()
        with suppress(OSError):  # a full disk: who holds it is then not known, only that it is held
            self._lock.note(f"process {os.getpid()} on {socket.gethostname()}\n")

    def end(self) -> None:
        """The kernel has closed the folder in good order."""
        with suppress(OSError):
            self._folder.lease(self.kernel).unlink(missing_ok=True)
        self._lock.close()

    def is_alive(self, kernel: str) -> bool:
        """Whether a kernel still lives."""
        if kernel == self.kernel:
            return True
        path = self._folder.lease(kernel)
        if not path.exists():
            return False
        lock = FileLock(path)
        try:
            return not lock.try_acquire()
        finally:
            lock.close()

    def dead(self) -> list[str]:
        """The kernels that ended without closing the folder."""
        return [kernel for kernel in self._all() if not self.is_alive(kernel)]

    def has_others(self) -> bool:
        """Whether other kernels live."""
        return any(kernel != self.kernel and self.is_alive(kernel) for kernel in self._all())

    def oldest_other(self) -> float:
        """Return when the first of the other living kernels was opened, in ns by the filesystem's clock; else inf."""
        times = [inf]
        for kernel in self._all():
            if kernel != self.kernel and self.is_alive(kernel):
                with suppress(OSError):  # it was closed just now
                    times.append(self._folder.lease(kernel).stat().st_mtime_ns)
        return min(times)

    def forget(self, kernel: str) -> None:
        """Remove the lock file of a dead kernel, after what it left was seen to."""
        self._folder.lease(kernel).unlink(missing_ok=True)

    def _all(self) -> list[str]:
        return [path.stem for path in self._folder.locks.glob("*.lock") if len(path.stem) == 32]


class Patience:
    """Waits for a folder that others use: in short turns, so that Stop is heard, and for no longer than was agreed."""

    def __init__(self, folder: StoreFolder, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds

    def wait_for(self, acquire: Callable[[], bool], stop: DeferredInterrupt, turn: float = 0.0002) -> None:
        """Call `acquire` until it gives True; turns between calls grow from `turn` seconds to 10 ms.

        `StoreBusyError` names who has the folder open when the time is up, `KeyboardInterrupt` if Stop was pressed.
        """
        if acquire():
            return
        deadline = monotonic() + self._seconds
        while not acquire():
            self._give_up(deadline, stop)
            sleep(random.uniform(0, turn))
            turn = min(turn * 1.5, 0.01)

    def retry(self, work: Callable[[], Result], stop: DeferredInterrupt) -> Result:
        """Return what `work` returns; call it again while SQLite is busy. Raises as `wait_for`."""
        deadline = monotonic() + self._seconds
        while True:
            try:
                return work()
            except sqlite3.Error as error:
                if not is_busy(error):
                    raise
                self._give_up(deadline, stop)
                sleep(random.uniform(0, 0.01))

    def _give_up(self, deadline: float, stop: DeferredInterrupt) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        if monotonic() > deadline:
            text = f"{self._folder.database} was kept locked for {self._seconds:g} s; in use by: "
            raise StoreBusyError(text + living_kernels(self._folder) + "; try again, or close the other kernel")


def living_kernels(folder: StoreFolder) -> str:
    """Return the kernels that have a folder open, as text for an error message."""
    notes: list[str] = []
    for path in folder.locks.glob("*.lock"):
        if len(path.stem) == 32:
            with suppress(OSError):  # closed just now, or, on Windows, locked against reading too
                notes.append(path.read_text().strip())
    return ", ".join(note for note in notes if note) or "no kernel of nbgraph"
