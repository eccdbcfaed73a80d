"""Autosave: the drawing on a canvas is saved as a document shortly after each change."""

import json
import logging
from collections.abc import Callable, Container
from threading import Lock
from typing import Any

from nbgraph.errors import NbgraphError
from nbgraph.services.graph_documents.graph_documents_base import GraphDocumentsBase
from nbgraph.services.graph_documents.graph_documents_common import DocumentVersion, SavedDocument
from nbgraph.services.shared.callbacks import Callbacks
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.names import new_name
from nbgraph.widgets.library_graphs import opening_call
from nbgraph.widgets.throttle import Throttle

logger = logging.getLogger("nbgraph")
QUIET_SECONDS = 1.5
LATEST_SECONDS = 10.0
RETRY_SECONDS = 10.0
Read = Callable[[], Graph]


class Autosave:
    """Saves one graph as a document, for all canvases that show it in this kernel.

    `changed(read)` announces a change; `read` returns the graph when it is saved: after a pause in the changes, at the
    latest after ten seconds of changes, and when a canvas, the studio or the kernel closes. `version` is the newest
    version seen here, None before the first save. `library_names` returns the names of library graphs.
    """

    def __init__(
        self,
        documents: GraphDocumentsBase,
        name: str,
        document_id: str = "",
        version: int | None = None,
        *,
        library_names: Callable[[], Container[str]] = frozenset,
    ) -> None:
        self.name, self.version = name, version
        self.document_id = document_id or new_name()
        self.problem = self.notice = ""
        self.on_state: Callbacks[None] = Callbacks()
        self._documents, self._library_names = documents, library_names
        self._call = ("", "")
        self._read: Read | None = None
        self._picture = b""
        self._users = 0
        self._saving = Lock()
        self._throttle = Throttle(self._save, quiet=QUIET_SECONDS, every=QUIET_SECONDS, latest=LATEST_SECONDS)
        self._retries = Throttle(self._save, quiet=RETRY_SECONDS, every=RETRY_SECONDS)
        self._endings = [documents.on_flush(lambda _: self.flush()), documents.on_changed(self._follow_name)]

    @property
    def is_saved(self) -> bool:
        """True if the document holds the drawing as it is."""
        return self._read is None and self.version is not None

    @property
    def is_closed(self) -> bool:
        """True once no canvas uses it."""
        return not self._endings

    @property
    def call(self) -> str:
        """The call that opens the document in the next kernel; empty for a studio in memory."""
        if not self._documents.outlives_kernel:
            return ""
        if self._call[0] != self.name:  # reading the library for each state would cost more than the rest of it
            self._call = self.name, opening_call(self.name, self._library_names())
        return self._call[1]

    def state(self) -> dict[str, Any]:
        """Return the state for a page."""
        return {
            "id": self.document_id,
            "name": self.name,
            "version": self.version,
            "isSaved": self.is_saved,
            "problem": self.problem,
            "notice": self.notice,
            "call": self.call,
        }

    def changed(self, read: Read) -> None:
        """Save the graph that `read` returns, soon."""
        was_saved, self._read = self.is_saved, read
        self._throttle()
        if was_saved:
            self.on_state(None)

    def set_picture(self, picture: bytes) -> None:
        """Store a small image that the graph produced, with the document."""
        self._picture = picture
        if self.version is not None:
            self._keep_picture()

    def flush(self) -> None:
        """Save now what is not saved yet; wait for a save that another thread has begun."""
        self._throttle.cancel()
        self._retries.cancel()
        self._save()

    def acquire(self) -> None:
        """Use it for one more canvas."""
        self._users += 1

    def release(self) -> None:
        """Use it for one canvas less; after the last one, save and unsubscribe."""
        self._users -= 1
        if self._users <= 0:
            self.flush()
            while self._endings:
                self._endings.pop()()

    def _save(self) -> None:
        with self._saving:
            read, self._read = self._read, None
            if read is None:
                return
            try:
                saved = self._documents.save(self.name, read(), document_id=self.document_id, base=self.version)
            except RuntimeError:
                # A cell changed the graph while it was read. It is not finished, so it will be read again.
                self.changed(read)
                return
            except (NbgraphError, ValueError, OSError) as error:
                self._fail(read, f"not saved: {error}")
            else:
                self._record(saved)
        self.on_state(None)

    def _fail(self, read: Read, problem: str) -> None:
        if self._read is None:  # else it has changed meanwhile, and is saved with that
            self._read = read
        if problem != self.problem:
            logger.warning("the drawing %.100r is %s", self.name, problem)
        self.problem = problem
        if not self.is_closed:
            self._retries()

    def _record(self, saved: SavedDocument) -> None:
        record = saved.record
        self.problem = ""
        if self.version is None and record.name != self.name and not self.name.startswith("untitled"):
            self.notice = f"there is a document {self.name!r} by now; this one is kept as {record.name!r}"
        if saved.replaced is not None:
            self.notice = replaced_notice(saved.replaced, record.name, self._documents.kernel)
        self.name, self.version = record.name, record.newest
        if self._picture:
            self._keep_picture()

    def _keep_picture(self) -> None:
        try:
            self._documents.set_thumbnail(self.document_id, self._picture)
        except NbgraphError as error:  # the picture is a convenience; what is drawn is safe
            logger.warning("the thumbnail of %.100r is not kept: %s", self.name, error)
        self._picture = b""

    def _follow_name(self, document_id: str) -> None:
        """Take over the name after the document was renamed."""
        if document_id != self.document_id:
            return
        name = next((each.name for each in self._documents.rows() if each.id == document_id), self.name)
        if name != self.name:
            self.name = name
            self.on_state(None)


def replaced_notice(version: DocumentVersion, name: str, kernel: str) -> str:
    """Return the notice for a person whose save replaced a version that they had not seen."""
    where = "in another kernel" if version.kernel != kernel else "in Python"
    call = f"studio.graphs.open({json.dumps(name, ensure_ascii=False)}, version={version.number})"
    return f"{name!r} was also changed {where}; that is kept as version {version.number}: {call}"
