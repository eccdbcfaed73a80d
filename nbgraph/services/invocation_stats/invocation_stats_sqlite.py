"""Stats in a studio's folder."""

from collections.abc import Iterable
from typing import Any

from nbgraph.services.invocation_stats.invocation_stats_base import InvocationStatsServiceBase
from nbgraph.services.invocation_stats.invocation_stats_common import NodeStats
from nbgraph.services.shared.sqlite.batch import Batch
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

TABLES = """
CREATE TABLE node_stats (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    node TEXT NOT NULL,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    path TEXT NOT NULL,
    status TEXT NOT NULL,
    cached INTEGER NOT NULL,
    started REAL NOT NULL,
    seconds REAL NOT NULL,
    ram_before INTEGER NOT NULL,
    ram_after INTEGER NOT NULL,
    ram_peak INTEGER NOT NULL,
    vram_before INTEGER,
    vram_peak INTEGER,
    vram_reserved INTEGER,
    model_loads INTEGER NOT NULL,
    model_hits INTEGER NOT NULL,
    seed INTEGER,
    error TEXT NOT NULL
);
CREATE INDEX node_stats_by_session ON node_stats (session_id);
"""
_FIELDS = ", ".join(NodeStats._fields)
_INSERT = f"INSERT INTO node_stats ({_FIELDS}) VALUES ({', '.join('?' * len(NodeStats._fields))})"  # noqa: S608
_SELECT = f"SELECT {_FIELDS} FROM node_stats "  # noqa: S608
_PATH, _CACHED = NodeStats._fields.index("path"), NodeStats._fields.index("cached")


class InvocationStatsServiceSqlite(InvocationStatsServiceBase):
    """Outlives the kernel; rows are written in batches."""

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__()
        self._database = database
        self._batch: Batch[NodeStats] = Batch(self._write)

    def stop(self) -> None:
        if self._invoker is not None:
            self._batch.flush()
        super().stop()

    def flush(self) -> None:
        self._batch.flush()

    def session_ids(self) -> list[str]:
        self._batch.flush()
        rows = self._database.rows("SELECT session_id FROM node_stats GROUP BY session_id ORDER BY min(number)")
        return [session_id for (session_id,) in rows]

    def _append(self, session_id: str, rows: list[NodeStats]) -> None:
        self._batch.extend(rows)

    def _write(self, rows: list[NodeStats]) -> None:
        with self._database.transaction() as connection:
            connection.executemany(_INSERT, [_values(row) for row in rows])

    def _rows(self, session_id: str | None) -> Iterable[NodeStats]:
        self._batch.flush()
        if session_id is None:
            rows = self._database.rows(_SELECT + "ORDER BY number")
        else:
            rows = self._database.rows(_SELECT + "WHERE session_id = ? ORDER BY number", (session_id,))
        return map(_row, rows)

    def _drop(self, session_id: str | None) -> None:
        self._batch.flush()
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM node_stats WHERE ? IS NULL OR session_id = ?", (session_id, session_id))


def _values(row: NodeStats) -> tuple[Any, ...]:
    path = row.path
    return (*row[:_PATH], ",".join(map(str, path)) if path else "", *row[_PATH + 1 :])


def _row(row: tuple[Any, ...]) -> NodeStats:
    values = list(row)
    values[_PATH] = tuple(map(int, row[_PATH].split(","))) if row[_PATH] else ()
    values[_CACHED] = bool(row[_CACHED])
    return NodeStats(*values)
