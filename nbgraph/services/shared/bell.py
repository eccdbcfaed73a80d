"""A bell that one thread waits for and any thread rings, also from a callback of the garbage collector."""

from contextlib import suppress
from queue import Empty, SimpleQueue


class Bell:
    """Waiting is done on a C primitive, so that an interrupt in another thread can never leave it locked."""

    def __init__(self) -> None:
        self._rung: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """End a `wait`, or the next one."""
        self._rung.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait until the bell rings, at most so long; whether it rang."""
        with suppress(Empty):
            self._rung.get(timeout=seconds)
            return True
        return False
