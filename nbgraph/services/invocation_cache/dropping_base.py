"""Drop entries of the cache: over the limits, on request, with a resource, or as no result of their key."""

from abc import abstractmethod
from collections.abc import Collection, Iterable

from nbgraph.services.invocation_cache.entries_base import EntriesBase
from nbgraph.services.invocation_cache.entry_lists import EntryChoice
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.invocation_cache.kept_runs import KeptRuns

MAX_LOST = 10_000
"""Reasons that are remembered for `explain`; then they begin anew."""


class DroppingBase(EntriesBase):
    """Drops entries. A limit of 0 stores nothing."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self.hits: int = 0
        self.misses: int = 0
        self.runs = KeptRuns()
        self._dropped_with_resource: set[bytes] = set()
        self._discard_reasons: dict[str, str] = {}

    def clear(self) -> int:
        """Drop all entries, reset the counts, and return the number of entries dropped."""
        self.write_pending()
        self.hits = self.misses = 0
        self.runs.clear()  # kept runs hold results that are dropped
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
        """Return the keys that `forget` with these arguments would drop.

        Returns
        -------
        list of bytes
            In the order in which they were stored.
        """
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
        """Drop exactly the entries whose outputs name a resource.

        Returns
        -------
        int
            The number of entries dropped.
        """
        keys = self._naming(name)
        if len(self._dropped_with_resource) > MAX_LOST:
            self._dropped_with_resource.clear()
        self._dropped_with_resource.update(keys)
        return self._drop(keys)

    def _forget_deleted(self, name: str) -> None:
        self.forget_resource(name)

    def discard(self, entry: CacheEntry, because: str) -> None:
        """Drop an entry that turned out not to be the result of its key.

        Parameters
        ----------
        because
            The reason, which `explain` shows for the same node.
        """
        if len(self._discard_reasons) > MAX_LOST:
            self._discard_reasons.clear()
        self._discard_reasons[entry.node] = because
        self._drop((entry.key,))

    def why_discarded(self, node: str) -> str:
        """Return why the last result of a prepared node was discarded.

        Returns
        -------
        str
            "" if none was, in this kernel.
        """
        return self._discard_reasons.get(node, "")

    def went_with_resource(self, key: bytes) -> bool:
        """Return whether the entry of a key was dropped because a resource it names was deleted.

        Returns
        -------
        bool
            Only what this kernel dropped is known.
        """
        return key in self._dropped_with_resource

    def _drop_and_collect(self, keys: Collection[bytes]) -> int:
        """Drop entries, and delete resources that only they named.

        Kept runs with one of them are no answer any more. Each stays until its graph runs again: to free a run of
        100,000 results takes 70 ms, for which whoever forgets one of them would wait.
        """
        dropped = self._drop(keys)
        if self._invoker is not None:
            self.services.retention.collect()
        return dropped

    @abstractmethod
    def _drop(self, keys: Iterable[bytes]) -> int:
        """Delete entries; return how many existed."""

    @abstractmethod
    def _affected(self, choice: EntryChoice, downstream: bool) -> list[bytes]:
        """Return the keys selected by a choice and, with `downstream`, of everything computed from them.

        An entry in between may be gone. The keys are in the order in which they were stored.
        """

    @abstractmethod
    def _totals(self) -> tuple[int, int]:
        """Return (entries, bytes)."""
