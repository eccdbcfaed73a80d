"""Locks between kernels: a file that one open handle at a time has locked, and that a dead process lets go of."""

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class FileLock:
    """A lock on a file of its own, opened once. Two of them exclude each other also within one process.

    The kernel of the system lets go of it when the process ends, however it ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        try:
            if sys.platform == "win32":
                os.lseek(self._descriptor, 1 << 30, os.SEEK_SET)
                msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self) -> None:
        """Let others have it."""
        if sys.platform == "win32":
            os.lseek(self._descriptor, 1 << 30, os.SEEK_SET)
            msvcrt.locking(self._descriptor, msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def note(self, text: str) -> None:
        """Write a line into the file, for people."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, text.encode())

    def close(self) -> None:
        """Close the file, which lets go of the lock."""
        os.close(self._descriptor)
