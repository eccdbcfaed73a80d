"""Lists of the entries of the cache: all of them, pages for tables, rows by key."""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence

from nbgraph.services.invocation_cache.entry_lists import EntryQuery
from nbgraph.services.invocation_cache.invocation_cache_common import CacheRow, StoredKeys
from nbgraph.services.service import Service
from nbgraph.services.shared.pagination import Page, page_bounds


class EntriesBase(Service):
    """Lists entries. Implementations differ in how rows are found; pending results are written first."""

    @abstractmethod
    def write_pending(self) -> None:
        """Store the pending entries; drop them while the cache is disabled."""

    def entries(self, node: str | None = None) -> list[CacheRow]:
        """Return all entries, the least recently used first.

        Parameters
        ----------
        node
            The id of a prepared node, such as `denoise[1,0]`, to return its entries alone.
        """
        return list(self.rows(node))

    def rows(self, node: str | None = None) -> Iterator[CacheRow]:
        """Iterate over the entries without holding all in memory; those dropped meanwhile are skipped.

        Parameters
        ----------
        node
            As for `entries`.
        """
        self.write_pending()
        return iter(self._rows(node))

    def page(self, query: EntryQuery, page: int = 0, per_page: int = 50) -> Page[CacheRow]:
        """Return a page of the entries that match.

        Parameters
        ----------
        page
            The number of the page, from 0; past the end the last page is returned.
        per_page
            Entries on a page.

        Raises
        ------
        ValueError
            The number of a page is negative, or a page would be empty.
        """
        page_bounds(page, per_page)
        self.write_pending()
        found, total = self._page(query, page * per_page, per_page)
        last = max(0, -(-total // per_page) - 1)
        if page > last:
            page = last
            found, total = self._page(query, page * per_page, per_page)
        return Page(found, page, per_page, total)

    def keys_after(self, mark: tuple[int, int] | None) -> StoredKeys:
        """Return the keys that were stored since an earlier reading, in time proportional to their number.

        Parameters
        ----------
        mark
            The mark of that reading; None for all keys.

        Returns
        -------
        StoredKeys
            All keys instead if an entry was dropped since then.
        """
        self.write_pending()
        return self._keys_after(mark)

    def types(self) -> list[str]:
        """Return the node types that have entries, by name."""
        self.write_pending()
        return self._types()

    def rows_of(self, keys: Iterable[bytes]) -> list[CacheRow]:
        """Return the entries of these keys, in the order in which they were stored.

        Parameters
        ----------
        keys
            Those without an entry are skipped.
        """
        self.write_pending()
        return self._rows_of(list(keys))

    def rows_naming(self, resources: Iterable[str]) -> list[CacheRow]:
        """Return the entries that name any of these resources.

        Parameters
        ----------
        resources
            Names of images and tensors, whose deletion would drop the entries.
        """
        self.write_pending()
        return self._rows_of([key for name in dict.fromkeys(resources) for key in self._naming(name)])

    @abstractmethod
    def _rows(self, node: str | None = None) -> Iterable[CacheRow]:
        """Return entries, least recently used first; of one prepared node if given."""

    @abstractmethod
    def _keys(self) -> list[bytes]:
        """Return the keys of all entries."""

    @abstractmethod
    def _keys_after(self, mark: tuple[int, int] | None) -> StoredKeys:
        """Return the keys that were stored since a mark, or all."""

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
    def _naming(self, resource: str) -> list[bytes]:
        """Return the keys of the entries that name a resource, from the reverse index."""

    @abstractmethod
    def named(self, resources: Collection[str]) -> set[str]:
        """Return those of the resources that entries name.

        Parameters
        ----------
        resources
            Names of images and tensors.
        """
