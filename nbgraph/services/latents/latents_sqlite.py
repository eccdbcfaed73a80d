"""Tensors in a studio's folder: safetensors files, with records in the database."""

from collections.abc import Iterable, Sequence

from nbgraph.invocations.fields import TensorKind
from nbgraph.services.latents.latents_base import LatentsServiceBase
from nbgraph.services.latents.latents_common import TensorDict, TensorRecord
from nbgraph.services.latents.tensor_files import from_bytes, to_bytes
from nbgraph.services.shared.names import Unless
from nbgraph.services.shared.sqlite.resource_table import ResourceTable
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
_MATCHES = ":kind IS NULL OR kind = :kind"


class LatentsServiceSqlite(LatentsServiceBase):
    """Saves the file before the record, and deletes the record before the file; see `ResourceFiles`.

    Loading raises `ResourceFileMissingError` or `ResourceFileCorruptError` for a file that is not what was saved.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__()
        self._tensors = ResourceTable(database, "tensors", TensorRecord)

    def is_intact(self, name: str) -> bool:
        return self._tensors.is_intact(name)

    def _put(self, record: TensorRecord, tensors: TensorDict) -> TensorRecord:
        self._tensors.save(record, to_bytes(tensors))
        return record

    def _load(self, record: TensorRecord) -> TensorDict:
        return from_bytes(self._tensors.read(record.name), record.name)

    def _get(self, name: str) -> TensorRecord | None:
        return self._tensors.get(name)

    def _drop(self, names: Sequence[str], unless: Unless | None = None) -> Sequence[str]:
        return self._tensors.drop(names, unless)

    def _rows(self, kind: TensorKind | None, offset: int, limit: int | None) -> tuple[Iterable[TensorRecord], int]:
        return self._tensors.page(_MATCHES, {"kind": kind}, offset, limit)
