"""The cache in a studio's folder: results as JSON in the database, for this kernel, those beside it, and the next.

New entries are written in batches. Use counts, which only decide what is evicted first, are written when they matter:
before entries are evicted or listed, at the end, and every half minute. Triggers keep the totals, so that checking the
limits costs nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from sqlite3 import Connection
from time import monotonic, time
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from nbgraph.errors import StoreFullError, UnknownNodeTypeError
from nbgraph.invocations.node_output import BaseInvocationOutput, may_name_resources
from nbgraph.invocations.node_registry import registry
from nbgraph.services.invocation_cache.entry_lists import EntryChoice, EntryQuery, select_rows
from nbgraph.services.invocation_cache.entry_pages import EntryPages
from nbgraph.services.invocation_cache.entry_table import EntryTable, StoredRow
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase, resource_names
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry, CacheRow, StoredKeys, with_descendants
from nbgraph.services.invocation_cache.local_index import LocalIndex
from nbgraph.services.invocation_cache.read_ahead import ReadAhead
from nbgraph.services.shared.interrupts import defer_interrupt
from nbgraph.services.shared.sqlite.batch import Batch
from nbgraph.services.shared.sqlite.damaged_rows import DAMAGE
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

USES_SECONDS = 30.0
_KEYS_AFTER = "SELECT entries, number, key FROM cache_totals LEFT JOIN cache_entries ON number > ? ORDER BY number"


class InvocationCacheSqlite(InvocationCacheBase):
    """Outlives the kernel. An entry that can no longer be read is a miss, and is dropped."""

    def __init__(self, database: SqliteDatabase, max_entries: int, max_bytes: int) -> None:
        super().__init__(max_entries, max_bytes)
        self._database = database
        self._table = EntryTable(database)
        self._pages = EntryPages(database, self._table)
        self._known = LocalIndex(database)
        self._ahead = ReadAhead(self._table)
        self._find = self._look_up
        self._unwritten: dict[bytes, CacheEntry] = {}
        self._batch: Batch[CacheEntry] = Batch(self._write)
        self._uses: dict[bytes, tuple[int, float]] = {}
        self._uses_written = monotonic()

    def stop(self) -> None:
        if self._invoker is not None:
            self.write_pending()
            self._batch.end()
            self._write_uses_if_room()
            self._known.forget_all()
        super().stop()

    def flush(self) -> None:
        super().flush()
        self._batch.flush()
        if monotonic() - self._uses_written > USES_SECONDS:
            self._write_uses()

    def tidy(self) -> None:
        with self._database.transaction(awaited=False) as connection:
            self._table.tidy(connection)

    def _touch(self, entry: CacheEntry) -> None:
        noted = self._uses.get(entry.key)
        self._uses[entry.key] = (1 if noted is None else noted[0] + 1, time())

    def _look_up(self, key: bytes) -> CacheEntry | None:
        known = self._known
        entry = known.get(key) or self._unwritten.get(key)
        if entry is None and not known.is_absent(key):
            entry = self._read(key)
        return entry

    def _read(self, key: bytes) -> CacheEntry | None:
        moment = self._known.moment
        # without counters that kernels share nothing would say that what was read ahead is gone
        row = self._table.row(key) if self._database.log.refused else self._ahead.row(key, moment)
        if row is None:
            return None
        try:
            output = _read_output(row[3], row[-1])
            entry = CacheEntry(*self._table.values(row), output=output)
        except DAMAGE:
            self._drop((key,))
            return None
        entry.resources = resource_names(output)
        self._known.keep([entry], moment)
        return entry

    def _put(self, entries: dict[bytes, CacheEntry]) -> None:
        for entry in entries.values():
            if self._is_faithful(entry.output, entry.type):
                self._unwritten.setdefault(entry.key, entry)
                self._batch.add(entry)

    def _is_faithful(self, output: BaseInvocationOutput, type_name: str) -> bool:
        """Whether the output is the same after it was text; outputs without open types are, and are not tried."""
        if not may_name_resources(type(output)):
            return True
        try:
            return _read_output(type_name, output.model_dump_json()) == output
        except (PydanticSerializationError, UnknownNodeTypeError, ValidationError, ValueError):
            return False

    def _write(self, entries: list[CacheEntry]) -> None:
        # before the entries are stored: what another kernel drops after that must not be known here
        moment = self._known.moment
        try:
            outputs = list(map(_output_text, entries))
        except PydanticSerializationError:  # one that JSON cannot hold must not keep the others from being stored
            written = [entry for entry in entries if self._is_writable(entry)]
            if written:
                self._write(written)
            return
        with self._database.transaction(awaited=False) as connection:
            self._table.insert(connection, entries, outputs)
            gone = self._evict(connection)
            self._database.count_when_committed(self._database.adds)
        self._known.keep(entries, moment)
        self._known.added(entry.key for entry in entries)
        self._known.evicted(gone)
        for entry in entries:
            self._unwritten.pop(entry.key, None)

    def _is_writable(self, entry: CacheEntry) -> bool:
        """Return whether an output can be text; if not, as with half of a surrogate pair, it is not kept."""
        try:
            _output_text(entry)
        except PydanticSerializationError:
            self._unwritten.pop(entry.key, None)
            return False
        return True

    def _write_uses(self) -> None:
        """Write pending use counts. Entries deleted meanwhile are skipped by the UPDATE."""
        self._uses_written = monotonic()
        uses, self._uses = self._uses, {}
        if uses:
            rows = [(count, used, key) for key, (count, used) in uses.items()]
            with self._database.transaction(awaited=False) as connection:
                self._table.touch(connection, rows)

    def _write_uses_if_room(self) -> None:
        with suppress(StoreFullError):
            self._write_uses()

    def _evict(self, connection: Connection) -> list[bytes]:
        """Drop the least recently used entries until both limits hold; returns their keys."""
        entries, size = connection.execute("SELECT entries, bytes FROM cache_totals").fetchone()
        if entries <= self.max_entries and size <= self.max_bytes:
            return []
        self._write_uses()
        gone: list[bytes] = []
        for key, bytes_of_entry in self._table.oldest(connection):
            if entries <= self.max_entries and size <= self.max_bytes:
                break
            gone.append(key)
            entries, size = entries - 1, size - bytes_of_entry
        self._delete(connection, gone)
        return gone

    def _delete(self, connection: Connection, keys: Sequence[bytes]) -> int:
        """Delete entries, and report the resources that they name."""
        released = self._table.resources_named_by(connection, keys)
        if released:
            self._released(released)
        return self._table.delete(connection, keys)

    def _drop(self, keys: Iterable[bytes]) -> int:
        gone = set(keys)
        if not gone:
            return 0

        def delete(keys: Sequence[bytes]) -> int:
            with self._database.transaction() as connection:
                dropped = self._delete(connection, keys)
                self._database.count_when_committed(self._database.drops)
            self._known.dropped(keys)
            return dropped

        with defer_interrupt(), self._batch.lock:
            unwritten = self._batch.discard(lambda entry: entry.key in gone)
            for key in gone & self._unwritten.keys():
                self._released(self._unwritten.pop(key).resources)
            return unwritten + sum(self._database.free(list(gone), delete))

    def named(self, resources: Collection[str]) -> set[str]:
        self._batch.flush_if_room()
        wanted = list(resources)
        found = {name for entry in self._batch.waiting for name in entry.resources}.intersection(wanted)
        return found.union(filter(self._table.is_named, wanted))

    def _naming(self, resource: str) -> list[bytes]:
        self._batch.flush_if_room()
        unwritten = [entry.key for entry in self._batch.waiting if resource in entry.resources]
        return self._table.naming(resource) + unwritten

    def _rows(self, node: str | None = None) -> Iterator[CacheRow]:
        unwritten = self._flush()
        self._write_uses_if_room()
        yield from self._table.read(self._pages.numbered(self._pages.numbers_by_use(node)))
        yield from [entry for entry in unwritten if node in (None, entry.node)]

    def _keys(self) -> list[bytes]:
        unwritten = self._flush()
        return self._table.keys() + [entry.key for entry in unwritten]

    def _keys_after(self, mark: tuple[int, int] | None) -> StoredKeys:
        self._flush()
        newest, count = mark or (0, 0)
        rows = self._database.rows(_KEYS_AFTER, (newest,))
        added = [(number, key) for _, number, key in rows if key is not None]
        # numbers are never given twice, so where the counts agree none of the earlier entries is gone
        if mark is not None and count + len(added) != rows[0][0]:
            return self._keys_after(None)
        newest = added[-1][0] if added else newest
        return StoredKeys((newest, count + len(added)), [key for _, key in added], mark is None)

    def _page(self, query: EntryQuery, offset: int, limit: int) -> tuple[Sequence[CacheRow], int]:
        if unwritten := self._flush():
            found = select_rows([*self._stored(), *unwritten], query)
            return found[offset : offset + limit], len(found)
        if query.sort == "hits":
            self._write_uses()
        rows, total = self._pages.page(query, offset, limit)
        return [self._with_uses(row) for row in self._table.read(rows)], total

    def _types(self) -> list[str]:
        return sorted({*(entry.type for entry in self._flush()), *self._table.types()})

    def _rows_of(self, keys: Sequence[bytes]) -> list[CacheRow]:
        wanted = set(keys)
        unwritten = [entry for entry in self._flush() if entry.key in wanted]
        return [*map(self._with_uses, self._table.read(self._pages.of_keys(keys))), *unwritten]

    def _affected(self, choice: EntryChoice, downstream: bool) -> list[bytes]:
        unwritten = self._flush()
        if not unwritten:
            return self._table.affected(choice, downstream)
        rows = [*self._stored(), *unwritten]
        chosen = {row.key for row in rows if choice.means(row)}.union(choice.keys)
        found = with_descendants(chosen, rows) if downstream else chosen
        return [row.key for row in rows if row.key in found]

    def _flush(self) -> list[CacheEntry]:
        """Write pending counts.

        Return entries that cannot be written now, as on a full disk, which are listed with the rest.
        """
        self._batch.flush_if_room()
        return self._batch.waiting

    def _stored(self) -> list[CacheRow]:
        """Return everything that is written, in the order in which it was."""
        return list(self._table.read(self._pages.of_keys(self._table.keys())))

    def _with_uses(self, row: StoredRow) -> StoredRow:
        """Count the uses of a row that are not written yet."""
        if noted := self._uses.get(row.key):
            row.hits += noted[0]
        return row

    def _totals(self) -> tuple[int, int]:
        unwritten = self._flush()
        entries, size = self._table.totals()
        return entries + len(unwritten), size + sum(entry.bytes for entry in unwritten)


def _output_text(entry: CacheEntry) -> str:
    return entry.output.__pydantic_serializer__.to_json(entry.output).decode()


def _read_output(type_name: str, text: str) -> BaseInvocationOutput:
    cls: Any = registry()[type_name]
    return cls.output_class.model_validate_json(text)
