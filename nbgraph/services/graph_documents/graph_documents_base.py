"""Graph documents: graphs stored by name, so that a canvas outlives its kernel."""

import atexit
import json
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from time import time

from pydantic import TypeAdapter, ValidationError

from nbgraph.errors import DamagedRecordError, InvalidNameError, NotFoundError, suggest
from nbgraph.invocations.types import JsonObject
from nbgraph.services.graph_documents.graph_documents_common import (
    MAX_VERSIONS,
    DocumentRecord,
    DocumentVersion,
    SavedDocument,
    checked_document_name,
    document_text,
    node_count,
    versions_to_drop,
)
from nbgraph.services.service import InvokerLike, Service
from nbgraph.services.shared.callbacks import Callbacks
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.names import new_name

_AS_OBJECT: TypeAdapter[JsonObject] = TypeAdapter(JsonObject)


class GraphDocumentsBase(Service):
    """Stores graphs by name, with at most `max_versions` versions of each.

    A document keeps its id when it is renamed, so an editor remembers the id. Several kernels may edit the same
    document: each save makes a version, and none is lost (see `save`).
    """

    def __init__(self, max_versions: int = MAX_VERSIONS) -> None:
        self.max_versions = max_versions
        self._changed: Callbacks[str] = Callbacks()
        self._flushes: Callbacks[None] = Callbacks()
        self._at_exit: Callable[[], None] | None = None

    def start(self, invoker: InvokerLike) -> None:
        """Begin work, and save unsaved changes at the end of the process.

        Parameters
        ----------
        invoker
            The owner of the services.
        """
        super().start(invoker)
        if self._at_exit is None:
            # A kernel that is shut down or restarted runs `atexit` callbacks, last registered first. The database
            # registers its `close` before this, so it is still open here.
            self._at_exit = partial(_flush, weakref.ref(self))
            atexit.register(self._at_exit)

    def stop(self) -> None:
        if self._at_exit is not None:
            atexit.unregister(self._at_exit)
            self._at_exit = None
            self.flush()
        super().stop()

    def on_flush(self, callback: Callable[[None], None]) -> Callable[[], None]:
        """Call `callback(None)` when unsaved changes must be saved now.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """
        return self._flushes.add(callback)

    def flush(self) -> None:
        """Make every canvas save its unsaved changes."""
        self._flushes(None)

    def on_changed(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(document id)` when this kernel has changed a document.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """
        return self._changed.add(callback)

    @property
    def kernel(self) -> str:
        """The name of this kernel as the author of versions; empty where there is only one."""
        return ""

    @property
    def outlives_kernel(self) -> bool:
        """True if the next kernel finds the documents."""
        return False

    def rows(self) -> list[DocumentRecord]:
        """Return all documents, the last changed first."""
        return sorted(self._rows(), key=lambda record: (-record.changed, record.name))

    def record(self, name: str) -> DocumentRecord:
        """Return the record of a document.

        Raises
        ------
        NotFoundError
            No document has that name; the text suggests similar ones.
        """
        found = self._find(name)
        if found is None:
            names = [record.name for record in self._rows()]
            raise NotFoundError(f"there is no document {repr(name)[:120]}{suggest(str(name), names)}")
        return found

    def exists(self, name: str) -> bool:
        """Return whether a document has that name.

        Parameters
        ----------
        name
            Any text; False for one that no document can have.
        """
        return self._find(name) is not None

    def versions(self, name: str) -> list[DocumentVersion]:
        """Return the versions of a document, newest first.

        Raises
        ------
        NotFoundError
            No document has that name.
        """
        return sorted(self._versions(self.record(name).id), key=lambda version: -version.number)

    def data(self, name: str, version: int | None = None) -> JsonObject:
        """Return a graph as JSON values, for `Graph.from_dict`.

        Parameters
        ----------
        name
            The document.
        version
            The number of a version; None is the newest.

        Raises
        ------
        NotFoundError
            There is no such document or version.
        DamagedRecordError
            What is stored is not JSON.
        """
        record = self.record(name)
        number = record.newest if version is None else version
        text = self._text(record.id, number)
        if text is None:
            numbers = [str(each.number) for each in self.versions(name)]
            raise NotFoundError(f"{record.name!r} has no version {version!r} (there is: {', '.join(numbers)})")
        try:
            return _AS_OBJECT.validate_json(text)
        except ValidationError:
            problem = f"version {number} of {record.name!r} cannot be read; open an older one"
            raise DamagedRecordError(problem) from None

    def free_name(self, stem: str, taken: Iterable[str] = ()) -> str:
        """Return the first of `stem`, `stem 2`, `stem 3` ... that is not used.

        Parameters
        ----------
        stem
            The name that is wanted.
        taken
            Names that count as used besides those of documents.
        """
        names = {record.name for record in self._rows()}.union(taken)
        name, number = stem, 1
        while name in names:
            number += 1
            name = f"{stem} {number}"
        return name

    def save(self, name: str, graph: Graph, *, document_id: str = "", base: int | None = None) -> SavedDocument:
        """Keep a graph as the newest version of a document, which is made if there is none.

        Parameters
        ----------
        name
            The document's name; `InvalidNameError` says what is wrong with one.
        graph
            What is kept. Nothing is written if it is what the newest version holds.
        document_id
            The document that is meant, whatever it is called by now. If it was deleted it is created again, under a
            free name.
        base
            The number of the version that this graph was drawn from. If the newest one is another, its author has not
            been seen: it is kept as a version, and returned as `replaced`.
        """
        name = checked_document_name(name)
        text = document_text(graph)
        with self._exclusive():
            # by id first: another kernel may have renamed the document meanwhile
            record = self._by_id(document_id) if document_id else self._find(name)
            if record is None:
                name = self.free_name(name) if document_id else name
                saved = self._add_version(document_id or new_name(), name, text, [])
            else:
                saved = self._save_over(record, text, base)
        # outside of the lock, since a listener may save too
        if saved.is_new:
            self._changed(saved.record.id)
        return saved

    def rename(self, name: str, new: str) -> DocumentRecord:
        """Rename a document.

        Returns
        -------
        DocumentRecord
            Its record under the new name.

        Raises
        ------
        NotFoundError
            No document is called `name`.
        InvalidNameError
            Another document is called `new`, or a document cannot be called so.
        """
        new = checked_document_name(new)
        with self._exclusive():
            record = self.record(name)
            other = self._find(new)
            # another spelling of its own name is no conflict
            if other is not None and other.id != record.id:
                raise InvalidNameError(f"there is a document {new!r} already; delete it first, or give another name")
            self._rename(record.id, new)
        self._changed(record.id)
        return self.record(new)

    def delete(self, name: str) -> None:
        """Delete a document with all its versions.

        Raises
        ------
        NotFoundError
            No document has that name.
        """
        with self._exclusive():
            record = self.record(name)
            self._delete(record.id)
        self._changed(record.id)

    def restore(self, document_id: str, name: str, versions: Iterable[tuple[DocumentVersion, JsonObject]]) -> bool:
        """Add a document of another studio as it was there.

        Parameters
        ----------
        document_id
            Its id there, which it keeps.
        name
            Its name; if another document has it, this one gets a free name.
        versions
            Each version, with the JSON values of its graph.

        Returns
        -------
        bool
            False if it is stored already.
        """
        name = checked_document_name(name)
        with self._exclusive():
            if self._by_id(document_id) is not None:
                return False
            free = self.free_name(name)
            for version, data in versions:
                text = json.dumps(data, ensure_ascii=False, allow_nan=False)
                # the kernel of another studio means nothing here, and the archive may count bytes differently
                own = replace(version, bytes=len(text.encode()), kernel=self.kernel)
                self._add(document_id, free, own, text, [], None)
        self._changed(document_id)
        return True

    def thumbnail(self, document_id: str) -> bytes:
        """Return the small image of a document.

        Returns
        -------
        bytes
            A WebP file; empty if there is none.
        """
        return self._thumbnail(document_id)

    def set_thumbnail(self, document_id: str, picture: bytes) -> None:
        """Store a small image of a result of the graph.

        Parameters
        ----------
        document_id
            The document; nothing is stored if it does not exist.
        picture
            A WebP file.
        """
        self._put_thumbnail(document_id, picture)

    def _save_over(self, record: DocumentRecord, text: str, base: int | None) -> SavedDocument:
        # an autosave of an unchanged graph must not push older versions out
        if self._text(record.id, record.newest) == text:
            return SavedDocument(record, is_new=False)
        versions = self._versions(record.id)
        newest = next((version for version in versions if version.number == record.newest), None)
        # without a base the author did not look at any version, so none was overlooked
        unseen = newest if base is not None and base != record.newest else None
        saved = self._add_version(record.id, record.name, text, versions, unseen)
        return SavedDocument(saved.record, is_new=True, replaced=unseen)

    def _add_version(
        self,
        document_id: str,
        name: str,
        text: str,
        versions: list[DocumentVersion],
        unseen: DocumentVersion | None = None,
    ) -> SavedDocument:
        number = 1 + max((version.number for version in versions), default=0)
        # A clock that was set back must not make an older version the newest.
        saved = max([time(), *(version.saved for version in versions)])
        made = DocumentVersion(number, saved, node_count(json.loads(text)), len(text.encode()), self.kernel)
        dropped = versions_to_drop([*versions, made], self.max_versions)
        self._add(document_id, name, made, text, dropped, unseen.number if unseen is not None else None)
        record = self._by_id(document_id)
        assert record is not None
        return SavedDocument(record, is_new=True)

    def _find(self, name: object) -> DocumentRecord | None:
        try:
            plain = checked_document_name(name)
        except InvalidNameError:
            return None
        return next(iter(self._rows(name=plain)), None)

    def _by_id(self, document_id: str) -> DocumentRecord | None:
        return next(iter(self._rows(document_id=document_id)), None)

    @abstractmethod
    def _exclusive(self) -> AbstractContextManager[object]:
        """Keep other authors out during the block, also those of other kernels, and write all of it or nothing."""

    @abstractmethod
    def _rows(self, *, name: str = "", document_id: str = "") -> list[DocumentRecord]:
        """Return all documents, in any order; or only the one of a name, or of an id."""

    @abstractmethod
    def _versions(self, document_id: str) -> list[DocumentVersion]:
        """Return the versions of a document, in any order."""

    @abstractmethod
    def _text(self, document_id: str, number: int) -> str | None:
        """Return the JSON of a version, or None."""

    @abstractmethod
    def _add(
        self,
        document_id: str,
        name: str,
        version: DocumentVersion,
        text: str,
        dropped: list[int],
        unseen: int | None,
    ) -> None:
        """Store a version, and the document if it is new; drop versions, and mark the unseen one as kept."""

    @abstractmethod
    def _rename(self, document_id: str, name: str) -> None:
        """Give a document another name."""

    @abstractmethod
    def _delete(self, document_id: str) -> None:
        """Delete a document and its versions."""

    @abstractmethod
    def _thumbnail(self, document_id: str) -> bytes:
        """Return the picture of a document; empty where there is none."""

    @abstractmethod
    def _put_thumbnail(self, document_id: str, picture: bytes) -> None:
        """Store the picture of a document, if there is such a document."""


def _flush(documents: "weakref.ref[GraphDocumentsBase]") -> None:
    """Save at the end of the process, if the service still exists."""
    found = documents()
    if found is not None:
        found.flush()
