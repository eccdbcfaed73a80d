"""The keys of the head's cache, as workers learn them: each gets those that were added since its last session.

A cache lists its keys in the order in which they were stored. The keys are a *series*, of which a worker needs the end
only, until an entry is dropped: then a new series begins, and each worker gets all keys once more.
"""

from collections.abc import Sequence
from typing import NamedTuple

from nbgraph.services.invocation_cache.invocation_cache_common import StoredKeys


class KnownKeys(NamedTuple):
    """Keys that come after the first `base` ones of a series."""

    series: int
    base: int
    added: list[bytes]


class KeySeries:
    """The keys of the cache, and what each worker was sent of them.

    `mark` is where the last reading of the cache ended; None before the first one.
    """

    def __init__(self) -> None:
        self.mark: tuple[int, int] | None = None
        self._keys: list[bytes] = []
        self._number = -1
        self._sent: dict[str, tuple[int, int]] = {}

    def take(self, read: StoredKeys) -> None:
        """Take what was read from the cache after `mark`."""
        self.mark = read.mark
        if read.are_all:
            self._number, self._keys = self._number + 1, []
        self._keys += read.keys

    def next(self, worker: str) -> KnownKeys:
        """Return what a worker has to learn.

        Parameters
        ----------
        worker
            The address of the worker; "" if it is not known, which gets all.
        """
        series, count = self._sent.get(worker, (self._number, 0))
        base = count if series == self._number else 0
        if worker:
            self._sent[worker] = self._number, len(self._keys)
        return KnownKeys(self._number, base, self._keys[base:])

    def forget(self, worker: str) -> None:
        """Have a worker get all keys the next time."""
        self._sent.pop(worker, None)


class LearntKeys:
    """What a worker knows of the keys."""

    def __init__(self) -> None:
        self._series, self._count = -1, 0

    def fits(self, known: KnownKeys) -> bool:
        """Return whether this worker knows those before."""
        return known.base == 0 or (known.series, known.base) == (self._series, self._count)

    def learn(self, known: KnownKeys) -> tuple[Sequence[bytes], int]:
        """Note keys that fit; return those that are new, and the number of those before them."""
        self._series, self._count = known.series, known.base + len(known.added)
        return known.added, known.base
