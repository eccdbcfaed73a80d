"""The keys of the head's cache, as workers learn them: each gets those that were added since its last session.

A cache lists its keys in the order in which they were stored, so a list that begins with the one before it is the next
of a *series*, of which a worker needs the end only. Where an entry was dropped a new series begins.
"""

from collections.abc import Sequence
from typing import NamedTuple


class KnownKeys(NamedTuple):
    """Keys that come after the first `base` ones of a series."""

    series: int
    base: int
    added: list[bytes]


class KeySeries:
    """What each worker was sent of the keys."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._number = 0
        self._sent: dict[str, tuple[int, int]] = {}

    def next(self, keys: list[bytes], worker: str) -> KnownKeys:
        """Return what a worker has to learn.

        Parameters
        ----------
        keys
            All keys, in the order in which they were stored.
        worker
            The address of the worker; "" if it is not known, which gets all.
        """
        if keys[: len(self._keys)] != self._keys:
            self._number += 1
        self._keys = keys
        series, count = self._sent.get(worker, (0, 0))
        base = count if series == self._number else 0
        if worker:
            self._sent[worker] = self._number, len(keys)
        return KnownKeys(self._number, base, keys[base:])

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
