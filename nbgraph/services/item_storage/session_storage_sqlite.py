"""Sessions in a studio's folder: the graph once, and the results of its nodes as a journal of batches.

A session with many nodes is never rewritten as a whole: while it runs, results are appended about every 50 ms. Reading
joins the batches; a session whose kernel died continues after the last of them.
"""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from weakref import WeakValueDictionary

from pydantic_core import PydanticSerializationError, to_json

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.types import JsonObject
from nbgraph.services.item_storage.session_storage_base import SessionStorageBase, has_value
from nbgraph.services.neighbours import Condition
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.plan import Path, Prepared, prepared_id
from nbgraph.services.shared.sqlite.batch import Batch
from nbgraph.services.shared.sqlite.damaged_rows import DAMAGE, damaged, readable
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

logger = logging.getLogger("nbgraph")
TABLES = """
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    data TEXT NOT NULL,
    cancelled INTEGER NOT NULL
);
CREATE TABLE session_results (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    session INTEGER NOT NULL REFERENCES sessions (number) ON DELETE CASCADE,
    data TEXT NOT NULL
);
CREATE INDEX results_of_session ON session_results (session);
"""
_RESULTS = "SELECT data FROM session_results WHERE session = ? ORDER BY number"
_APPEND = "INSERT INTO session_results (session, data) SELECT number, ? FROM sessions WHERE id = ?"
_SIZES = """
SELECT id, length(data) + (SELECT coalesce(sum(length(data)), 0) FROM session_results WHERE session = sessions.number)
FROM sessions ORDER BY number
"""
_TEXTS = """
SELECT data FROM sessions WHERE id = :id
UNION ALL SELECT session_results.data FROM session_results JOIN sessions ON sessions.number = session WHERE id = :id
"""
_MAY_HAVE_VALUE = """
SELECT id, data FROM sessions
WHERE :text = '' OR instr(lower(data), :text) OR length(CAST(data AS BLOB)) <> length(data)
"""
JournalRow = tuple[str, Path, BaseInvocationOutput | None, dict[str, int] | None, str | None]
"""Source node, path, output, drawn seeds, error."""
SavedRow = Sequence[Any]
"""A row of a journal or of a saved session as JSON has it; `GraphExecutionState.from_dict` validates it."""
_NAME = re.compile(r"[0-9a-f]{32}")
JOURNALED = ("outputs", "seeds", "errors", "failed")


class SessionStorageSqlite(SessionStorageBase):
    """Returns the live session while this process has one, else one made from its rows."""

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__(GraphExecutionState)
        self._database = database
        # weak: a session that nobody holds is read from its rows when it is needed again
        self._live: WeakValueDictionary[str, GraphExecutionState] = WeakValueDictionary()
        # parsing a large session takes long, and displays ask for its condition again and again
        self._readable: set[str] = set()

    def journal(self, item: GraphExecutionState) -> "SessionJournal":
        return SessionJournal(self._database, item)

    def live(self) -> list[GraphExecutionState]:
        # `valuerefs` is a copy made at once; `values` fails where another thread adds a session meanwhile
        return [session for held in self._live.valuerefs() if (session := held()) is not None]

    def sizes(self) -> dict[str, int]:
        return dict(self._database.rows(_SIZES))

    def names_in(self, session_ids: Iterable[str]) -> set[str]:
        """Return whatever looks like a name in the JSON, so that node types need not be defined here."""
        texts = (text for each in session_ids for (text,) in self._database.rows(_TEXTS, {"id": each}))
        return {name for text in texts for name in _NAME.findall(text)}

    def with_value(self, text: str) -> set[str]:
        """SQL narrows the sessions down; it knows capitals of ASCII only, so other texts are all looked through."""
        narrow = json.dumps(text.lower())[1:-1] if text.isascii() else ""
        rows = self._database.rows(_MAY_HAVE_VALUE, {"text": narrow})
        return {item_id for item_id, data in rows if has_value(_saved_nodes(data), text)}

    def __len__(self) -> int:
        return self._database.rows("SELECT count(*) FROM sessions")[0][0]

    def condition(self, item_id: str) -> Condition:
        """Return the condition; a session that was read once in this process stays readable while it exists."""
        if self._database.row("SELECT 1 FROM sessions WHERE id = ?", (item_id,)) is None:
            return "missing"
        if item_id in self._readable:
            return "readable"
        found = super().condition(item_id)
        if found == "readable":
            self._readable.add(item_id)
        return found

    def _get(self, item_id: str) -> GraphExecutionState | None:
        row = self._database.row("SELECT id, number, data, cancelled FROM sessions WHERE id = ?", (item_id,))
        if row is None:
            return None
        return self._live_or_read(row)

    def _put(self, item: GraphExecutionState) -> None:
        """Write a new session as a whole; of a live one, only what its journal does not record."""
        known = self._database.row("SELECT number FROM sessions WHERE id = ?", (item.id,))
        # only a live session has a journal; of any other all must be written
        if known is None or item.id not in self._live:
            self._write(item)
            self._live[item.id] = item
        else:
            with self._database.transaction() as connection:
                connection.execute("UPDATE sessions SET cancelled = ? WHERE id = ?", (item.cancelled, item.id))

    def _write(self, item: GraphExecutionState) -> None:
        data = item.to_dict()
        # in a table of their own, so that a resumed session appends instead of writing all again
        journaled = [data.pop(name) for name in JOURNALED]
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO sessions (id, data, cancelled) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET data = excluded.data, cancelled = excluded.cancelled",
                (item.id, _as_text(data), item.cancelled),
            )
            connection.execute(
                "DELETE FROM session_results WHERE session = (SELECT number FROM sessions WHERE id = ?)", (item.id,)
            )
            if any(journaled):
                connection.execute(_APPEND, (_as_text(_as_journal(*journaled)), item.id))

    def _drop(self, item_id: str) -> bool:
        def delete(ids: Sequence[str]) -> bool:
            with self._database.transaction() as connection:
                return connection.executemany("DELETE FROM sessions WHERE id = ?", [(one,) for one in ids]).rowcount > 0

        found = any(self._database.free([item_id], delete))
        self._live.pop(item_id, None)
        return found

    def _rows(self, text: str, offset: int, limit: int) -> tuple[Iterable[GraphExecutionState], int]:
        wanted = {"text": text, "limit": limit, "offset": offset}
        where = "FROM sessions WHERE (:text = '' OR instr(data, :text)) "
        ((total,),) = self._database.rows("SELECT count(*) " + where, wanted)
        page = "ORDER BY number LIMIT :limit OFFSET :offset"
        return list(
            self._several(self._database.rows("SELECT id, number, data, cancelled " + where + page, wanted))
        ), total

    def _several(self, rows: Iterable[tuple[str, int, str, int]]) -> Iterator[GraphExecutionState]:
        return readable(rows, self._live_or_read, "session")

    def _live_or_read(self, row: tuple[str, int, str, int]) -> GraphExecutionState:
        live = self._live.get(row[0])  # compared with None below: a session without results is false
        return self._read(*row) if live is None else live

    def _read(self, item_id: str, number: int, data: str, cancelled: int) -> GraphExecutionState:
        try:
            head = {**json.loads(data), "cancelled": bool(cancelled)}
            rows = [row for (text,) in self._database.rows(_RESULTS, (number,)) for row in json.loads(text)]
            session = GraphExecutionState.from_dict({**head, **_from_journal(rows)})
        except NbgraphError:
            raise
        except DAMAGE as error:
            raise damaged(f"session {item_id!r}", error) from None
        self._live[session.id] = session
        return session


def _as_text(data: JsonObject | list[SavedRow]) -> str:
    try:
        return to_json(data).decode()  # a tenth of the time of `json.dumps`
    except PydanticSerializationError:  # half of a surrogate pair, which only the slower encoder writes
        return json.dumps(data, ensure_ascii=False)


def _saved_nodes(data: str) -> object:
    try:
        return json.loads(data)["graph"]["nodes"]
    except DAMAGE:
        return {}


class SessionJournal:
    """Appends the results of the nodes of one session. Only the thread that runs the session uses it."""

    def __init__(self, database: SqliteDatabase, session: GraphExecutionState) -> None:
        self._database, self._session_id, self._seeds = database, session.id, session.seeds
        self._batch: Batch[JournalRow] = Batch(self._append)

    def completed(self, prepared: Prepared, output: BaseInvocationOutput) -> None:
        """Record an output. One that is not JSON is skipped, and its node runs again when the session is resumed."""
        planned, path, key = prepared.planned, prepared.path, prepared.key
        self._batch.add((planned.id, path, output, self._seeds.get(key) if planned.node_type.seeds else None, None))

    def failed(self, prepared: Prepared, error: str) -> None:
        """Record a failure."""
        planned, path, key = prepared.planned, prepared.path, prepared.key
        self._batch.add((planned.id, path, None, self._seeds.get(key) if planned.node_type.seeds else None, error))

    def flush(self) -> None:
        """Write what is buffered."""
        self._batch.flush()

    def _append(self, rows: list[JournalRow]) -> None:
        try:
            text = to_json(rows).decode()
        except PydanticSerializationError:
            # one output that is not JSON fails the whole batch, so rows are encoded one by one
            text = f"[{', '.join(filter(None, map(_row_text, rows)))}]"
        with self._database.transaction(awaited=False) as connection:
            connection.execute(_APPEND, (text, self._session_id))


def _row_text(row: JournalRow) -> str:
    """Return a row of a journal as JSON, empty for an output that is not JSON."""
    node, path, output, drawn, error = row
    try:
        text = "null" if output is None else output.model_dump_json()
    except PydanticSerializationError:
        return ""
    return f"[{json.dumps(node)}, {list(path)}, {text}, {json.dumps(drawn)}, {json.dumps(error)}]"


def _as_journal(
    outputs: list[SavedRow], seeds: list[SavedRow], errors: dict[str, str], failed: list[SavedRow]
) -> list[SavedRow]:
    """Return the rows of a journal with the results of a saved session."""
    drawn = {(node, tuple(path)): values for node, path, values in seeds}
    rows: list[SavedRow] = [
        (node, path, output, drawn.get((node, tuple(path))), None) for node, path, output in outputs
    ]
    for node, path, _ in failed:
        error = errors.get(prepared_id(node, tuple(path)), "")
        rows.append((node, path, None, drawn.get((node, tuple(path))), error))
    return rows


def _from_journal(rows: list[SavedRow]) -> JsonObject:
    """Return the results as a saved session has them, from the rows of its journal; the last row of a node counts."""
    last = {(node, tuple(path)): values for node, path, *values in rows}
    done = {place: values for place, values in last.items() if values[2] is None}
    failed = {place: values for place, values in last.items() if values[2] is not None}
    return {
        "outputs": [(*place, output) for place, (output, _, _) in done.items()],
        "seeds": [(*place, drawn) for place, (_, drawn, _) in last.items() if drawn is not None],
        "errors": {prepared_id(*place): error for place, (_, _, error) in failed.items()},
        "failed": [(*place, None) for place in failed],
    }
