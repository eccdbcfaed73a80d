"""The tables of the cache in a studio's folder, and the queries that add, drop, find and read entries by key.

The key source of an entry is kept in two parts. Its head, with the code of the node class, is the same for all results
of a class, and is stored once. `cache_sources` has a row for each entry that another was computed from, so that the
entries downstream of a result are found without reading others. Numbers of entries are never used again, so a row there
that outlives its entry has no effect.

Lists for people are in `entry_pages.py`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from json import dumps, loads
from sqlite3 import Connection
from typing import Any, TypeVar

from nbgraph.services.invocation_cache.entry_lists import EntryChoice
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry, CacheRow
from nbgraph.services.shared.sqlite.batch import insert_rows
from nbgraph.services.shared.sqlite.damaged_rows import readable
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

TABLES = """
CREATE TABLE cache_heads (number INTEGER PRIMARY KEY AUTOINCREMENT, head TEXT NOT NULL UNIQUE);
CREATE TABLE cache_entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,
    head INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    seconds REAL NOT NULL,
    created REAL NOT NULL,
    hits INTEGER NOT NULL,
    used REAL NOT NULL,
    named INTEGER NOT NULL,
    node TEXT NOT NULL,
    resources TEXT NOT NULL,
    sources BLOB NOT NULL,
    inputs TEXT NOT NULL,
    output TEXT NOT NULL
);
CREATE INDEX cache_entries_by_use ON cache_entries (used);
CREATE INDEX cache_entries_by_node ON cache_entries (node);
CREATE INDEX cache_entries_by_type ON cache_entries (type);
CREATE TABLE cache_sources (
    source BLOB NOT NULL,
    entry INTEGER NOT NULL,
    PRIMARY KEY (source, entry)
) WITHOUT ROWID;
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
_INSERT_ENTRY = (
    "INSERT OR IGNORE INTO cache_entries"
    " (key, type, head, bytes, seconds, created, hits, used, named, node, resources, sources, inputs, output)"
)
_ENTRY = "(?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_SOURCE, _INSERT_RESOURCE = "INSERT OR IGNORE INTO cache_sources", "INSERT OR IGNORE INTO cache_resources"
_PAIR = "(?, ?)"
SELECT_ROWS = (
    "SELECT number, key, node, type, head, inputs, sources, seconds, resources, bytes, created, hits, output"
    " FROM cache_entries "
)
_HEADS = "SELECT number, head FROM cache_heads WHERE number > ?"
_NEWEST = "SELECT seq FROM sqlite_sequence WHERE name = 'cache_entries'"
_TOUCH = "UPDATE cache_entries SET hits = hits + ?, used = ? WHERE key = ?"
_NAMING = "SELECT key FROM cache_resources JOIN cache_entries ON number = entry WHERE resource = ?"
_NAMED_BY = "SELECT resource FROM cache_resources JOIN cache_entries ON number = entry WHERE key = ?"
_TYPES = """
WITH RECURSIVE types (type) AS (
    SELECT min(type) FROM cache_entries
    UNION ALL
    SELECT (SELECT min(type) FROM cache_entries WHERE type > types.type) FROM types WHERE types.type IS NOT NULL
)
SELECT type FROM types WHERE type IS NOT NULL
"""
"""Steps from each type to the next in the index, over any number of entries of the same one."""
_AFFECTED = """
WITH RECURSIVE affected (key) AS ({chosen} {downstream})
SELECT entries.key FROM affected CROSS JOIN cache_entries AS entries ON entries.key = affected.key
ORDER BY entries.number
"""
_DOWNSTREAM = """
UNION SELECT made.key FROM affected
    CROSS JOIN cache_sources ON source = affected.key CROSS JOIN cache_entries AS made ON made.number = entry
"""
_SOURCES = """
SELECT number, CASE WHEN length(sources) <= ? THEN sources END FROM cache_entries WHERE key IN ({places})
"""
KEY_BYTES = 16
AT_ONCE = 500
"""Rows that are read by one query of many."""
MOST_PARAMETERS = 10_000
MOST_SOURCES = 1_000
"""Rows of sources that are deleted with their entry. More, as of a collect of 100,000 items, wait for `tidy`."""

Item = TypeVar("Item")
RawRow = tuple[Any, ...]
"""A row of `SELECT_ROWS`: what other programs may have written, checked where it is read."""
RowFields = tuple[bytes, str, str, str, bytes, tuple[bytes, ...], float, tuple[str, ...], int, float, int]
"""The fields of a `CacheRow`, in their order, without `used`."""


class StoredRow(CacheRow, kw_only=True):
    """An entry of the database, for listings: its output stays text."""

    output_text: str

    @property
    def text(self) -> str:
        return self.output_text


class EntryTable:
    """Rows of `cache_entries` with what belongs to them. What writes gets the connection of a transaction."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._heads: dict[int, str] = {}
        self._newest_head = 0

    def insert(self, connection: Connection, entries: Sequence[CacheEntry], outputs: Sequence[str]) -> None:
        """Store entries with their outputs as JSON; those whose key is there already are passed over."""
        heads = {head: self._head_number(connection, head) for head in {entry.head for entry in entries}}
        rows = [_values(entry, heads[entry.head], output) for entry, output in zip(entries, outputs)]
        newest = connection.execute(_NEWEST).fetchone()
        before = 0 if newest is None else newest[0]
        if insert_rows(connection, _INSERT_ENTRY, _ENTRY, rows) == len(rows):
            self._relate(connection, enumerate(entries, before + 1))
            return
        # another kernel had some of them: its rows have smaller numbers, and keep the relations that it noted
        for entry in entries:
            (number,) = connection.execute("SELECT number FROM cache_entries WHERE key = ?", (entry.key,)).fetchone()
            if number > before:
                self._relate(connection, [(number, entry)])

    def _relate(self, connection: Connection, numbered: Iterable[tuple[int, CacheEntry]]) -> None:
        sources: list[tuple[bytes, int]] = []
        resources: list[tuple[str, int]] = []
        for number, entry in numbered:
            if entry.sources:
                sources += [(source, number) for source in entry.sources]
            if entry.resources:
                resources += [(name, number) for name in entry.resources]
        insert_rows(connection, _INSERT_SOURCE, _PAIR, sources)
        insert_rows(connection, _INSERT_RESOURCE, _PAIR, resources)

    def _head_number(self, connection: Connection, head: str) -> int:
        """Return the number of a head. It is read in each transaction: another kernel may have deleted it."""
        found = connection.execute("SELECT number FROM cache_heads WHERE head = ?", (head,)).fetchone()
        if found is not None:
            return found[0]
        return connection.execute("INSERT INTO cache_heads (head) VALUES (?) RETURNING number", (head,)).fetchone()[0]

    def delete(self, connection: Connection, keys: Sequence[bytes]) -> int:
        """Delete entries; returns how many there were."""
        gone = 0
        for some in in_parts(keys):
            places = places_for(some)
            rows = connection.execute(_SOURCES.format(places=places), [MOST_SOURCES * KEY_BYTES, *some])
            pairs = [
                (source, number) for number, sources in rows if isinstance(sources, bytes) for source in _split(sources)
            ]
            connection.executemany("DELETE FROM cache_sources WHERE source = ? AND entry = ?", pairs)
            gone += connection.execute(f"DELETE FROM cache_entries WHERE key IN ({places})", some).rowcount  # noqa: S608
        return gone

    def tidy(self, connection: Connection) -> None:
        """Delete the heads that no entry has any more, and the sources of entries that are gone."""
        connection.execute("DELETE FROM cache_heads WHERE number NOT IN (SELECT head FROM cache_entries)")
        connection.execute("DELETE FROM cache_sources WHERE entry NOT IN (SELECT number FROM cache_entries)")

    def touch(self, connection: Connection, uses: Iterable[tuple[int, float, bytes]]) -> None:
        """Note uses: (how many, when last, key); those of entries that are gone are passed over."""
        connection.executemany(_TOUCH, uses)

    def oldest(self, connection: Connection) -> Iterator[tuple[bytes, int]]:
        """Yield (key, bytes), the least recently used first."""
        yield from connection.execute("SELECT key, bytes FROM cache_entries ORDER BY used, number")

    def resources_named_by(self, connection: Connection, keys: Iterable[bytes]) -> list[str]:
        """Return the resources that entries name, one that several name as often."""
        if connection.execute("SELECT 1 FROM cache_resources LIMIT 1").fetchone() is None:
            return []
        return [name for key in keys for (name,) in connection.execute(_NAMED_BY, (key,))]

    def totals(self) -> tuple[int, int]:
        """Return (entries, bytes)."""
        entries, size = self._database.rows("SELECT entries, bytes FROM cache_totals")[0]
        return entries, size

    def row(self, key: bytes) -> RawRow | None:
        """Return the row of a key, None if there is none."""
        return self._database.row(SELECT_ROWS + "WHERE key = ?", (key,))

    def rows_after(self, number: int, count: int) -> list[RawRow]:
        """Return the rows that were stored right after the one of that number, those of the next `count` numbers."""
        return self._database.rows(SELECT_ROWS + "WHERE number > ? AND number <= ?", (number, number + count))

    def naming(self, resource: str) -> list[bytes]:
        """Return the keys of the entries that name a resource."""
        return [key for (key,) in self._database.rows(_NAMING, (resource,))]

    def is_named(self, resource: str) -> bool:
        """Return whether an entry names a resource."""
        return self._database.row("SELECT 1 FROM cache_resources WHERE resource = ? LIMIT 1", (resource,)) is not None

    def keys(self) -> list[bytes]:
        """Return the keys of all entries, in the order in which they were stored."""
        return [key for (key,) in self._database.rows("SELECT key FROM cache_entries ORDER BY number")]

    def types(self) -> list[str]:
        """Return the node types of entries, by name."""
        return [name for (name,) in self._database.rows(_TYPES)]

    def affected(self, choice: EntryChoice, downstream: bool) -> list[bytes]:
        """Return the keys of the entries that a choice means, and of what was computed from them."""
        chosen: list[str] = []
        values: list[str | bytes] = []
        if choice.node is not None:
            chosen.append("SELECT key FROM cache_entries WHERE node = ?")
            values.append(choice.node)
            if "[" not in choice.node:  # its executions by path: all that begin with "node["
                chosen.append("SELECT key FROM cache_entries WHERE node >= ? AND node < ?")
                values += [f"{choice.node}[", f"{choice.node}\\"]
        if choice.type is not None:
            chosen.append("SELECT key FROM cache_entries WHERE type = ?")
            values.append(choice.type)
        if choice.resource is not None:
            chosen.append(_NAMING)
            values.append(choice.resource)
        parts = list(in_parts(list(choice.keys), MOST_PARAMETERS)) or [()]
        found = [self._affected([*chosen, *_rows_of_keys(some)], [*values, *some], downstream) for some in parts]
        if len(found) == 1:
            return found[0]
        wanted = set(chain.from_iterable(found))
        return [key for key in self.keys() if key in wanted]

    def _affected(self, chosen: Sequence[str], values: Sequence[str | bytes], downstream: bool) -> list[bytes]:
        if not chosen:
            return []
        query = _AFFECTED.format(chosen=" UNION ".join(chosen), downstream=_DOWNSTREAM if downstream else "")
        return [key for (key,) in self._database.rows(query, values)]

    # rows as entries

    def read(self, rows: Iterable[RawRow]) -> Iterator[StoredRow]:
        """Yield rows as entries; one that cannot be read is skipped, with a line in the log."""
        return readable(rows, self._stored_row, "the cache entry")

    def _stored_row(self, row: RawRow) -> StoredRow:
        return StoredRow(*self.values(row), output_text=row[-1])

    def values(self, row: RawRow) -> RowFields:
        """Return the fields of a `CacheRow`, in their order."""
        _, key, node, type_name, head, inputs, sources, seconds, resources, size, created, hits, _ = row
        if type(key) is not bytes or type(node) is not str or type(type_name) is not str:
            raise TypeError("its key, node or type is of another kind")
        names = () if resources == "[]" else tuple(loads(resources))
        code, made_of = self.head(head), _split(sources)
        return key, node, type_name, code, inputs.encode(), made_of, seconds, names, size, created, hits

    def heads_with(self, text: str) -> set[int]:
        """Return the numbers of the heads that have a text of small letters in them."""
        self._read_heads()
        return {number for number, head in list(self._heads.items()) if text in head.lower()}

    def head(self, number: int) -> str:
        """Return a head by its number; `KeyError` if it is not there."""
        if number not in self._heads:
            self._read_heads()
        return self._heads[number]

    def _read_heads(self) -> None:
        """Read the heads that are not known; a number is never used again, so those that are stay true."""
        for number, head in self._database.rows(_HEADS, (self._newest_head,)):
            self._heads[number] = head
            self._newest_head = max(self._newest_head, number)


def _rows_of_keys(keys: Sequence[bytes]) -> list[str]:
    return [f"VALUES {', '.join(['(?)'] * len(keys))}"] if keys else []


def _values(entry: CacheEntry, head: int, output: str) -> tuple[object, ...]:
    return (
        entry.key,
        entry.type,
        head,
        entry.bytes,
        entry.seconds,
        entry.created,
        entry.created,
        len(entry.resources),
        entry.node,
        dumps(entry.resources) if entry.resources else "[]",
        b"".join(entry.sources),
        entry.inputs.decode(),
        output,
    )


def _split(sources: bytes) -> tuple[bytes, ...]:
    if len(sources) <= KEY_BYTES:
        return (sources,) if sources else ()
    return tuple(sources[start : start + KEY_BYTES] for start in range(0, len(sources), KEY_BYTES))


def in_parts(values: Sequence[Item], size: int = AT_ONCE) -> Iterator[Sequence[Item]]:
    """Yield values in parts, since SQLite limits the parameters of a query."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def places_for(values: Collection[object]) -> str:
    """Return the placeholders of values in a query."""
    return ", ".join("?" * len(values))
