"""Graph documents in a studio's folder, where the next kernel finds them."""

from contextlib import AbstractContextManager

from nbgraph.services.graph_documents.graph_documents_base import GraphDocumentsBase
from nbgraph.services.graph_documents.graph_documents_common import MAX_VERSIONS, DocumentRecord, DocumentVersion
from nbgraph.services.shared.sqlite.damaged_rows import readable
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase, SqlRow

TABLES = """
CREATE TABLE graph_documents (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    thumbnail BLOB NOT NULL
);
CREATE TABLE graph_document_versions (
    document_id TEXT NOT NULL REFERENCES graph_documents (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    saved REAL NOT NULL,
    nodes INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    kernel TEXT NOT NULL,
    is_kept INTEGER NOT NULL,
    graph TEXT NOT NULL,
    PRIMARY KEY (document_id, number)
);
CREATE INDEX graph_document_facts ON graph_document_versions (document_id, number, saved, nodes, bytes);
"""
# Beside a single max(), SQLite takes plain columns from the row that has it. The index holds all that is read here, so
# that listing documents never reads a graph.
_FACTS = """
SELECT document_id, name, saved, nodes, max(number), count(*), sum(bytes)
FROM graph_documents JOIN graph_document_versions INDEXED BY graph_document_facts ON id = document_id
"""
_ROWS = _FACTS + "GROUP BY document_id"
_ROW_OF_NAME = _FACTS + "WHERE name = ? GROUP BY document_id"
_ROW_OF_ID = _FACTS + "WHERE id = ? GROUP BY document_id"
_VERSIONS = "SELECT number, saved, nodes, bytes, kernel, is_kept FROM graph_document_versions WHERE document_id = ?"
_ADD = "INSERT INTO graph_document_versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_TEXT = "SELECT graph FROM graph_document_versions WHERE document_id = ? AND number = ?"
_DROP = "DELETE FROM graph_document_versions WHERE document_id = ? AND number = ?"
_KEEP = "UPDATE graph_document_versions SET is_kept = 1 WHERE document_id = ? AND number = ?"


class GraphDocumentsSqlite(GraphDocumentsBase):
    """Shared by the kernels that have the folder open."""

    def __init__(self, database: SqliteDatabase, max_versions: int = MAX_VERSIONS) -> None:
        super().__init__(max_versions)
        self._database = database

    @property
    def kernel(self) -> str:
        return self._database.kernel

    @property
    def outlives_kernel(self) -> bool:
        return True

    def _exclusive(self) -> AbstractContextManager[object]:
        return self._database.transaction(durable=True)

    def _rows(self, *, name: str = "", document_id: str = "") -> list[DocumentRecord]:
        chosen = document_id or name
        query = _ROW_OF_ID if document_id else _ROW_OF_NAME if name else _ROWS
        return list(readable(self._database.rows(query, (chosen,) if chosen else ()), _record, "the document"))

    def _versions(self, document_id: str) -> list[DocumentVersion]:
        return list(readable(self._database.rows(_VERSIONS, (document_id,)), _version, "the version"))

    def _text(self, document_id: str, number: int) -> str | None:
        row = self._database.row(_TEXT, (document_id, number))
        return None if row is None else str(row[0])

    def _add(
        self,
        document_id: str,
        name: str,
        version: DocumentVersion,
        text: str,
        dropped: list[int],
        unseen: int | None,
    ) -> None:
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO graph_documents VALUES (?, ?, x'')", (document_id, name))
            facts = (version.number, version.saved, version.nodes, version.bytes, version.kernel, version.is_kept)
            connection.execute(_ADD, (document_id, *facts, text))
            if unseen is not None:
                connection.execute(_KEEP, (document_id, unseen))
            connection.executemany(_DROP, [(document_id, number) for number in dropped])

    def _rename(self, document_id: str, name: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("UPDATE graph_documents SET name = ? WHERE id = ?", (name, document_id))

    def _delete(self, document_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM graph_documents WHERE id = ?", (document_id,))

    def _thumbnail(self, document_id: str) -> bytes:
        row = self._database.row("SELECT thumbnail FROM graph_documents WHERE id = ?", (document_id,))
        return b"" if row is None else bytes(row[0])

    def _put_thumbnail(self, document_id: str, picture: bytes) -> None:
        with self._database.transaction() as connection:
            connection.execute("UPDATE graph_documents SET thumbnail = ? WHERE id = ?", (picture, document_id))


def _record(row: SqlRow) -> DocumentRecord:
    document_id, name, saved, nodes, newest, versions, size = row
    return DocumentRecord(str(document_id), str(name), float(saved), int(nodes), int(newest), int(versions), int(size))


def _version(row: SqlRow) -> DocumentVersion:
    number, saved, nodes, size, kernel, is_kept = row
    return DocumentVersion(int(number), float(saved), int(nodes), int(size), str(kernel), bool(is_kept))
