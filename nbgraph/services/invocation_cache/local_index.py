"""The local index of a folder's results: the keys that a kernel has read, and some whole entries.

Two counters that the kernels share change when another one has added or dropped results. Until then the database need
not be queried. Added keys are then read; after a drop everything is read anew, so that no two kernels have different
entries under one key.
"""

from collections.abc import Collection, Iterable
from threading import RLock

from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

MOST_ENTRIES, MOST_CHARACTERS = 16_384, 64 * 2**20
MOST_KEYS = 200_000
_KEYS = "SELECT number, key FROM cache_entries WHERE number > ? ORDER BY number"


class LocalIndex:
    """At most 16,384 entries, with at most 64 MB of key material, and the keys of all if there are at most 200,000.

    In a folder where kernels cannot share a counter, as on another machine's disk, nothing is known.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._lock = RLock()
        self.forget_all()

    def forget_all(self) -> None:
        """Forget everything; the next look-ups read the database."""
        with self._lock:
            self._drops = self._database.drops.value
            self._adds = -1  # no value of the counter, so that the keys are read at the next question
            self._newest = 0
            self._too_many = False
            self._entries: dict[bytes, CacheEntry] = {}
            self._characters = 0
            self._keys: set[bytes] = set()

    @property
    def moment(self) -> int:
        """The moment to read before an entry is read from the database, and to pass to `keep` with it."""
        return self._drops

    def get(self, key: bytes) -> CacheEntry | None:
        """Return the entry if it is known."""
        if self._drops != self._database.drops.value:
            self.forget_all()
        return self._entries.get(key)

    def is_absent(self, key: bytes) -> bool:
        """Whether it is certain that the database has no entry of that key."""
        if self._adds != self._database.adds.value and not self._look_up():
            return False
        return key not in self._keys

    def keep(self, entries: Iterable[CacheEntry], moment: int) -> None:
        """Remember entries, unless results were dropped since that moment."""
        if self._database.log.refused:
            return
        with self._lock:
            if moment != self._database.drops.value:
                return  # they may be among those that were dropped
            if len(self._entries) > MOST_ENTRIES or self._characters > MOST_CHARACTERS:
                self._entries, self._characters = {}, 0
            for entry in entries:
                self._entries.setdefault(entry.key, entry)
                self._characters += len(entry.head) + len(entry.inputs)

    def added(self, keys: Iterable[bytes]) -> None:
        """Record that this kernel has stored results."""
        with self._lock:
            adds = self._database.adds.value
            if adds == self._adds + 1:
                self._keys.update(keys)
                self._adds = adds

    def evicted(self, keys: Iterable[bytes]) -> None:
        """Record that this kernel has evicted results; another may still have them in memory."""
        for key in keys:
            self._entries.pop(key, None)

    def dropped(self, keys: Collection[bytes]) -> None:
        """Record that this kernel has dropped results.

        Should another kernel have stored one of them again just now, it is computed once more here.
        """
        with self._lock:
            drops = self._database.drops.value
            if drops == self._drops + 1:
                self._drops = drops
                # else each of them would be looked for in the database when it is computed again
                self._keys.difference_update(keys)
            self.evicted(keys)

    def _look_up(self) -> bool:
        """Read the keys that were added; False if they cannot be known, or are too many."""
        with self._lock:
            adds = self._database.adds.value
            self._too_many = self._too_many or self._count() > MOST_KEYS
            if self._too_many or self._database.log.refused:
                return False
            rows = self._database.rows(_KEYS, (self._newest,))
            if rows:
                self._newest = rows[-1][0]
                self._keys.update(key for _, key in rows)
            self._adds = adds
            return True

    def _count(self) -> int:
        return self._database.rows("SELECT entries FROM cache_totals")[0][0]
