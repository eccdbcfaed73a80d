"""Read rows of the cache that are likely to be needed next, in one query instead of one each.

The key of a node depends on its inputs, so it is known only when these are. But a repeated run looks up results in the
order in which the first run stored them, which is the order of their numbers. So with a row the rows after it are read;
more of them each time that one of these was needed, as disks do it.
"""

from nbgraph.services.invocation_cache.entry_table import EntryTable, RawRow

FEWEST, MOST = 8, 1024
MOST_CHARACTERS = 2**20
"""Characters of outputs and inputs that are read ahead at most, about: where results are large, fewer rows are."""


class ReadAhead:
    """Returns rows of a table by key. Rows read ahead are valid until any result is dropped."""

    def __init__(self, table: EntryTable) -> None:
        self._table = table
        self._forget(0)

    def _forget(self, moment: int) -> None:
        self._moment = moment
        self._rows: dict[bytes, RawRow] = {}
        self._end = 0
        self._count = FEWEST
        self._was_asked_for = False

    def row(self, key: bytes, moment: int) -> RawRow | None:
        """Return the row of a key, None if there is none; `moment` is another one when results were dropped."""
        if moment != self._moment:
            self._forget(moment)
        found = self._rows.pop(key, None)
        if found is not None:
            self._was_asked_for = True
            return found
        found = self._table.row(key)
        if found is not None:
            self._read_behind(found[0])
        return found

    def _read_behind(self, number: int) -> None:
        self._count = min(self._count * 4, MOST) if self._was_asked_for else FEWEST
        rows = self._table.rows_after(number, self._count)
        self._rows = {row[1]: row for row in rows}
        self._was_asked_for = False
        size = sum(len(row[5]) + len(row[-1]) for row in rows)
        if size > MOST_CHARACTERS:
            self._count = max(FEWEST, self._count * MOST_CHARACTERS // size // 4)
