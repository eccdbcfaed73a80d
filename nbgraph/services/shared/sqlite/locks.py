"""Locks between kernels: who writes now, who has the folder open, how to wait for them, and counters that they share.

A lock is the operating system's lock on an open file: a process loses it when it ends, even by a crash.
"""

import os
import random
import socket
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from math import inf
from mmap import mmap
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
COUNTER_BYTES = 8
Result = TypeVar("Result")


class FileLock:
    """A lock on a file of its own, opened once. Two of them exclude each other also within one process.

    `filelock.FileLock` opens its file at each acquire. Here one is taken around each transaction, where that would
    cost, and another's file holds a note, which opening for writing would have to preserve.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # CLOEXEC: a child process that inherited the descriptor would keep the lock
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)

    def try_acquire(self) -> bool:
        """Acquire the lock if it is free; return whether it was."""
        return lock_descriptor(self._descriptor, blocking=False)

    def release(self) -> None:
        """Release the lock."""
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
    """The sign that this kernel has the folder open: a lock file of its own.

    Create, end and examine leases with the write lock of the folder held. Otherwise a lease whose file exists but is
    not locked yet would look like that of a crashed kernel.
    """

    def __init__(self, folder: StoreFolder) -> None:
        self.kernel = new_name()
        self._folder = folder
        self._lock = FileLock(folder.lease(self.kernel))
        self._lock.try_acquire()
        # on a full disk the note is lost, not the lock: others see that a kernel is there, not which
        with suppress(OSError):
            self._lock.note(f"process {os.getpid()} on {socket.gethostname()}\n")

    def end(self) -> None:
        """Remove the lease: the kernel has closed the folder in good order."""
        with suppress(OSError):
            self._folder.lease(self.kernel).unlink(missing_ok=True)
        # after the file is removed: unlocked but present, it would look like the lease of a crashed kernel
        self._lock.close()

    def is_alive(self, kernel: str) -> bool:
        """Return whether a kernel still has the folder open."""
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
        """Return the kernels that ended without closing the folder."""
        return [kernel for kernel in self._all() if not self.is_alive(kernel)]

    def has_others(self) -> bool:
        """Return whether other kernels have the folder open."""
        return any(kernel != self.kernel and self.is_alive(kernel) for kernel in self._all())

    def oldest_other(self) -> float:
        """Return when the first of the other living kernels was opened, in ns by the filesystem's clock; else inf."""
        times = [inf]
        for kernel in self._all():
            if kernel != self.kernel and self.is_alive(kernel):
                with suppress(OSError):  # that kernel closed the folder just now
                    times.append(self._folder.lease(kernel).stat().st_mtime_ns)
        return min(times)

    def forget(self, kernel: str) -> None:
        """Remove the lock file of a dead kernel. Call this last, after its temporary files are removed."""
        self._folder.lease(kernel).unlink(missing_ok=True)

    def _all(self) -> list[str]:
        # leases are named by kernels; write.lock is in the same folder
        return [path.stem for path in self._folder.locks.glob("*.lock") if len(path.stem) == 32]


class Patience:
    """Waits for a folder that others use, at most `seconds`, in short turns, so that Stop is noticed between them."""

    def __init__(self, folder: StoreFolder, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds

    def wait_for(self, acquire: Callable[[], bool], stop: DeferredInterrupt, turn: float = 0.0002) -> None:
        """Call `acquire` until it returns True.

        Parameters
        ----------
        acquire
            Tries once, without blocking.
        stop
            The deferred interrupt of the block that waits.
        turn
            The longest first pause in seconds; pauses grow to 10 ms.

        Raises
        ------
        StoreBusyError
            The time is up; the text names the kernels that have the folder open.
        KeyboardInterrupt
            Stop was pressed.
        """
        if acquire():
            return
        deadline = monotonic() + self._seconds
        while not acquire():
            self._give_up(deadline, stop)
            # random pauses, so that two kernels do not wake up in step again and again
            sleep(random.uniform(0, turn))
            turn = min(turn * 1.5, 0.01)

    def retry(self, work: Callable[[], Result], stop: DeferredInterrupt) -> Result:
        """Return what `work` returns; call it again while SQLite is busy. Raises what `wait_for` raises."""
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


class SharedCounter:
    """A number that every kernel on this machine sees as it is now, without a query: a memory-mapped file of 8 bytes.

    Create one, and call `count_up`, with the write lock of the folder held.
    """

    def __init__(self, path: Path) -> None:
        # mapped memory, because a query for each lookup would cost more than the lookup
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            self._allocate(descriptor)
            self._memory = mmap(descriptor, COUNTER_BYTES)
        finally:
            os.close(descriptor)
        self._numbers = memoryview(self._memory).cast("Q")

    @staticmethod
    def _allocate(descriptor: int) -> None:
        """Write the bytes the file has, zeros at first: touching a hole of a mapped file on a full disk is a SIGBUS."""
        number = os.read(descriptor, COUNTER_BYTES).ljust(COUNTER_BYTES, b"\0")
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, number)

    @property
    def value(self) -> int:
        """The number now; after `close`, the number at that moment."""
        return self._numbers[0]

    def count_up(self) -> int:
        """Add one and return the new number."""
        self._numbers[0] += 1
        return self._numbers[0]

    def close(self) -> None:
        """Unmap the file."""
        last = memoryview(bytearray(self._memory[:COUNTER_BYTES])).cast("Q")
        self._numbers.release()
        self._numbers = last
        self._memory.close()
