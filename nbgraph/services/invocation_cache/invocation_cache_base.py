"""The invocation cache: results of nodes by what they were made of. A hit is never stale, damage is a miss."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from time import time

from nbgraph.errors import NotFoundError
from nbgraph.invocations.fields import ResourceField, models_in, resources_in
from nbgraph.invocations.node_output import BaseInvocationOutput, may_name_resources
from nbgraph.services.invocation_cache.entry_lists import EntryChoice, EntryQuery
from nbgraph.services.invocation_cache.invocation_cache_common import (
    CacheEntry,
    CacheRow,
    CacheStatus,
)
from nbgraph.services.service import InvokerLike, Service
from nbgraph.services.shared.callbacks import Callbacks
from nbgraph.services.shared.interrupts import defer_interrupt
from nbgraph.services.shared.pagination import Page, page_bounds

MAX_LOST = 10_000


class InvocationCacheBase(Service):
    """Keeps at most `max_entries` results and `max_bytes` bytes, the least recently used going first; 0 keeps none.

    It listens to the image and latents services: when a resource is deleted, exactly the entries that name it go, in
    time proportional to those. `disable()` stops reads and writes, never that.

    A run that makes results every few microseconds saves them with `may_wait=True`. They are `pending` then, where
    `get` finds them, until `write_pending()` keeps them all together, in a third of the time.

    Implementations set `_find`, which gives the entry of a key, or None.
    """

    _find: Callable[[bytes], CacheEntry | None]

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self.hits = self.misses = 0
        self.pending: dict[bytes, CacheEntry] = {}
        self._lost: set[bytes] = set()
        self._discarded: dict[str, str] = {}
        self._settling = RLock()
        self._enabled = True
        self._endings: list = []
        self._released: Callbacks[Collection[str]] = Callbacks()

    def start(self, invoker: InvokerLike) -> None:
        if self._invoker is None:
            services = invoker.services
            self._endings = [
                services.images.on_deleted(self._forget_deleted),
                services.latents.on_deleted(self._forget_deleted),
            ]
        super().start(invoker)

    def stop(self) -> None:
        for end in self._endings:
            end()
        self._endings = []
        super().stop()

    def on_released(self, callback: Callable[[Collection[str]], None]) -> Callable[[], None]:
        """Call `callback(names)` with the resources that dropped entries named; returns what ends it.

        Others may name them still. It is called where entries are dropped, in a transaction maybe: it only takes note.
        """
        return self._released.add(callback)

    @property
    def enabled(self) -> bool:
        """Whether results are read and kept."""
        return self._enabled and self.max_entries > 0

    def enable(self) -> None:
        """Read and keep results again."""
        self.write_pending()
        self._enabled = True

    def disable(self) -> None:
        """Neither read nor keep results; what is deleted elsewhere still drops its entries."""
        self.write_pending()
        self._enabled = False

    @contextmanager
    def off(self) -> Iterator[None]:
        """Disabled inside the `with`, as before after it."""
        before = self._enabled
        self.disable()
        try:
            yield
        finally:
            self.write_pending()
            self._enabled = before

    def get(self, key: bytes) -> CacheEntry | None:
        """The entry of that key if what it names is still what it was; counts a hit or a miss, neither if off."""
        if not (self._enabled and self.max_entries):
            return None
        entry = self._find(key) or self.pending.get(key)
        if entry is not None and may_name_resources(type(entry.output)) and not self._is_good(entry):
            self._drop((key,))
            entry = None
        if entry is None:
            self.misses += 1
            return None
        self._touch(entry)
        self.hits += 1
        entry.hits += 1
        return entry

    def peek(self, key: bytes) -> CacheEntry | None:
        """The entry a `get` would give, without counting or touching anything."""
        entry = (self._find(key) or self.pending.get(key)) if self.enabled else None
        return entry if entry is not None and self._is_good(entry) else None

    def save(self, entry: CacheEntry, may_wait: bool = False) -> None:
        """Keep a result; one that is kept already stays. One that names what was deleted meanwhile is not kept.

        With `may_wait`, which is for results that name no resource, it is kept by the next `write_pending()`.
        """
        if may_wait:
            self.pending[entry.key] = entry
        elif self._enabled and self.max_entries:
            entry.bytes, entry.created = len(entry.head) + len(entry.inputs), time()
            if not may_name_resources(type(entry.output)) or self._note_resources(entry):
                self._lost.discard(entry.key)
                self._put({entry.key: entry})

    def write_pending(self) -> None:
        """Keep what is pending, as `save` does; while results are not kept, what is pending is dropped."""
        with defer_interrupt(), self._settling:
            entries, take, now = {}, self.pending.pop, time()
            for key in list(self.pending):
                entry = take(key, None)
                if entry is not None:
                    entry.bytes, entry.created = len(entry.head) + len(entry.inputs), now
                    entries[key] = entry
            if entries and self._enabled and self.max_entries:
                self._put(entries)

    def _note_resources(self, entry: CacheEntry) -> bool:
        """Note the resources an entry names, and count them in; False if one of them is gone."""
        try:
            for field in resources_in(entry.output):
                entry.bytes += self._store(field).record(field.resource_name).bytes
        except NotFoundError:
            return False
        entry.resources = resource_names(entry.output)
        return True

    def flush(self) -> None:
        """Write what is still only in memory, where the cache is stored; done at the end of each session."""
        self.write_pending()

    def clear(self) -> int:
        """Forget everything and count from 0 again; returns how many entries there were."""
        self.write_pending()
        self.hits = self.misses = 0
        return self._drop_and_collect(self._keys())

    def forget(
        self,
        *,
        node: str | None = None,
        type: str | None = None,
        resource: str | None = None,
        key: bytes | None = None,
        keys: Collection[bytes] = (),
        downstream: bool = True,
    ) -> int:
        """Forget the entries of a source node, a node type, a resource or keys, and what was computed from them.

        With `downstream=False` what was computed from them stays, and is used again if they come out the same.
        """
        dropped = self.affected(node=node, type=type, resource=resource, key=key, keys=keys, downstream=downstream)
        return self._drop_and_collect(dropped)

    def affected(
        self,
        *,
        node: str | None = None,
        type: str | None = None,
        resource: str | None = None,
        key: bytes | None = None,
        keys: Collection[bytes] = (),
        downstream: bool = True,
    ) -> list[bytes]:
        """Return the keys of the entries that `forget` would drop, in the order in which they were stored."""
        self.write_pending()
        chosen = {*keys} if key is None else {*keys, key}
        return self._affected(EntryChoice(node, type, resource, chosen), downstream)

    def limit(self, *, max_entries: int | None = None, max_bytes: int | None = None) -> int:
        """Set how much is kept, None leaving as it is, and drop at once what is too much; returns how many went."""
        for name, number in (("max_entries", max_entries), ("max_bytes", max_bytes)):
            if number is not None and number < 0:
                raise ValueError(f"{name} is {number}, and must be 0 or more; 0 keeps nothing")
        self.write_pending()
        entries, size = self._totals()
        self.max_entries = self.max_entries if max_entries is None else max_entries
        self.max_bytes = self.max_bytes if max_bytes is None else max_bytes
        gone: list[bytes] = []
        for row in self._rows():
            if entries <= self.max_entries and size <= self.max_bytes:
                break
            gone.append(row.key)
            entries, size = entries - 1, size - row.bytes
        return self._drop_and_collect(gone)

    def forget_resource(self, name: str) -> int:
        """Forget exactly the entries whose outputs name a resource; returns how many."""
        keys = self._naming(name)
        if len(self._lost) > MAX_LOST:
            self._lost.clear()
        self._lost.update(keys)
        return self._drop(keys)

    def _forget_deleted(self, name: str) -> None:
        self.forget_resource(name)

    def discard(self, entry: CacheEntry, because: str) -> None:
        """Forget an entry that turned out not to be the result of its key, and remember why for `explain`."""
        if len(self._discarded) > MAX_LOST:
            self._discarded.clear()
        self._discarded[entry.node] = because
        self._drop((entry.key,))

    def why_discarded(self, node: str) -> str:
        """Return why the last result of a prepared node was discarded, "" if none was in this kernel."""
        return self._discarded.get(node, "")

    def went_with_resource(self, key: bytes) -> bool:
        """Whether this kernel forgot the entry of that key because a picture or tensors that it names were deleted."""
        return key in self._lost

    def changed_models(self, key: bytes) -> list[str]:
        """Return the names of the models in the output kept under `key` whose files, or place, have changed since."""
        entry = self._find(key) or self.pending.get(key)
        models = models_in(entry.output) if entry is not None else []
        return [model.name for model in models if not self.services.model_manager.is_current(model)]

    def entries(self, node: str | None = None) -> list[CacheRow]:
        """Return all entries, or those of one prepared node, the least recently used first."""
        return list(self.rows(node))

    def rows(self, node: str | None = None) -> Iterator[CacheRow]:
        """Give the same one by one, so that of many only some are in memory at a time; those that go meanwhile not."""
        self.write_pending()
        return iter(self._rows(node))

    def page(self, query: EntryQuery, page: int = 0, per_page: int = 50) -> Page[CacheRow]:
        """Return a page of the entries that `query` means; behind the last page, the last one."""
        page_bounds(page, per_page)
        self.write_pending()
        found, total = self._page(query, page * per_page, per_page)
        last = max(0, -(-total // per_page) - 1)
        if page > last:
            page = last
            found, total = self._page(query, page * per_page, per_page)
        return Page(found, page, per_page, total)

    def types(self) -> list[str]:
        """Return the node types of which there are results, by name."""
        self.write_pending()
        return self._types()

    def rows_of(self, keys: Iterable[bytes]) -> list[CacheRow]:
        """Return the entries of these keys, those there are, in the order in which they were stored."""
        self.write_pending()
        return self._rows_of(list(keys))

    def rows_naming(self, resources: Iterable[str]) -> list[CacheRow]:
        """Return the entries that name any of these resources: those that go when the resources are deleted."""
        self.write_pending()
        return self._rows_of([key for name in dict.fromkeys(resources) for key in self._naming(name)])

    def tidy(self) -> None:
        """Let go of what is stored for entries, and none needs any more."""

    def status(self) -> CacheStatus:
        """Sizes and counts."""
        self.write_pending()
        entries, size = self._totals()
        return CacheStatus(entries, size, self.hits, self.misses, self.enabled, self.max_entries, self.max_bytes)

    def _drop_and_collect(self, keys: Collection[bytes]) -> int:
        """Drop entries, and what nobody else names of what they named."""
        dropped = self._drop(keys)
        if self._invoker is not None:
            self.services.retention.collect()
        return dropped

    def _is_good(self, entry: CacheEntry) -> bool:
        """Whether the resources an output names are whole, and the models it names still what they were."""
        output = entry.output
        if not may_name_resources(type(output)):
            return True
        models = self.services.model_manager
        return all(self._store(field).is_intact(field.resource_name) for field in resources_in(output)) and all(
            models.is_current(model) for model in models_in(output)
        )

    def _store(self, field: ResourceField):
        return self.services.images if field.kind == "image" else self.services.latents

    @abstractmethod
    def _touch(self, entry: CacheEntry) -> None:
        """An entry is now the most recently used; if it is gone already, nothing comes of it."""

    @abstractmethod
    def _put(self, entries: dict[bytes, CacheEntry]) -> None:
        """Store the entries, by key, whose keys are not there, and evict down to the limits."""

    @abstractmethod
    def _drop(self, keys: Iterable[bytes]) -> int:
        """Remove entries; returns how many there were."""

    @abstractmethod
    def _naming(self, resource: str) -> list[bytes]:
        """The keys of the entries that name a resource, by the reverse index."""

    @abstractmethod
    def named(self, resources: Collection[str]) -> set[str]:
        """Those of the resources that entries name."""

    @abstractmethod
    def _rows(self, node: str | None = None) -> Iterable[CacheRow]:
        """Entries, the least recently used first; of one prepared node if given."""

    @abstractmethod
    def _keys(self) -> list[bytes]:
        """The keys of all entries."""

    @abstractmethod
    def _page(self, query: EntryQuery, offset: int, limit: int) -> tuple[Sequence[CacheRow], int]:
        """Entries that a query means, from the one at `offset` on, at most so many; and how many it means in all."""

    @abstractmethod
    def _types(self) -> list[str]:
        """The node types of entries, by name."""

    @abstractmethod
    def _rows_of(self, keys: Sequence[bytes]) -> list[CacheRow]:
        """The entries of these keys, in the order in which they were stored, each once."""

    @abstractmethod
    def _affected(self, choice: EntryChoice, downstream: bool) -> list[bytes]:
        """The keys of the entries that a choice means, and with `downstream` of all that was computed from them.

        What was computed from an entry counts also where that itself is gone. In the order in which they were stored.
        """

    @abstractmethod
    def _totals(self) -> tuple[int, int]:
        """(entries, bytes)"""


def resource_names(output: BaseInvocationOutput) -> tuple[str, ...]:
    """The names of the resources an output refers to."""
    if not may_name_resources(type(output)):
        return ()
    return tuple(dict.fromkeys(field.resource_name for field in resources_in(output)))
