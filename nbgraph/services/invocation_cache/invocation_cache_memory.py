"""The cache in memory: a dictionary, and a reverse index from resources to keys."""

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from operator import attrgetter
from threading import RLock

from nbgraph.services.invocation_cache.entry_lists import EntryChoice, EntryQuery, select_rows
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry, CacheRow, StoredKeys, with_descendants
from nbgraph.services.shared.interrupts import defer_interrupt

_used = attrgetter("used")
NO_LIST: tuple[tuple[object, ...], list[CacheRow]] = (), []


class InvocationCacheMemory(InvocationCacheBase):
    """Lives as long as its studio.

    A use only sets the number of the entry. Entries to evict are found by sorting all by that number, once for as many
    evictions as there are entries: those used since are skipped, and those stored since are not among them.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        super().__init__(max_entries, max_bytes)
        self._entries: dict[bytes, CacheEntry] = {}
        self._find = self._entries.get
        self._keys_by_resource: dict[str, set[bytes]] = {}
        self._bytes = 0
        self._uses = 0
        self._oldest: list[tuple[int, bytes]] = []
        self._changes = self._dropped = 0
        self._listed = NO_LIST
        self._lock = RLock()

    def _touch(self, entry: CacheEntry) -> None:
        entry.used = self._uses = self._uses + 1

    def _put(self, entries: dict[bytes, CacheEntry]) -> None:
        with self._lock:
            if not entries.keys().isdisjoint(self._entries.keys()):
                entries = {key: entry for key, entry in entries.items() if key not in self._entries}
            size, use = self._bytes, self._uses + 1
            for entry in entries.values():
                size += entry.bytes
                entry.used = use
                if entry.resources:
                    self._note(entry)
            self._entries.update(entries)
            self._changes, self._listed = self._changes + 1, NO_LIST
            self._bytes, self._uses = size, use
            self._evict()

    def _note(self, entry: CacheEntry) -> None:
        for name in entry.resources:
            self._keys_by_resource.setdefault(name, set()).add(entry.key)

    def _evict(self) -> None:
        entries = self._entries
        while len(entries) > self.max_entries or self._bytes > self.max_bytes:
            if not self._oldest:
                self._oldest = [(entry.used, entry.key) for entry in self._rows()]
                self._oldest.reverse()
            used, key = self._oldest.pop()
            entry = entries.get(key)
            if entry is not None and entry.used == used:
                self._drop((key,))

    def _drop(self, keys: Iterable[bytes]) -> int:
        dropped = 0
        released: list[str] = []
        with defer_interrupt(), self._lock:
            self._changes, self._listed = self._changes + 1, NO_LIST
            for key in list(keys):
                entry = self._entries.pop(key, None)
                if entry is None:
                    continue
                dropped += 1
                self._dropped += 1
                self._bytes -= entry.bytes
                released += entry.resources
                for name in entry.resources:
                    naming = self._keys_by_resource[name]
                    naming.discard(key)
                    if not naming:
                        del self._keys_by_resource[name]
            if released:
                self._released(released)
        return dropped

    def named(self, resources: Collection[str]) -> set[str]:
        with self._lock:
            return {name for name in resources if name in self._keys_by_resource}

    def _naming(self, resource: str) -> list[bytes]:
        with self._lock:
            return list(self._keys_by_resource.get(resource, ()))

    def _rows(self, node: str | None = None) -> Iterable[CacheRow]:
        with self._lock:
            entries = list(self._entries.values())  # at once: a run goes on using some meanwhile
        return sorted([entry for entry in entries if node is None or entry.node == node], key=_used)

    def _keys(self) -> list[bytes]:
        return list(self._entries)

    def _keys_after(self, mark: tuple[int, int] | None) -> StoredKeys:
        with self._lock:
            now = len(self._entries) + self._dropped, self._dropped
            stored, dropped = mark or (0, -1)
            are_all = dropped != self._dropped
            count = len(self._entries) if are_all else now[0] - stored
            newest_first = list(islice(reversed(self._entries), count))
            return StoredKeys(now, newest_first[::-1], are_all)

    def _page(self, query: EntryQuery, offset: int, limit: int) -> tuple[Sequence[CacheRow], int]:
        """Return a page.

        The list of a query is kept for its other pages until entries change, or are used if that matters.
        """
        moment = (query, self._changes, self.hits if query.sort == "hits" else 0)
        known, found = self._listed
        if known != moment:
            found = select_rows(self._stored(), query)
            self._listed = moment, found
        return found[offset : offset + limit], len(found)

    def _types(self) -> list[str]:
        return sorted({entry.type for entry in self._stored()})

    def _rows_of(self, keys: Sequence[bytes]) -> list[CacheRow]:
        wanted = set(keys)
        if len(wanted) == 1:
            entry = self._entries.get(keys[0])
            return [] if entry is None else [entry]
        return [entry for entry in self._stored() if entry.key in wanted]

    def _affected(self, choice: EntryChoice, downstream: bool) -> list[bytes]:
        rows = self._stored()
        chosen = {row.key for row in rows if choice.means(row)}.union(choice.keys)
        found = with_descendants(chosen, rows) if downstream else chosen
        return [row.key for row in rows if row.key in found]

    def _stored(self) -> list[CacheRow]:
        """Return all entries, in the order in which they were stored."""
        with self._lock:
            return list(self._entries.values())

    def _totals(self) -> tuple[int, int]:
        return len(self._entries), self._bytes
