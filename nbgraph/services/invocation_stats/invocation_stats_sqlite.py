"""Stats in a studio's folder."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter

from pydantic_core import PydanticSerializationError, to_json

from nbgraph.services.invocation_stats.invocation_stats_base import InvocationStatsServiceBase
from nbgraph.services.invocation_stats.invocation_stats_common import NodeStats
from nbgraph.services.shared.sqlite.batch import Batch
from nbgraph.services.shared.sqlite.damaged_rows import readable
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

TABLES = """
CREATE TABLE node_stats (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    columns TEXT NOT NULL
);
CREATE INDEX node_stats_by_session ON node_stats (session_id);
"""


class InvocationStatsServiceSqlite(InvocationStatsServiceBase):
    """Outlives the kernel. Each batch of rows of a session is one JSON object of columns."""

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__()
        self._database = database
        self._batch: Batch[NodeStats] = Batch(self._write)

    def stop(self) -> None:
        if self._invoker is not None:
            self._batch.end()
        super().stop()

    def flush(self) -> None:
        self._batch.flush()

    def session_ids(self) -> list[str]:
        self._batch.flush_if_room()
        rows = self._database.rows("SELECT session_id FROM node_stats GROUP BY session_id ORDER BY min(number)")
        return list(dict.fromkeys([row[0] for row in [*rows, *self._batch.waiting]]))

    def sizes(self) -> dict[str, int]:
        self._batch.flush_if_room()
        query = "SELECT session_id, sum(length(columns)) FROM node_stats GROUP BY session_id ORDER BY min(number)"
        return dict(self._database.rows(query))

    def _append(self, session_id: str, rows: Iterable[NodeStats]) -> None:
        self._batch.extend(rows)

    def _write(self, rows: list[NodeStats]) -> None:
        # sessions that run in turn alternate in a batch, so only neighbours are grouped
        batches = [(session_id, to_columns(list(batch))) for session_id, batch in groupby(rows, itemgetter(0))]
        with self._database.transaction(awaited=False) as connection:
            connection.executemany("INSERT INTO node_stats (session_id, columns) VALUES (?, ?)", batches)

    def _rows(self, session_id: str | None) -> Iterable[NodeStats]:
        self._batch.flush_if_room()
        if session_id is None:
            batches = self._database.rows("SELECT columns FROM node_stats ORDER BY number")
        else:
            query = "SELECT columns FROM node_stats WHERE session_id = ? ORDER BY number"
            batches = self._database.rows(query, (session_id,))
        waiting = [row for row in self._batch.waiting if session_id in (None, row.session_id)]
        return chain(*readable(batches, _batch_of, "a batch of stats"), waiting)

    def _drop(self, session_id: str | None) -> None:
        def delete(sessions: Sequence[str]) -> None:
            with self._database.transaction() as connection:
                rows = [(each,) for each in sessions]
                connection.executemany("DELETE FROM node_stats WHERE session_id = ?", rows)

        # first, or buffered rows would be written after the deletion
        self._batch.discard(lambda row: session_id in (None, row.session_id))
        self._database.free(self.session_ids() if session_id is None else [session_id], delete)


def _batch_of(row: tuple[str]) -> list[NodeStats]:
    return list(from_columns(row[0]))


def to_columns(rows: list[NodeStats]) -> str:
    """Return rows as JSON: their number, and each column by name, with one value if all its values are equal."""
    columns: dict[str, object] = {"rows": len(rows)}
    for name, column in zip(NodeStats._fields, zip(*rows)):
        columns[name] = column[:1] if column.count(column[0]) == len(column) else column
    try:
        return to_json(columns).decode()
    except PydanticSerializationError:  # surrogates, which an error text may quote; only the slower encoder writes them
        return json.dumps(columns)


def from_columns(text: str) -> Iterator[NodeStats]:
    """Yield the rows that `to_columns` wrote."""
    columns = json.loads(text)
    count = columns["rows"]
    columns["path"] = [tuple(path) for path in columns["path"]]
    whole = [columns[name] if len(columns[name]) == count else columns[name] * count for name in NodeStats._fields]
    return map(NodeStats._make, zip(*whole))
