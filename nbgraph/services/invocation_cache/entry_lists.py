"""Lists of cache entries, their order, and what a choice of entries means: one definition for every store."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from operator import attrgetter
from string import hexdigits
from typing import Any, Literal

from nbgraph.services.invocation_cache.invocation_cache_common import CacheRow

MOST_TEXT = 10_000
EntrySort = Literal["node", "type", "created", "hits", "bytes", "seconds", "resources"]
SORT_VALUES: dict[EntrySort, Callable[[CacheRow], Any]] = {
    "node": attrgetter("node"),
    "type": attrgetter("type"),
    "hits": attrgetter("hits"),
    "bytes": attrgetter("bytes"),
    "seconds": attrgetter("seconds"),
    "resources": lambda row: len(row.resources),
}
"""What rows are ordered by; `created` is the order in which they were stored, whatever the clock said."""


@dataclass(frozen=True, slots=True)
class EntryQuery:
    """Which entries are listed, and in which order; those that are equal in it are in the order they were stored.

    `text` is looked for in nodes, types and inputs, in upper or lower case, and if it is made of hexadecimal digits in
    keys and names of resources too. `type` is a whole node type. Empty texts mean all.
    """

    text: str = ""
    type: str = ""
    sort: EntrySort = "created"
    descending: bool = True

    def __post_init__(self) -> None:
        if len(self.text) > MOST_TEXT:
            raise ValueError(f"a text of {len(self.text):,} characters cannot be searched; give at most {MOST_TEXT:,}")


@dataclass(frozen=True, slots=True)
class EntryChoice:
    """Entries of a source node, of a node type, naming a resource, or with one of these keys."""

    node: str | None = None
    type: str | None = None
    resource: str | None = None
    keys: Collection[bytes] = ()

    def means(self, row: CacheRow) -> bool:
        """Return whether a row is among those that are chosen."""
        return (
            (self.node is not None and self.node in (row.node, row.node.partition("[")[0]))
            or (self.type is not None and self.type == row.type)
            or (self.resource is not None and self.resource in row.resources)
            or row.key in self.keys
        )


def may_be_name(text: str) -> bool:
    """Return whether a text can be a part of a key or of the name of a resource."""
    return all(letter in hexdigits for letter in text)


class TextFilter:
    """Finds a text in rows. Many rows have the head of their material in common, which is searched once."""

    def __init__(self, text: str) -> None:
        self.text = text.lower()
        self._is_name = may_be_name(text)
        self._heads: dict[str, bool] = {}

    def __call__(self, row: CacheRow) -> bool:
        text, found = self.text, self._heads.get(row.head)
        if found is None:
            found = self._heads[row.head] = text in row.head.lower()
        if found or text in row.node.lower() or text in row.inputs.decode().lower() or text in row.type.lower():
            return True
        return self._is_name and any(text in name for name in (row.key.hex(), *row.resources))


def select_rows(stored: Iterable[CacheRow], query: EntryQuery) -> list[CacheRow]:
    """Return the rows that a query means, in its order; `stored` is in the order in which they were stored."""
    found = [row for row in stored if not query.type or row.type == query.type]
    if query.text:
        found = list(filter(TextFilter(query.text), found))
    if query.sort != "created":
        found.sort(key=SORT_VALUES[query.sort])
    if query.descending:
        found.reverse()
    return found
