"""The queue in a studio's folder: the next kernel finds the sessions of one that died."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from typing import get_args

from nbgraph.services.invocation_queue.invocation_queue_base import InvocationQueueBase
from nbgraph.services.invocation_queue.invocation_queue_common import QueueItem, QueueStatus
from nbgraph.services.shared.sqlite.damaged_rows import readable
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase, SqlRow

TABLES = """
CREATE TABLE queue (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    priority INTEGER NOT NULL,
    status TEXT NOT NULL,
    submitted REAL NOT NULL,
    started REAL,
    ended REAL,
    error TEXT NOT NULL,
    owner TEXT NOT NULL
);
CREATE INDEX queue_by_session ON queue (session_id);
CREATE INDEX queue_by_status ON queue (status, owner);
"""
_COLUMNS = ", ".join(field.name for field in fields(QueueItem))
_SELECT = f"SELECT {_COLUMNS} FROM queue "  # noqa: S608
_NEXT = "WHERE status = 'pending' AND owner = ? ORDER BY priority DESC, number LIMIT 1"
_CHANGE = (
    "UPDATE queue SET priority=?, status=?, submitted=?, started=?, ended=?, error=?"
    " WHERE number=? AND (? IS NULL OR status=?)"
)


class InvocationQueueSqlite(InvocationQueueBase):
    """Shared by the kernels that have the folder open."""

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__()
        self._database = database

    @property
    def owner(self) -> str:
        return self._database.kernel

    def is_alive(self, owner: str) -> bool:
        return self._database.is_alive(owner)

    def runs_elsewhere(self) -> bool:
        others = self._database.rows(
            "SELECT owner FROM queue WHERE status = 'in_progress' AND owner != ?", (self.owner,)
        )
        return any(self.is_alive(owner) for (owner,) in others)

    def _add(self, session_id: str, priority: int, submitted: float) -> QueueItem:
        with self._database.transaction() as connection:
            number = connection.execute(
                "INSERT INTO queue (session_id, priority, status, submitted, error, owner)"
                " VALUES (?, ?, 'pending', ?, '', ?)",
                (session_id, priority, submitted, self.owner),
            ).lastrowid
        return QueueItem(number or 0, session_id, priority, "pending", submitted, owner=self.owner)

    def _insert(self, item: QueueItem) -> None:
        names = [field.name for field in fields(QueueItem) if field.name != "number"]
        insert = f"INSERT INTO queue ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        with self._database.transaction() as connection:
            connection.execute(insert, [getattr(item, name) for name in names])

    def _claim(self, started: float) -> QueueItem | None:
        # a read first: the worker asks often, and a transaction would wait for other kernels
        if self._database.row(_SELECT + _NEXT, (self.owner,)) is None:
            return None
        with self._database.transaction() as connection:
            row = connection.execute(_SELECT + _NEXT, (self.owner,)).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE queue SET status = 'in_progress', started = ? WHERE number = ?", (started, row[0])
            )
            return QueueItem(*connection.execute(_SELECT + "WHERE number = ?", (row[0],)).fetchone())

    def _get(self, session_id: str) -> QueueItem | None:
        row = self._database.row(_SELECT + "WHERE session_id = ? ORDER BY number DESC LIMIT 1", (session_id,))
        return None if row is None else next(readable([row], _item, "the queue item"), None)

    def _change(self, item: QueueItem, before: QueueStatus | None = None) -> bool:
        number, _, *values, _ = astuple(item)

        def change(rows: Sequence[SqlRow]) -> bool:
            with self._database.transaction() as connection:
                return connection.executemany(_CHANGE, rows).rowcount > 0

        # `free`: a session must be able to end on a full disk
        return any(self._database.free([(*values, number, before, before)], change))

    def _drop(self, items: Iterable[QueueItem]) -> int:
        def delete(rows: Sequence[tuple[int]]) -> int:
            with self._database.transaction() as connection:
                return connection.executemany("DELETE FROM queue WHERE number = ?", rows).rowcount

        return sum(self._database.free([(item.number,) for item in items], delete))

    def _rows(self) -> Iterable[QueueItem]:
        return list(readable(self._database.rows(_SELECT + "ORDER BY number"), _item, "the queue item"))


def _item(row: SqlRow) -> QueueItem:
    item = QueueItem(*row)
    # SQLite stores any type in any column, and sorting mixed types would fail for all rows
    times = (item.submitted, item.started or 0.0, item.ended or 0.0)
    if item.status not in get_args(QueueStatus) or not all(isinstance(time, float) for time in times):
        raise ValueError(f"status {item.status!r}, times {times}")
    return item
