"""The invocation cache: outputs of nodes by key. A hit is never stale; a damaged entry is a miss.

**Policy.** A key is made from everything a result depends on (see `contents.py`), so an entry is valid for ever and is
only dropped to save room, on request, or because a resource it names was deleted. At most `max_entries` entries and
`max_bytes` bytes are stored; the least recently used go first.

**State.** Entries by key; an index from resource names to the keys of the entries that name them; `pending`, results of
quick nodes that are not written yet. Implementations differ in where the entries and the index are.

**Example.** `noise` gave latents `a1`, `denoise` latents `b2` from them. Deleting `a1` drops the entry of `noise`
alone: that of `denoise` names `b2`, and its key holds the content of `a1`, not the name.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
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
from nbgraph.services.invocation_cache.kept_runs import KeptRuns
from nbgraph.services.service import InvokerLike, Service
from nbgraph.services.shared.callbacks import Callbacks
from nbgraph.services.shared.interrupts import defer_interrupt
from nbgraph.services.shared.pagination import Page, page_bounds

MAX_LOST = 10_000


class InvocationCacheBase(Service):
    """Stores outputs of nodes by key, within limits of entries and bytes; a limit of 0 stores nothing.

    It listens to the image and latents services: when a resource is deleted, exactly the entries that name it are
    dropped, in time proportional to their number. `disable()` stops reading and writing, but not this.

    A run of quick nodes passes results that name no resource with `may_wait`: they are written many at a time by
    `write_pending()`, and `get` finds them meanwhile.
    """

    _find: Callable[[bytes], CacheEntry | None]

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self.hits = self.misses = 0
        self.pending: dict[bytes, CacheEntry] = {}
        self.runs = KeptRuns()
        self._dropped_with_resource: set[bytes] = set()
        self._discard_reasons: dict[str, str] = {}
        self._pending_lock = RLock()
        self._enabled = True
        self._unsubscribes: list[Callable[[], None]] = []
        self._released: Callbacks[Collection[str]] = Callbacks()

    def start(self, invoker: InvokerLike) -> None:
        if self._invoker is None:
            services = invoker.services
            self._unsubscribes = [
                services.images.on_deleted(self._forget_deleted),
                services.latents.on_deleted(self._forget_deleted),
            ]
        super().start(invoker)

    def stop(self) -> None:
        for end in self._unsubscribes:
            end()
        self._unsubscribes = []
        super().stop()

    def on_released(self, callback: Callable[[Collection[str]], None]) -> Callable[[], None]:
        """Call `callback(names)` with the resources that dropped entries named; others may still name them.

        The callback runs wherever entries are dropped, possibly inside a transaction: it must only record the names.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """
        return self._released.add(callback)

    @property
    def enabled(self) -> bool:
        """Whether results are read and stored."""
        return self._enabled and self.max_entries > 0

    def enable(self) -> None:
        """Read and store results again."""
        self.write_pending()
        self._enabled = True

    def disable(self) -> None:
        """Stop reading and storing results. Deleted resources still drop their entries."""
        self.write_pending()
        self._enabled = False

    @contextmanager
    def off(self) -> Generator[None]:
        """Disable the cache within the block."""
        before = self._enabled
        self.disable()
        try:
            yield
        finally:
            self.write_pending()
            self._enabled = before

    def get(self, key: bytes) -> CacheEntry | None:
        """Return the entry of a key, or None.

        An entry whose resources or models are not what they were is dropped and is a miss. Counts a hit or a miss,
        unless the cache is disabled.
        """
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

    def get_all(self, keys: Sequence[bytes], outputs: Sequence[BaseInvocationOutput]) -> bool:
        """Count a hit for each key, if all entries are stored and have these very outputs; else do nothing.

        For outputs that name no resource and no model, of which only the cache decides whether they are good.

        Returns
        -------
        bool
            Whether all are there.
        """
        found = [self._find(key) for key in keys] if self.enabled else []
        if len(found) < len(keys) or not all(entry and entry.output is output for entry, output in zip(found, outputs)):
            return False
        for entry in found:
            if entry is not None:
                self._touch(entry)
                entry.hits += 1
        self.hits += len(found)
        return True

    def peek(self, key: bytes) -> CacheEntry | None:
        """Return the entry that `get` would return, without counting, touching or dropping anything."""
        entry = (self._find(key) or self.pending.get(key)) if self.enabled else None
        return entry if entry is not None and self._is_good(entry) else None

    def save(self, entry: CacheEntry, may_wait: bool = False) -> None:
        """Store a result, unless its key is stored already or it names a deleted resource.

        With `may_wait`, which is for results that name no resource, it is kept by the next `write_pending()`.
        """
        if may_wait:
            self.pending[entry.key] = entry
        elif self._enabled and self.max_entries:
            entry.bytes, entry.created = len(entry.head) + len(entry.inputs), time()
            if not may_name_resources(type(entry.output)) or self._note_resources(entry):
                self._dropped_with_resource.discard(entry.key)
                self._put({entry.key: entry})

    def write_pending(self) -> None:
        """Store the pending entries; drop them while the cache is disabled."""
        with defer_interrupt(), self._pending_lock:
            entries: dict[bytes, CacheEntry] = {}
            take, now = self.pending.pop, time()
            for key in list(self.pending):
                entry = take(key, None)
                if entry is not None:
                    entry.bytes, entry.created = len(entry.head) + len(entry.inputs), now
                    entries[key] = entry
            if entries and self._enabled and self.max_entries:
                self._put(entries)

    def _note_resources(self, entry: CacheEntry) -> bool:
        """Index the resources an entry names, and count their bytes; return False if one of them is gone."""
        try:
            for field in resources_in(entry.output):
                entry.bytes += self._store(field).record(field.resource_name).bytes
        except NotFoundError:
            return False
        entry.resources = resource_names(entry.output)
        return True

    def flush(self) -> None:
        """Write what is only in memory so far; called at the end of each session."""
        self.write_pending()

    def clear(self) -> int:
        """Drop all entries, reset the counts, and return the number of entries dropped."""
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
        """Drop entries and, by default, everything computed from them.

        Parameters
        ----------
        node
            The id of a source node, such as `denoise`.
        type
            A node type.
        resource
            The name of an image or of tensors.
        key, keys
            Keys of entries.
        downstream
            False keeps what was computed from them; it is used again if they come out the same.

        Returns
        -------
        int
            The number of entries dropped.
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
        """Return the keys that `forget` with these arguments would drop, in the order in which they were stored."""
        self.write_pending()
        chosen = {*keys} if key is None else {*keys, key}
        return self._affected(EntryChoice(node, type, resource, chosen), downstream)

    def limit(self, *, max_entries: int | None = None, max_bytes: int | None = None) -> int:
        """Set the limits and evict down to them at once.

        Parameters
        ----------
        max_entries, max_bytes
            New limits; None leaves a limit as it is.

        Returns
        -------
        int
            The number of entries evicted.

        Raises
        ------
        ValueError
            A limit is negative.
        """
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
        """Drop exactly the entries whose outputs name a resource, and return how many."""
        keys = self._naming(name)
        if len(self._dropped_with_resource) > MAX_LOST:
            self._dropped_with_resource.clear()
        self._dropped_with_resource.update(keys)
        return self._drop(keys)

    def _forget_deleted(self, name: str) -> None:
        self.forget_resource(name)

    def discard(self, entry: CacheEntry, because: str) -> None:
        """Drop an entry that turned out not to be the result of its key, and remember the reason for `explain`."""
        if len(self._discard_reasons) > MAX_LOST:
            self._discard_reasons.clear()
        self._discard_reasons[entry.node] = because
        self._drop((entry.key,))

    def why_discarded(self, node: str) -> str:
        """Return why the last result of a prepared node was discarded, "" if none was in this kernel."""
        return self._discard_reasons.get(node, "")

    def went_with_resource(self, key: bytes) -> bool:
        """Return whether this kernel dropped the entry of `key` because a resource it names was deleted."""
        return key in self._dropped_with_resource

    def changed_models(self, key: bytes) -> list[str]:
        """Return the names of the models in the output kept under `key` whose files or location have changed since."""
        entry = self._find(key) or self.pending.get(key)
        models = models_in(entry.output) if entry is not None else []
        return [model.name for model in models if not self.services.model_manager.is_current(model)]

    def entries(self, node: str | None = None) -> list[CacheRow]:
        """Return all entries, or those of one prepared node, the least recently used first."""
        return list(self.rows(node))

    def rows(self, node: str | None = None) -> Iterator[CacheRow]:
        """Iterate over the entries without holding all in memory; those dropped meanwhile are skipped."""
        self.write_pending()
        return iter(self._rows(node))

    def page(self, query: EntryQuery, page: int = 0, per_page: int = 50) -> Page[CacheRow]:
        """Return a page of the entries that match; a page number past the end returns the last page."""
        page_bounds(page, per_page)
        self.write_pending()
        found, total = self._page(query, page * per_page, per_page)
        last = max(0, -(-total // per_page) - 1)
        if page > last:
            page = last
            found, total = self._page(query, page * per_page, per_page)
        return Page(found, page, per_page, total)

    def keys(self) -> list[bytes]:
        """Return the keys of all entries, in the order in which they were stored."""
        self.write_pending()
        return self._keys()

    def types(self) -> list[str]:
        """Return the node types that have entries, by name."""
        self.write_pending()
        return self._types()

    def rows_of(self, keys: Iterable[bytes]) -> list[CacheRow]:
        """Return the existing entries of these keys, in the order in which they were stored."""
        self.write_pending()
        return self._rows_of(list(keys))

    def rows_naming(self, resources: Iterable[str]) -> list[CacheRow]:
        """Return the entries that name any of these resources: those that go when the resources are deleted."""
        self.write_pending()
        return self._rows_of([key for name in dict.fromkeys(resources) for key in self._naming(name)])

    def tidy(self) -> None:
        """Delete shared parts of entries, such as key heads, that no entry uses any more."""

    def status(self) -> CacheStatus:
        """Return sizes, limits, and counts of hits and misses."""
        self.write_pending()
        entries, size = self._totals()
        return CacheStatus(entries, size, self.hits, self.misses, self.enabled, self.max_entries, self.max_bytes)

    def _drop_and_collect(self, keys: Collection[bytes]) -> int:
        """Drop entries, and delete resources that only they named."""
        dropped = self._drop(keys)
        self.runs.clear()  # they hold results
        if self._invoker is not None:
            self.services.retention.collect()
        return dropped

    def _is_good(self, entry: CacheEntry) -> bool:
        """Return whether the resources an output names are intact and its models unchanged."""
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
        """Mark an entry as most recently used; do nothing if it is gone."""

    @abstractmethod
    def _put(self, entries: dict[bytes, CacheEntry]) -> None:
        """Store entries whose keys are not stored yet, and evict down to the limits."""

    @abstractmethod
    def _drop(self, keys: Iterable[bytes]) -> int:
        """Delete entries; return how many existed."""

    @abstractmethod
    def _naming(self, resource: str) -> list[bytes]:
        """Return the keys of the entries that name a resource, from the reverse index."""

    @abstractmethod
    def named(self, resources: Collection[str]) -> set[str]:
        """Return those of the resources that entries name."""

    @abstractmethod
    def _rows(self, node: str | None = None) -> Iterable[CacheRow]:
        """Return entries, least recently used first; of one prepared node if given."""

    @abstractmethod
    def _keys(self) -> list[bytes]:
        """Return the keys of all entries."""

    @abstractmethod
    def _page(self, query: EntryQuery, offset: int, limit: int) -> tuple[Sequence[CacheRow], int]:
        """Return at most `limit` matching entries from `offset` on, and the number of all that match."""

    @abstractmethod
    def _types(self) -> list[str]:
        """Return the node types of entries, by name."""

    @abstractmethod
    def _rows_of(self, keys: Sequence[bytes]) -> list[CacheRow]:
        """Return the entries of these keys, each once, in the order in which they were stored."""

    @abstractmethod
    def _affected(self, choice: EntryChoice, downstream: bool) -> list[bytes]:
        """Return the keys selected by a choice and, with `downstream`, of everything computed from them.

        An entry in between may be gone. The keys are in the order in which they were stored.
        """

    @abstractmethod
    def _totals(self) -> tuple[int, int]:
        """Return (entries, bytes)."""


def resource_names(output: BaseInvocationOutput) -> tuple[str, ...]:
    """Return the names of the resources an output refers to."""
    if not may_name_resources(type(output)):
        return ()
    return tuple(dict.fromkeys(field.resource_name for field in resources_in(output)))
