"""The canvases of a studio: they open what `studio.edit` was given, and choose the name under which it is saved."""

from os import PathLike
from os.path import isfile
from pathlib import Path

from nbgraph.errors import InvalidNameError, NotFoundError
from nbgraph.notebook import is_open
from nbgraph.services.graph_documents.graph_documents_common import checked_document_name, looks_like_file
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.widgets.autosave import Autosave
from nbgraph.widgets.editor import GraphEditor
from nbgraph.widgets.graph_file import open_file, open_graph, with_unknown_nodes
from nbgraph.widgets.library_graphs import exact_names, find_library_graph

UNTITLED = "untitled"


class OpenEditors:
    """Opens graphs on canvases. A document that is open in this kernel already is shown again.

    Two canvases on one document would each save over the other.
    """

    def __init__(self, invoker: Invoker, max_iterations: int) -> None:
        self._invoker, self._max_iterations = invoker, max_iterations
        self._documents = invoker.services.graph_documents
        self._editors: dict[str, GraphEditor] = {}
        self._autosaves: dict[str, Autosave] = {}

    def of_graph(self, graph: Graph, name: str = UNTITLED) -> GraphEditor:
        """Open a graph; its drawing is saved under a free name made from `name`."""
        known = self._autosaves.get(graph.id)
        if known is None or known.is_closed:
            # The page shows the name before anything is saved, so it is one that is free now.
            known = self._autosaves[graph.id] = self._autosave(self._documents.free_name(name))
        return self._editor(graph, known)

    def of_text(self, text: str | PathLike[str]) -> GraphEditor:
        """Open the file, library graph or document that a text names; the first that exists, else a new document.

        A document comes before a library graph whose name differs in blanks, dashes or capitals.
        """
        if not isinstance(text, str) or isfile(text) or (looks_like_file(text) and not self._is_named(text)):
            return self.of_file(text)
        library = self._library_graph(text, is_exact=True)
        if library is None and not self._documents.exists(text):
            library = self._library_graph(text, is_exact=False)
        return self.of_library_graph(library) if library is not None else self.document(text, is_new=True)

    def of_file(self, path: str | PathLike[str]) -> GraphEditor:
        """Open a graph file. The drawing is saved as a document of the file's name; the file is not changed."""
        graph, reason = open_file(path)
        try:
            name = checked_document_name(Path(path).stem)
        except InvalidNameError:
            name = UNTITLED
        return self._editor(graph, None, reason) if reason else self.of_graph(graph, name)

    def of_library_graph(self, library: LibraryGraph) -> GraphEditor:
        """Open a copy of a library graph, saved as a document; the library graph is not changed."""
        # Through JSON, so that the copy shares no node with the library.
        graph = LibraryGraph.from_dict(library.to_dict()).graph
        try:
            stem = checked_document_name(library.name)
        except InvalidNameError:
            stem = UNTITLED
        return self.of_graph(graph, self._documents.free_name(stem, [library.name]))

    def document(self, name: str, version: int | None = None, *, is_new: bool = False) -> GraphEditor:
        """Open a document.

        Parameters
        ----------
        name
            Its name.
        version
            One of its versions; None for the newest. An older one becomes the newest when it is changed.
        is_new
            Make a document if there is none of that name.

        Raises
        ------
        NotFoundError
            There is no such document or version.
        """
        if not self._documents.exists(name):
            drawn = self._unsaved(name)
            if drawn is not None and version is None:
                return drawn
            if is_new and version is None:
                return self._named(self._autosave(checked_document_name(name)), Graph())
        record = self._documents.record(name)
        shown = self._editors.get(record.id)
        if version is None and shown is not None and is_open(shown) and shown.autosave is not None:
            # What is still unsaved on that canvas is the newest version.
            shown.autosave.flush()
            record = self._documents.record(shown.autosave.name)
            if shown.autosave.version == record.newest:
                return shown
        graph, reason = open_graph(with_unknown_nodes(self._documents.data(record.name, version)))
        if reason:
            return self._editor(graph, None, reason)
        autosave = self._autosave(record.name, record.id, record.newest)
        if version not in (None, record.newest):
            # It shows an older version: the next call that opens the document makes a canvas of its own.
            return self._editor(graph, autosave)
        return self._named(autosave, graph)

    def _autosave(self, name: str, document_id: str = "", version: int | None = None) -> Autosave:
        return Autosave(self._documents, name, document_id, version, library_names=self._library_names)

    def _library_names(self) -> set[str]:
        return exact_names(self._invoker.services.graph_library)

    def _named(self, autosave: Autosave, graph: Graph) -> GraphEditor:
        self._autosaves[graph.id] = autosave
        made = self._editors[autosave.document_id] = self._editor(graph, autosave)
        return made

    def _editor(self, graph: Graph, autosave: Autosave | None, read_only: str = "") -> GraphEditor:
        return GraphEditor(
            graph,
            self._invoker,
            read_only=read_only,
            max_iterations=self._max_iterations,
            autosave=autosave,
            open_graph=lambda made: str(self.of_graph(made).model_id),
        )

    def _unsaved(self, name: str) -> GraphEditor | None:
        """Return the open canvas of a document in which nothing has been drawn yet."""
        for editor in self._editors.values():
            if is_open(editor) and editor.autosave is not None and editor.autosave.name == name.strip():
                return editor
        return None

    def _is_named(self, text: str) -> bool:
        return self._library_graph(text, is_exact=True) is not None

    def _library_graph(self, name: str, is_exact: bool) -> LibraryGraph | None:
        try:
            return find_library_graph(self._invoker.services, name, is_exact=is_exact)
        except NotFoundError:
            return None
