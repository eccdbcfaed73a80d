"""Spares Python's collector of cycles from walking all results of a long run again and again.

A run of 100,000 nodes makes about a million objects that stay. The collector would walk each of them twice when it is
young, and all of them each time a quarter more has come: a third of the cost of the whole run. So what has come is put
aside for the time of the run (`gc.freeze`), and given back at its end. Reference counting goes on as always; only
cycles are found later.

That is for nodes of some microseconds. Nodes that do real work make cycles that may hold tensors, and next to their
work the collector costs nothing, so there it is left alone. Where quick nodes follow, what the slow ones left is
collected before anything is put aside.
"""

import gc
from threading import Lock
from time import perf_counter

QUICK_SECONDS = 0.01
SLOW_SECONDS = 1.0
"""Slow work next to which a collection of all that a process has costs little."""


class CollectorRelief:
    """`with CollectorRelief() as relief:` puts aside what there is at each `relief.renew()`; at the end all comes back.

    A renewal more than 10 ms after the one before does nothing. Several may overlap, in threads too: the last one to
    end gives back. Where somebody else has frozen objects of their own, nothing is done.
    """

    _lock = Lock()
    _active = 0

    def __enter__(self) -> "CollectorRelief":
        cls = CollectorRelief
        self._renewed = perf_counter()
        self._slow, self._has_put_aside = 0.0, False
        with cls._lock:
            self._helps = cls._active > 0 or gc.get_freeze_count() == 0
            cls._active += self._helps
        return self

    def renew(self) -> None:
        """Put aside what has come since, if that was quick and nothing that slow nodes left is among it."""
        seconds = perf_counter() - self._renewed
        if seconds >= QUICK_SECONDS:
            self._slow += seconds
        elif self._helps and self._is_clean():
            gc.freeze()
            self._has_put_aside = True
        self._renewed = perf_counter()

    def _is_clean(self) -> bool:
        """Whether the collector has seen what slow nodes left; it does so here as soon as that costs little."""
        if self._slow and (self._has_put_aside or self._slow > SLOW_SECONDS):
            gc.collect()
            self._slow = 0.0
        return not self._slow

    @classmethod
    def give_back(cls) -> None:
        """Let the collector see everything again, as when memory runs out; the next renewals put aside anew."""
        with cls._lock:
            if cls._active:
                gc.unfreeze()

    def __exit__(self, *_: object) -> None:
        cls = CollectorRelief
        with cls._lock:
            cls._active -= self._helps
            if self._helps and not cls._active:
                gc.unfreeze()
