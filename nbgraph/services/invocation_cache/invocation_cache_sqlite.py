"""The cache in a studio's folder: results as JSON in the database, for this kernel, those beside it, and the next.

New entries are written in batches. Notes of use, which decide only what is evicted first, are written when it matters:
before entries are evicted or listed, at the end, and every half minute. The triggers keep the totals, so that limits
cost nothing to look at.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from json import dumps, loads
from time import monotonic, time
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from nbgraph.errors import StoreFullError, UnknownNodeTypeError
from nbgraph.invocations.node_output import BaseInvocationOutput, may_name_resources
from nbgraph.invocations.node_registry import registry
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase, resource_names
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry, CacheRow
from nbgraph.services.invocation_cache.known_results import KnownResults
from nbgraph.services.shared.interrupts import HeldStop
from nbgraph.services.shared.sqlite.batch import Batch
from nbgraph.services.shared.sqlite.damaged_rows import DAMAGE, readable
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

TABLES = """
CREATE TABLE cache_entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,
    node TEXT NOT NULL,
    output TEXT NOT NULL,
    material TEXT NOT NULL,
    resources TEXT NOT NULL,
    sources BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    seconds REAL NOT NULL,
    created REAL NOT NULL,
    hits INTEGER NOT NULL,
    used REAL NOT NULL
);
CREATE INDEX cache_entries_by_use ON cache_entries (used);
CREATE INDEX cache_entries_by_node ON cache_entries (node);
CREATE TABLE cache_resources (
    resource TEXT NOT NULL,
    entry INTEGER NOT NULL REFERENCES cache_entries (number) ON DELETE CASCADE,
    PRIMARY KEY (resource, entry)
) WITHOUT ROWID;
CREATE INDEX cache_resources_by_entry ON cache_resources (entry);
CREATE TABLE cache_totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO cache_totals VALUES (0, 0);
CREATE TRIGGER cache_entry_added AFTER INSERT ON cache_entries BEGIN
    UPDATE cache_totals SET entries = entries + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER cache_entry_dropped AFTER DELETE ON cache_entries BEGIN
    UPDATE cache_totals SET entries = entries - 1, bytes = bytes - old.bytes;
END;
"""
_INSERT = (
    "INSERT OR IGNORE INTO cache_entries"
    " (key, type, node, output, material, resources, sources, bytes, seconds, created, hits, used)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_COLUMNS = "key, node, material, sources, seconds, resources, bytes, created, hits, type, output"
_SELECT = f"SELECT {_COLUMNS} FROM cache_entries "  # noqa: S608
_TOUCH = "UPDATE cache_entries SET hits = hits + ?, used = ? WHERE key = ?"
_NAMING = "SELECT key FROM cache_resources JOIN cache_entries ON number = entry WHERE resource = ?"
_NAMED_BY = "SELECT resource FROM cache_resources JOIN cache_entries ON number = entry WHERE key = ?"
KEY_BYTES = 16
USES_SECONDS = 30.0


class StoredRow(CacheRow, kw_only=True):
    """An entry of the database, for listings: its output stays text."""

    output_text: str

    @property
    def text(self) -> str:
        return self.output_text


class InvocationCacheSqlite(InvocationCacheBase):
    """Outlives the kernel. An entry that can no longer be read is a miss, and goes."""

    def __init__(self, database: SqliteDatabase, max_entries: int, max_bytes: int) -> None:
        super().__init__(max_entries, max_bytes)
        self._database = database
        self._known = KnownResults(database)
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
        row = self._database.row(_SELECT + "WHERE key = ?", (key,))
        if row is None:
            return None
        *_, type_name, text = row
        try:
            output = _read_output(type_name, text)
            entry = CacheEntry(*_row_values(row), output=output)
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
        moment = self._known.moment
        with self._database.transaction(awaited=False) as connection:
            connection.executemany(_INSERT, [_values(entry) for entry in entries if not entry.resources])
            for entry in entries:
                if entry.resources:
                    added = connection.execute(_INSERT, _values(entry))
                    if added.rowcount:
                        names = [(name, added.lastrowid) for name in entry.resources]
                        connection.executemany("INSERT INTO cache_resources VALUES (?, ?)", names)
            gone = self._evict(connection)
            self._database.count_when_committed(self._database.adds)
        self._known.keep(entries, moment)
        self._known.added(entry.key for entry in entries)
        self._known.evicted(gone)
        for entry in entries:
            self._unwritten.pop(entry.key, None)

    def _write_uses(self) -> None:
        """Note what was used since the last time; a note of what is not stored any more is of nothing."""
        self._uses_written = monotonic()
        uses, self._uses = self._uses, {}
        if uses:
            rows = [(count, used, key) for key, (count, used) in uses.items()]
            with self._database.transaction(awaited=False) as connection:
                connection.executemany(_TOUCH, rows)

    def _write_uses_if_room(self) -> None:
        with suppress(StoreFullError):
            self._write_uses()

    def _evict(self, connection: Any) -> list[bytes]:
        """Drop the least recently used entries until both limits hold; returns their keys."""
        entries, size = connection.execute("SELECT entries, bytes FROM cache_totals").fetchone()
        if entries <= self.max_entries and size <= self.max_bytes:
            return []
        self._write_uses()
        gone: list[bytes] = []
        for key, bytes_of_entry in connection.execute("SELECT key, bytes FROM cache_entries ORDER BY used, number"):
            if entries <= self.max_entries and size <= self.max_bytes:
                break
            gone.append(key)
            entries, size = entries - 1, size - bytes_of_entry
        rows = [(key,) for key in gone]
        self._note_released(connection, rows)
        connection.executemany("DELETE FROM cache_entries WHERE key = ?", rows)
        return gone

    def _note_released(self, connection: Any, rows: Sequence[tuple[bytes]]) -> None:
        """Tell of the resources that entries name which are about to be deleted."""
        if connection.execute("SELECT 1 FROM cache_resources LIMIT 1").fetchone() is None:
            return
        released = [name for row in rows for (name,) in connection.execute(_NAMED_BY, row)]
        if released:
            self._released(released)

    def _drop(self, keys: Iterable[bytes]) -> int:
        gone = set(keys)
        if not gone:
            return 0

        def delete(keys: Sequence[bytes]) -> int:
            with self._database.transaction() as connection:
                rows = [(key,) for key in keys]
                self._note_released(connection, rows)
                dropped = connection.executemany("DELETE FROM cache_entries WHERE key = ?", rows).rowcount
                self._database.count_when_committed(self._database.drops)
            self._known.dropped(keys)
            return dropped

        with HeldStop(), self._batch.lock:
            unwritten = self._batch.discard(lambda entry: entry.key in gone)
            for key in gone & self._unwritten.keys():
                self._released(self._unwritten.pop(key).resources)
            return unwritten + sum(self._database.free(list(gone), delete))

    def named(self, resources: Collection[str]) -> set[str]:
        self._batch.flush_if_room()
        wanted = list(resources)
        found = {name for entry in self._batch.waiting for name in entry.resources}.intersection(wanted)
        for name in wanted:
            if self._database.row("SELECT 1 FROM cache_resources WHERE resource = ? LIMIT 1", (name,)):
                found.add(name)
        return found

    def _naming(self, resource: str) -> list[bytes]:
        self._batch.flush_if_room()
        unwritten = [entry.key for entry in self._batch.waiting if resource in entry.resources]
        return [key for (key,) in self._database.rows(_NAMING, (resource,))] + unwritten

    def _rows(self, node: str | None = None) -> Iterable[CacheRow]:
        self._batch.flush_if_room()
        self._write_uses_if_room()
        where, values = ("WHERE node = ? ", (node,)) if node is not None else ("", ())
        rows = self._database.rows(_SELECT + where + "ORDER BY used, number", values)
        unwritten = [entry for entry in self._batch.waiting if node in (None, entry.node)]
        return [*readable(rows, _stored_row, "the cache entry"), *unwritten]

    def _totals(self) -> tuple[int, int]:
        self._batch.flush_if_room()
        entries, size = self._database.rows("SELECT entries, bytes FROM cache_totals")[0]
        unwritten = self._batch.waiting
        return entries + len(unwritten), size + sum(entry.bytes for entry in unwritten)


def _read_output(type_name: str, text: str) -> BaseInvocationOutput:
    cls: Any = registry()[type_name]
    return cls.output_class.model_validate_json(text)


def _values(entry: CacheEntry) -> tuple[Any, ...]:
    output = entry.output
    return (
        entry.key,
        entry.type,
        entry.node,
        output.__pydantic_serializer__.to_json(output).decode(),
        entry.key_source,
        dumps(entry.resources) if entry.resources else "[]",
        b"".join(entry.sources),
        entry.bytes,
        entry.seconds,
        entry.created,
        0,
        entry.created,
    )


def _stored_row(row: tuple[Any, ...]) -> StoredRow:
    return StoredRow(*_row_values(row), output_text=row[-1])


def _row_values(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The fields of a `CacheRow`, in their order."""
    key, node, material, sources, seconds, resources, size, created, hits, type_name, _ = row
    if not isinstance(key, bytes):
        raise TypeError("its key is a text")
    return key, node, type_name, material, b"", _split(sources), seconds, tuple(loads(resources)), size, created, hits


def _split(sources: bytes) -> tuple[bytes, ...]:
    return tuple(sources[start : start + KEY_BYTES] for start in range(0, len(sources), KEY_BYTES))
