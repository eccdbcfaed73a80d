"""The cache in a studio's folder: results as JSON in the database, for this kernel, those beside it, and the next.

An entry is read each time it is asked for, so two kernels never hold different ideas of it. New entries, and notes of
use, are written in batches; until then they are found in memory. The triggers keep the totals, so that limits cost
nothing to look at.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from json import dumps, loads
from time import time
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from nbgraph.errors import UnknownNodeTypeError
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.node_registry import registry
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase, is_plain, resource_names
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry, CacheRow
from nbgraph.services.shared.interrupts import HeldStop
from nbgraph.services.shared.sqlite.batch import Batch
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

TABLES = """
CREATE TABLE cache_entries (
    number INTEGER PRIMARY KEY,
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
_COLUMNS = "key, material, node, type, resources, sources, bytes, seconds, created, hits, output"
_SELECT = f"SELECT {_COLUMNS} FROM cache_entries "  # noqa: S608
_TOUCH = "UPDATE cache_entries SET hits = hits + 1, used = ? WHERE key = ?"
_NAMING = "SELECT key FROM cache_resources JOIN cache_entries ON number = entry WHERE resource = ?"
KEY_BYTES = 16


@dataclass(slots=True)
class StoredRow(CacheRow):
    """An entry of the database, for listings: its output stays text."""

    output_text: str = field(kw_only=True)

    @property
    def text(self) -> str:
        return self.output_text


@dataclass(slots=True, frozen=True)
class _Use:
    key: bytes
    used: float


class InvocationCacheSqlite(InvocationCacheBase):
    """Outlives the kernel. An entry that can no longer be read is a miss, and goes."""

    def __init__(self, database: SqliteDatabase, max_entries: int, max_bytes: int) -> None:
        super().__init__(max_entries, max_bytes)
        self._database = database
        self._fresh: dict[bytes, CacheEntry] = {}
        self._batch: Batch[CacheEntry | _Use] = Batch(self._write)

    def stop(self) -> None:
        if self._invoker is not None:
            self._batch.flush()
        super().stop()

    def flush(self) -> None:
        self._batch.flush()

    def _get(self, key: bytes) -> CacheEntry | None:
        entry = self._peek(key)
        if entry is not None:
            self._batch.add(_Use(key, time()))
        return entry

    def _peek(self, key: bytes) -> CacheEntry | None:
        fresh = self._fresh.get(key)
        if fresh is not None:
            return fresh
        row = self._database.row(_SELECT + "WHERE key = ?", (key,))
        if row is None:
            return None
        key, material, node, type_name, _, sources, size, seconds, created, hits, text = row
        try:
            output = _read_output(type_name, text)
        except (UnknownNodeTypeError, ValidationError, ValueError):
            self._drop((key,))
            return None
        resources = resource_names(output)
        return CacheEntry(
            key, material, node, type_name, resources, _split(sources), size, seconds, created, hits, output=output
        )

    def _put(self, entry: CacheEntry) -> None:
        if self._is_faithful(entry.output, entry.type):
            with self._batch.lock:
                self._fresh.setdefault(entry.key, entry)
            self._batch.add(entry)

    def _is_faithful(self, output: BaseInvocationOutput, type_name: str) -> bool:
        """Whether the output is the same after it was text; outputs without open types are, and are not tried."""
        if is_plain(output.__class__):
            return True
        try:
            return _read_output(type_name, output.model_dump_json()) == output
        except (PydanticSerializationError, UnknownNodeTypeError, ValidationError, ValueError):
            return False

    def _write(self, rows: list[CacheEntry | _Use]) -> None:
        uses = [(row.used, row.key) for row in rows if isinstance(row, _Use)]
        entries = [row for row in rows if isinstance(row, CacheEntry)]
        with self._database.transaction() as connection:
            plain = [_values(entry) for entry in entries if not entry.resources]
            connection.executemany(_INSERT, plain)
            for entry in entries:
                if entry.resources:
                    added = connection.execute(_INSERT, _values(entry))
                    if added.rowcount:
                        names = [(name, added.lastrowid) for name in entry.resources]
                        connection.executemany("INSERT INTO cache_resources VALUES (?, ?)", names)
            connection.executemany(_TOUCH, uses)
            if entries:
                self._evict(connection)
        for entry in entries:
            self._fresh.pop(entry.key, None)

    def _evict(self, connection: Any) -> None:
        """Drop the least recently used entries until both limits hold."""
        entries, size = connection.execute("SELECT entries, bytes FROM cache_totals").fetchone()
        if entries <= self.max_entries and size <= self.max_bytes:
            return
        gone: list[tuple[int]] = []
        for number, bytes_of_entry in connection.execute(
            "SELECT number, bytes FROM cache_entries ORDER BY used, number"
        ):
            if entries <= self.max_entries and size <= self.max_bytes:
                break
            gone.append((number,))
            entries, size = entries - 1, size - bytes_of_entry
        connection.executemany("DELETE FROM cache_entries WHERE number = ?", gone)

    def _drop(self, keys: Iterable[bytes]) -> int:
        rows = [(key,) for key in keys]
        if not rows:
            return 0
        with HeldStop(), self._batch.lock:
            self._batch.flush()
            with self._database.transaction() as connection:
                return connection.executemany("DELETE FROM cache_entries WHERE key = ?", rows).rowcount

    def _naming(self, resource: str) -> list[bytes]:
        self._batch.flush()
        return [key for (key,) in self._database.rows(_NAMING, (resource,))]

    def _rows(self, node: str | None = None) -> Iterable[CacheRow]:
        self._batch.flush()
        where, values = ("WHERE node = ? ", (node,)) if node is not None else ("", ())
        rows = self._database.rows(_SELECT + where + "ORDER BY used, number", values)
        return list(map(_stored_row, rows))

    def _totals(self) -> tuple[int, int]:
        self._batch.flush()
        entries, size = self._database.rows("SELECT entries, bytes FROM cache_totals")[0]
        return entries, size


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
        entry.material,
        dumps(entry.resources) if entry.resources else "[]",
        b"".join(entry.sources),
        entry.bytes,
        entry.seconds,
        entry.created,
        0,
        entry.created,
    )


def _stored_row(row: tuple[Any, ...]) -> StoredRow:
    key, material, node, type_name, resources, sources, size, seconds, created, hits, text = row
    names = tuple(loads(resources))
    return StoredRow(
        key, material, node, type_name, names, _split(sources), size, seconds, created, hits, output_text=text
    )


def _split(sources: bytes) -> tuple[bytes, ...]:
    return tuple(sources[start : start + KEY_BYTES] for start in range(0, len(sources), KEY_BYTES))
