"""The cache in memory: an ordered dictionary, and a reverse index from resources to keys."""

from collections import OrderedDict
from collections.abc import Iterable
from threading import RLock

from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry, CacheRow
from nbgraph.services.shared.interrupts import HeldStop


class InvocationCacheMemory(InvocationCacheBase):
    """Lives as long as its studio."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        super().__init__(max_entries, max_bytes)
        self._entries: OrderedDict[bytes, CacheEntry] = OrderedDict()
        self._find = self._entries.get
        self._keys_by_resource: dict[str, set[bytes]] = {}
        self._bytes = 0
        self._lock = RLock()

    def _touch(self, key: bytes) -> None:
        try:
            self._entries.move_to_end(key)
        except KeyError:
            return

    def _put(self, entries: dict[bytes, CacheEntry]) -> None:
        with self._lock:
            if not entries.keys().isdisjoint(self._entries.keys()):
                entries = {key: entry for key, entry in entries.items() if key not in self._entries}
            self._entries.update(entries)
            self._bytes += sum([entry.bytes for entry in entries.values()])
            for entry in entries.values():
                for name in entry.resources:
                    self._keys_by_resource.setdefault(name, set()).add(entry.key)
            self._evict()

    def _evict(self) -> None:
        entries = self._entries
        while len(entries) > self.max_entries or self._bytes > self.max_bytes:
            self._drop((next(iter(entries)),))

    def _drop(self, keys: Iterable[bytes]) -> int:
        dropped = 0
        with HeldStop(), self._lock:
            for key in list(keys):
                entry = self._entries.pop(key, None)
                if entry is None:
                    continue
                dropped += 1
                self._bytes -= entry.bytes
                for name in entry.resources:
                    naming = self._keys_by_resource[name]
                    naming.discard(key)
                    if not naming:
                        del self._keys_by_resource[name]
        return dropped

    def _naming(self, resource: str) -> list[bytes]:
        with self._lock:
            return list(self._keys_by_resource.get(resource, ()))

    def _rows(self, node: str | None = None) -> Iterable[CacheRow]:
        with self._lock:
            entries = list(self._entries.values())  # at once: a run goes on using some meanwhile
        return entries if node is None else [entry for entry in entries if entry.node == node]

    def _totals(self) -> tuple[int, int]:
        return len(self._entries), self._bytes
