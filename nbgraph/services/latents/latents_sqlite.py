"""Tensors in a studio's folder: safetensors files, with records in the database."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from sqlite3 import Connection
from typing import Any

from nbgraph.errors import ResourceFileCorruptError
from nbgraph.services.latents.latents_base import LatentsServiceBase
from nbgraph.services.latents.latents_common import TensorKind, TensorRecord
from nbgraph.services.shared.sqlite.resource_files import ResourceFiles
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase

TABLES = """
CREATE TABLE tensors (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created TEXT NOT NULL,
    content TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    file_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL
);
"""
RECORDS = "SELECT name, file_bytes FROM tensors"
HEADER_LIMIT = 64 * 1024
_COLUMNS = "name, kind, created, content, bytes, metadata"
_INSERT = f"INSERT INTO tensors ({_COLUMNS}, file_bytes, sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_SELECT = f"SELECT {_COLUMNS} FROM tensors "  # noqa: S608
_FACTS = "SELECT file_bytes, sha256 FROM tensors WHERE name = ?"
_WHERE = "WHERE (:kind IS NULL OR kind = :kind) "
_COUNT = "SELECT count(*) FROM tensors " + _WHERE  # noqa: S608
_SELECTED_PAGE = _SELECT + _WHERE + "ORDER BY number DESC LIMIT :limit OFFSET :offset"


class LatentsServiceSqlite(LatentsServiceBase):
    """Saves the file first and the record after it; deletes the record first and the file after it.

    Loading raises `ResourceFileMissingError` or `ResourceFileCorruptError` for a file that is not what was saved.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__()
        self._database = database
        self._files = ResourceFiles(database, "tensors")

    def is_intact(self, name: str) -> bool:
        facts = self._database.row(_FACTS, (name,))
        return facts is not None and self._files.is_intact(name, *facts)

    def _put(self, record: TensorRecord, tensors: dict[str, Any]) -> TensorRecord:
        self._files.save(record.name, to_bytes(tensors), partial(_insert, record))
        return record

    def _load(self, record: TensorRecord) -> dict[str, Any]:
        size, digest = self._database.row(_FACTS, (record.name,)) or (0, "")
        return from_bytes(self._files.read(record.name, size, digest), record.name)

    def _get(self, name: str) -> TensorRecord | None:
        row = self._database.row(_SELECT + "WHERE name = ?", (name,))
        return None if row is None else _record(row)

    def _drop(self, names: Sequence[str]) -> Sequence[str]:
        return self._files.drop(names, _forget)

    def _rows(self, kind: TensorKind | None, offset: int, limit: int | None) -> tuple[Iterable[TensorRecord], int]:
        ((total,),) = self._database.rows(_COUNT, {"kind": kind})
        page = {"kind": kind, "limit": -1 if limit is None else limit, "offset": offset}
        rows = self._database.rows(_SELECTED_PAGE, page)
        return [_record(row) for row in rows], total


def to_bytes(tensors: dict[str, Any]) -> bytes:
    """Named torch tensors as the bytes of a safetensors file."""
    from safetensors.torch import save

    return save(tensors)


def from_bytes(data: bytes, name: str) -> dict[str, Any]:
    """Named torch tensors from the bytes of a safetensors file; `ResourceFileCorruptError` if they are none.

    A header of more than 64 KiB, many more names than any node saves, is refused before it is parsed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    if int.from_bytes(data[:8], "little") > HEADER_LIMIT:
        raise ResourceFileCorruptError(f"the tensors {name!r} have a header of more than {HEADER_LIMIT:,} bytes")
    try:
        return load(data)
    except SafetensorError as error:
        raise ResourceFileCorruptError(f"the tensors {name!r} cannot be read: {error}") from error


def _insert(record: TensorRecord, connection: Connection, size: int, digest: str) -> None:
    metadata = json.dumps(record.metadata, ensure_ascii=False)
    created = record.created.isoformat()
    values = (record.name, record.kind, created, record.content, record.bytes, metadata, size, digest)
    connection.execute(_INSERT, values)


def _forget(connection: Connection, name: str) -> bool:
    return connection.execute("DELETE FROM tensors WHERE name = ?", (name,)).rowcount > 0


def _record(row: tuple[Any, ...]) -> TensorRecord:
    record = TensorRecord(*row)
    return replace(record, created=datetime.fromisoformat(row[2]), metadata=json.loads(row[5]))
