"""Signals between threads that an interrupt of a waiter cannot damage: `Latch` signals once, `Bell` repeatedly."""

from _thread import LockType, allocate_lock
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic

POLL_SECONDS = 0.5
"""One uninterrupted wait: on Windows a wait in C hides Ctrl-C until it ends."""


class Latch:
    """Closed until `open()` is called; it stays open. `wait()` returns once it is open.

    Each waiter waits on a lock of its own, which no other thread needs. `KeyboardInterrupt` may arrive between any two
    steps of a waiter, and whatever lock it holds then stays held: with one lock for all, that locks out everybody.
    """

    __slots__ = ("_waiters", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._waiters: list[LockType] = []

    def open(self) -> None:
        """Open the latch and wake every waiter; later waiters return at once."""
        self.is_open = True
        for waiter in tuple(self._waiters):
            with suppress(RuntimeError):  # released already, by an earlier call
                waiter.release()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is open, at most `seconds`; return whether it is."""
        if self.is_open or seconds == 0:
            return self.is_open
        waiter = allocate_lock()
        waiter.acquire()
        self._waiters.append(waiter)  # before the next look: `open` first opens, then reads the list
        deadline = None if seconds is None else monotonic() + seconds
        try:
            while not self.is_open:
                left = POLL_SECONDS if deadline is None else min(POLL_SECONDS, deadline - monotonic())
                if left <= 0 or waiter.acquire(timeout=left):
                    break
        finally:
            self._waiters.remove(waiter)
        return self.is_open


class Bell:
    """Ends the wait of one thread each time it rings; any thread rings it, also from a callback of the collector.

    A `SimpleQueue` waits in C, so an interrupt can never leave it locked.
    """

    def __init__(self) -> None:
        self._rung: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """End the present `wait`, or the next one."""
        self._rung.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait until the bell rings, at most so long; return whether it rang."""
        with suppress(Empty):
            self._rung.get(timeout=seconds)
            return True
        return False
