"""Which kernels use a folder now: each holds the lock of a file of its own for as long as it lives."""

import os
import socket
from contextlib import suppress
from math import inf

from nbgraph.services.shared.names import new_name
from nbgraph.services.shared.sqlite.file_lock import FileLock
from nbgraph.services.shared.sqlite.store_folder import StoreFolder


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


def living_kernels(folder: StoreFolder) -> str:
    """The kernels that have a folder open, as text for an error message."""
    notes = [path.read_text().strip() for path in folder.locks.glob("*.lock") if len(path.stem) == 32]
    return ", ".join(note for note in notes if note) or "no kernel of nbgraph"
