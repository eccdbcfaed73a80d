"""Pause Python's garbage collector where very many objects are made that all stay alive.

The collector examines new objects again and again, and all objects each time their number has grown by a quarter. Where
nothing becomes garbage, it finds nothing. `gc_pause` stops it for a short section that runs no node. While nodes run it
must go on, because their work makes cycles that may hold tensors: there `GcFreeze` moves the objects made so far out of
its reach, and it examines only newer ones. (Measured without it: `studio.run` of a chain of 10,000 nodes takes 16 %
longer, and 30 % where all of it is cached.) Reference counting goes on in both; only cycles are found later.
"""

import gc
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from time import perf_counter

QUICK_SECONDS = 0.01
SLOW_SECONDS = 1.0
"""Seconds of work beside which a full collection costs little."""


@contextmanager
def gc_pause() -> Generator[None]:
    """Run the block without the collector, unless it is off already."""
    if not gc.isenabled():
        yield
        return
    try:
        gc.disable()  # inside: an interrupt right after it must not leave the collector off
        yield
    finally:
        gc.enable()


def settle() -> None:
    """Put all objects among the oldest, which the collector examines rarely, without examining them.

    It would examine what a large import has made three times until it is there: half a second for torch and diffusers.
    If code has frozen objects, nothing is done: these would be released.
    """
    if gc.get_freeze_count() == 0:
        gc.freeze()
        gc.unfreeze()


class GcFreeze:
    """`with GcFreeze() as freeze:` hides all objects from the collector at each `freeze.renew()`, until the end.

    A renewal more than 10 ms after the one before does nothing: the nodes between were slow, and may have left cycles,
    which are collected before quick nodes that follow. Several may overlap, in threads too; the last one to end
    restores everything. If other code has frozen objects, it does nothing.
    """

    _lock = Lock()
    _active = 0

    def __enter__(self) -> "GcFreeze":
        self._renewed = perf_counter()
        self._slow, self._has_frozen, self._is_refused = 0.0, False, False
        return self

    def renew(self) -> None:
        """Hide the objects made since the last time, unless slow nodes may have left cycles among them."""
        seconds = perf_counter() - self._renewed
        if seconds >= QUICK_SECONDS:
            self._slow += seconds
        elif not self._is_refused and self._is_clean() and self._may_freeze():
            gc.freeze()
        self._renewed = perf_counter()

    def _may_freeze(self) -> bool:
        """Return whether no other code has frozen objects; from then on, the end of this one restores everything."""
        # asked at the first renewal only: the count walks over all frozen objects, and most runs have no renewal
        if not (self._has_frozen or self._is_refused):
            with GcFreeze._lock:
                # `gc.unfreeze` at the end would also release objects that other code has frozen
                self._is_refused = GcFreeze._active == 0 and gc.get_freeze_count() > 0
                self._has_frozen = not self._is_refused
                GcFreeze._active += self._has_frozen
        return self._has_frozen

    def _is_clean(self) -> bool:
        """Return whether the cycles of slow nodes were collected; collect them once that costs little."""
        if self._slow and (self._has_frozen or self._slow > SLOW_SECONDS):
            gc.collect()
            self._slow = 0.0
        return not self._slow

    @classmethod
    def suspend(cls) -> None:
        """Let the collector see everything again, as when memory runs out, until the next renewal."""
        with cls._lock:
            if cls._active:
                gc.unfreeze()

    def __exit__(self, *_: object) -> None:
        if self._has_frozen:
            with GcFreeze._lock:
                GcFreeze._active -= 1
                if not GcFreeze._active:
                    gc.unfreeze()
