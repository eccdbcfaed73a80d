"""Numbers that every kernel on this machine sees as they are now, without asking the database."""

import os
from mmap import mmap
from pathlib import Path

SIZE = 8


class SharedCounter:
    """Eight bytes of a file, mapped into memory. The write lock of the folder is held to count up, and to make one."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            self._allocate(descriptor)
            self._memory = mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)
        self._numbers = memoryview(self._memory).cast("Q")

    @staticmethod
    def _allocate(descriptor: int) -> None:
        """Write the bytes as they are, zeros at first: touching a hole of a mapped file on a full disk is a SIGBUS."""
        number = os.read(descriptor, SIZE).ljust(SIZE, b"\0")
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, number)

    @property
    def value(self) -> int:
        """The number now; when closed, as it was then."""
        return self._numbers[0]

    def count_up(self) -> int:
        """Add one; returns the new number."""
        self._numbers[0] += 1
        return self._numbers[0]

    def close(self) -> None:
        """Let go of the file."""
        last = memoryview(bytearray(self._memory[:SIZE])).cast("Q")
        self._numbers.release()
        self._numbers = last
        self._memory.close()
