"""The cache of a worker that does not see the studio's folder: the head's cache decides what is cached.

**Policy.** A result is used if the head has an entry of its key, or if it was made in the session that runs. So what a
person forgets, clears or turns off at the head is forgotten here. Entries of other sessions are kept here too, as the
next session may use them; they count for nothing while the head has not their keys.

**Asking.** With each session the head sends the keys that are new to the worker, so that a key it has not costs no
message. An entry that is not here is asked for together with those that were stored after it: what was stored next is
probably needed next.
"""

from collections.abc import Callable, Sequence
from typing import cast

from nbgraph.invocations.types import JsonObject, JsonValue
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.invocation_cache.invocation_cache_memory import InvocationCacheMemory
from nbgraph.services.invocation_cache.portable_entries import EntryAnswer, entry_from_wire
from nbgraph.services.shared.head import HeadLike

READ_AHEAD = 256


class InvocationCacheRemote(InvocationCacheMemory):
    """Asks the head before something is computed, and hands over what was computed here.

    Parameters
    ----------
    max_entries, max_bytes
        The limits of what is kept on this worker.
    head
        Has the cache of the studio.
    localise
        Returns the JSON of an output with the paths that its models have on this worker.
    learn
        Takes the record of an image or of tensors, by kind.
    """

    def __init__(
        self,
        max_entries: int,
        max_bytes: int,
        head: HeadLike,
        localise: Callable[[JsonValue], JsonValue],
        learn: Callable[[str, JsonObject], None],
    ) -> None:
        super().__init__(max_entries, max_bytes)
        self._head, self._localise, self._learn = head, localise, learn
        self._places: dict[bytes, int] = {}
        self._head_keys: list[bytes] = []
        self._made: set[bytes] = set()
        self._found: list[bytes] = []
        self._fresh: list[CacheEntry] = []
        self._find = self._find_or_ask

    def begin(self, keys: Sequence[bytes], base: int = 0) -> None:
        """Begin a session; `keys` are those that the head has after the first `base`, in the order of storing."""
        if base == 0:
            self._head_keys, self._places = [], {}
        self._head_keys += keys
        self._places.update((key, place) for place, key in enumerate(keys, base))
        self._made, self._fresh = set(), []

    def take_fresh(self) -> list[CacheEntry]:
        """Return the entries that were made since the last time, for the head."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def _put(self, entries: dict[bytes, CacheEntry]) -> None:
        fresh = [entry for key, entry in entries.items() if key not in self._places]
        self._made.update(entry.key for entry in fresh)
        self._fresh += fresh
        # an entry that does not count any more must not keep the new one out
        self._drop([entry.key for entry in fresh if entry.key in self._entries])
        super()._put(entries)

    def _find_or_ask(self, key: bytes) -> CacheEntry | None:
        if key not in self._places:
            return self._entries.get(key) if key in self._made else None
        if (entry := self._entries.get(key)) is None:
            self._fetch(self._places[key])
            entry = self._entries.get(key)
        return entry

    def _fetch(self, place: int) -> None:
        """Fetch the entry of a key of the head, and those of the keys after it."""
        wanted = [key for key in self._head_keys[place : place + READ_AHEAD] if key not in self._entries]
        found: dict[bytes, CacheEntry] = {}
        for row in cast("list[EntryAnswer]", self._head.ask("entries", wanted)):
            for kind, record in row["records"]:
                self._learn(kind, record)
            if (entry := entry_from_wire(row, self._localise)) is not None:
                found[entry.key] = entry
        super()._put(found)
