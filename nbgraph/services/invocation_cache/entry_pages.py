"""Lists of the cache in a studio's folder: pages in an order, searches for a text, rows by number.

Indices serve look-ups and the usual orders. Lists by size, time or use, and searches for a text, read the narrow front
of every row: an index costs each stored result 2.5 us of 16, a list 15 ms.
"""

from collections.abc import Iterator, Sequence

from nbgraph.services.invocation_cache.entry_lists import EntryQuery, may_be_name
from nbgraph.services.invocation_cache.entry_table import SELECT_ROWS, EntryTable, RawRow, in_parts, places_for
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

_ORDERS = {
    "created": "number",
    "resources": "named",
    **{name: name for name in ("node", "type", "hits", "bytes", "seconds")},
}
SPECIAL = "\\%_"
"""Characters that mean others in a pattern of LIKE."""


class EntryPages:
    """Reads rows of `cache_entries` for lists; `EntryTable.read` makes entries of them."""

    def __init__(self, database: SqliteDatabase, table: EntryTable) -> None:
        self._database, self._table = database, table

    def page(self, query: EntryQuery, offset: int, limit: int) -> tuple[list[RawRow], int]:
        """Return the rows of a page, and how many rows the query means in all."""
        order, way = _ORDERS[query.sort], "DESC" if query.descending else "ASC"
        ordered = f"ORDER BY {order} {way}, number {way} "
        if query.text:
            found = self._search(query, ordered)
            return self._numbered(found[offset : offset + limit]), len(found)
        where, values = ("WHERE type = ? ", [query.type]) if query.type else ("", [])
        rows = f"cache_entries {where}"
        if order in ("hits", "bytes", "named") and query.descending:  # read from the end, equal rows displace none
            rows = f"(SELECT number, {order} FROM {rows}ORDER BY number DESC LIMIT -1) "  # noqa: S608
        select = f"SELECT number FROM {rows}{ordered}LIMIT ? OFFSET ?"  # noqa: S608
        numbers = [number for (number,) in self._database.rows(select, [*values, limit, offset])]
        if not query.type:
            return self._numbered(numbers), self._table.totals()[0]
        count = "SELECT count(*) FROM cache_entries WHERE type = ?"
        return self._numbered(numbers), self._database.rows(count, values)[0][0]

    def _search(self, query: EntryQuery, ordered: str) -> list[int]:
        """Return the numbers of the rows that a text is found in, in their order."""
        text = query.text.lower()
        heads = self._table.heads_with(text)
        types = {name for name in self._table.types() if text in name.lower()}
        escape = " ESCAPE '\\'" if any(map(text.__contains__, SPECIAL)) else ""  # costs a sixth of a search
        parts = [f"node LIKE ?{escape}", f"inputs LIKE ?{escape}"]
        values: list[str | int] = [_like(text)] * 2
        for column, found in (("head", heads), ("type", types)):
            if found:
                parts.append(f"{column} IN ({places_for(found)})")
                values += found
        if may_be_name(text):
            parts += ["hex(key) LIKE ?", "(named AND resources LIKE ?)"]
            values += [_like(text)] * 2
        where = f"({' OR '.join(parts)})"
        if query.type:
            where, values = f"type = ? AND {where}", [query.type, *values]
        columns = "number" if text.isascii() else "number, node, inputs, head, type"
        rows = self._database.rows(f"SELECT {columns} FROM cache_entries WHERE {where} {ordered}", values)  # noqa: S608
        if text.isascii():
            return [number for (number,) in rows]
        # LIKE folds the case of ASCII letters only, so what it found with others in the text is looked at again
        return [
            number
            for number, node, inputs, head, name in rows
            if text in node.lower() or text in inputs.lower() or head in heads or name in types
        ]

    def numbers_by_use(self, node: str | None = None) -> list[int]:
        """Return the numbers of all entries, or of those of one prepared node, the least recently used first."""
        where, values = ("WHERE node = ? ", (node,)) if node is not None else ("", ())
        rows = self._database.rows(f"SELECT number FROM cache_entries {where}ORDER BY used, number", values)  # noqa: S608
        return [number for (number,) in rows]

    def numbered(self, numbers: Sequence[int]) -> Iterator[RawRow]:
        """Yield the rows of these numbers in their order, some at a time; rows deleted meanwhile are skipped."""
        for some in in_parts(numbers):
            yield from self._numbered(some)

    def of_keys(self, keys: Sequence[bytes]) -> list[RawRow]:
        """Return the rows of these keys, in the order in which they were stored."""
        found = [
            row
            for some in in_parts(list(dict.fromkeys(keys)))
            for row in self._database.rows(f"{SELECT_ROWS}WHERE key IN ({places_for(some)})", some)
        ]
        return sorted(found)

    def _numbered(self, numbers: Sequence[int]) -> list[RawRow]:
        rows = self._database.rows(f"{SELECT_ROWS}WHERE number IN ({places_for(numbers)})", numbers)
        by_number = {row[0]: row for row in rows}
        return [by_number[number] for number in numbers if number in by_number]


def _like(text: str) -> str:
    """Return a pattern for LIKE that finds a text anywhere; characters that are not ASCII match any character."""
    escaped = (f"\\{letter}" if letter in SPECIAL else letter if letter.isascii() else "%" for letter in text)
    return f"%{''.join(escaped)}%"
