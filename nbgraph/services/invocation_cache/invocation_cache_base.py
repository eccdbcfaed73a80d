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
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from threading import RLock
from time import time

from nbgraph.errors import NotFoundError
from nbgraph.invocations.fields import ResourceField, models_in, resources_in
from nbgraph.invocations.node_output import BaseInvocationOutput, may_name_resources
from nbgraph.services.invocation_cache.dropping_base import DroppingBase
from nbgraph.services.invocation_cache.invocation_cache_common import (
    CacheEntry,
    CacheStatus,
)
from nbgraph.services.service import InvokerLike
from nbgraph.services.shared.callbacks import Callbacks
from nbgraph.services.shared.interrupts import defer_interrupt


class InvocationCacheBase(DroppingBase):
    """Stores outputs of nodes by key, within limits of entries and bytes; a limit of 0 stores nothing.

    It listens to the image and latents services: when a resource is deleted, exactly the entries that name it are
    dropped, in time proportional to their number. `disable()` stops reading and writing, but not this.

    A run of quick nodes passes results that name no resource with `may_wait`: they are written many at a time by
    `write_pending()`, and `get` finds them meanwhile.
    """

    _find: Callable[[bytes], CacheEntry | None]

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        super().__init__(max_entries, max_bytes)
        self.pending: dict[bytes, CacheEntry] = {}
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
        """True while results are read and stored."""
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
        """Return the entry of a key, and count a hit or a miss, unless the cache is disabled.

        Returns
        -------
        CacheEntry or None
            None for a miss. An entry whose resources or models have changed is dropped and is a miss.
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
        """Return the entry that `get` would return, without counting, touching or dropping anything.

        Returns
        -------
        CacheEntry or None
            None where `get` would miss.
        """
        entry = (self._find(key) or self.pending.get(key)) if self.enabled else None
        return entry if entry is not None and self._is_good(entry) else None

    def save(self, entry: CacheEntry, may_wait: bool = False) -> None:
        """Store a result, unless its key is stored already or it names a deleted resource.

        Parameters
        ----------
        may_wait
            Let it wait for the next `write_pending()`; only for results that name no resource.
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

    def changed_models(self, key: bytes) -> list[str]:
        """Return the models in a stored output whose files or location have changed since.

        Returns
        -------
        list of str
            Their names; empty where no entry has this key.
        """
        entry = self._find(key) or self.pending.get(key)
        models = models_in(entry.output) if entry is not None else []
        return [model.name for model in models if not self.services.model_manager.is_current(model)]

    def tidy(self) -> None:
        """Delete shared parts of entries, such as key heads, that no entry uses any more."""

    def status(self) -> CacheStatus:
        """Return sizes, limits, and counts of hits and misses."""
        self.write_pending()
        entries, size = self._totals()
        return CacheStatus(entries, size, self.hits, self.misses, self.enabled, self.max_entries, self.max_bytes)

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


def resource_names(output: BaseInvocationOutput) -> tuple[str, ...]:
    """Return the names of the resources an output refers to."""
    if not may_name_resources(type(output)):
        return ()
    return tuple(dict.fromkeys(field.resource_name for field in resources_in(output)))
