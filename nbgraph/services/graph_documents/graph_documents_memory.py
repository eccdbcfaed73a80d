"""Graph documents in memory."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from threading import RLock

from nbgraph.services.graph_documents.graph_documents_base import GraphDocumentsBase
from nbgraph.services.graph_documents.graph_documents_common import MAX_VERSIONS, DocumentRecord, DocumentVersion


@dataclass
class _Document:
    name: str
    versions: dict[int, tuple[DocumentVersion, str]] = field(default_factory=dict[int, tuple[DocumentVersion, str]])
    thumbnail: bytes = b""


class GraphDocumentsMemory(GraphDocumentsBase):
    """Ends with its kernel."""

    def __init__(self, max_versions: int = MAX_VERSIONS) -> None:
        super().__init__(max_versions)
        self._documents: dict[str, _Document] = {}
        # reentrant: `save` holds it and calls methods that take it too
        self._lock = RLock()

    def _exclusive(self) -> AbstractContextManager[object]:
        return self._lock

    def _rows(self, *, name: str = "", document_id: str = "") -> list[DocumentRecord]:
        with self._lock:
            return [
                _record(own_id, document)
                for own_id, document in self._documents.items()
                if name in ("", document.name) and document_id in ("", own_id)
            ]

    def _versions(self, document_id: str) -> list[DocumentVersion]:
        with self._lock:
            return [version for version, _ in self._documents[document_id].versions.values()]

    def _text(self, document_id: str, number: int) -> str | None:
        found = self._documents[document_id].versions.get(number)
        return None if found is None else found[1]

    def _add(
        self,
        document_id: str,
        name: str,
        version: DocumentVersion,
        text: str,
        dropped: list[int],
        unseen: int | None,
    ) -> None:
        document = self._documents.setdefault(document_id, _Document(name))
        document.versions[version.number] = version, text
        if unseen is not None:
            replaced, kept_text = document.versions[unseen]
            document.versions[unseen] = replace(replaced, is_kept=True), kept_text
        for number in dropped:
            del document.versions[number]

    def _rename(self, document_id: str, name: str) -> None:
        self._documents[document_id].name = name

    def _delete(self, document_id: str) -> None:
        del self._documents[document_id]

    def _thumbnail(self, document_id: str) -> bytes:
        document = self._documents.get(document_id)
        return b"" if document is None else document.thumbnail

    def _put_thumbnail(self, document_id: str, picture: bytes) -> None:
        document = self._documents.get(document_id)
        if document is not None:
            document.thumbnail = picture


def _record(document_id: str, document: _Document) -> DocumentRecord:
    versions = [version for version, _ in document.versions.values()]
    newest = max(versions, key=lambda version: version.number)
    return DocumentRecord(
        document_id,
        document.name,
        newest.saved,
        newest.nodes,
        newest.number,
        len(versions),
        sum(version.bytes for version in versions),
    )
