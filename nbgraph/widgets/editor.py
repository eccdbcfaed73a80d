"""The canvas: a graph edited in a notebook cell. The graph on it is the Python object, not a copy of it."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

import traitlets
from IPython.core.getipython import get_ipython

from nbgraph.errors import GraphError, NbgraphError, Problem
from nbgraph.grammar.catalogue import COMMAND_NAMES, Catalogue
from nbgraph.grammar.writer import graph_lines
from nbgraph.invocations.node_registry import NodeClass, registry
from nbgraph.notebook import is_in_notebook, put_out
from nbgraph.recipes.saved_pictures import graph_of_record
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.drawing.svg import GraphDrawing
from nbgraph.services.shared.graph.execution_state import MAX_ITERATIONS, GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.views.models import model_files
from nbgraph.widgets import editor_messages as messages
from nbgraph.widgets.autosave import Autosave
from nbgraph.widgets.changes import GONE, read_changes
from nbgraph.widgets.code_pane import answer_code
from nbgraph.widgets.derived import ShownDocument, problem_to_json
from nbgraph.widgets.document import GraphDocument, StaleRevisionError, Update
from nbgraph.widgets.dry_run import MAX_EXPLAINED, Reasons
from nbgraph.widgets.exact_numbers import to_page
from nbgraph.widgets.graph_changes import apply_changes
from nbgraph.widgets.graph_file import answer_file
from nbgraph.widgets.library_graphs import templates
from nbgraph.widgets.paint import MaskPainter, painter_on
from nbgraph.widgets.picture_answers import PictureAnswers
from nbgraph.widgets.pictures import answer_pictures
from nbgraph.widgets.remix import OpenGraph
from nbgraph.widgets.rpc import Answer, RpcWidget
from nbgraph.widgets.run_feed import RunFeed
from nbgraph.widgets.schema import node_types, type_table
from nbgraph.widgets.static_fallback import StaticFallback
from nbgraph.widgets.subgraph import collapse_changes, expand_changes, replaced_library, running_graph

DRAWN_AFTER, DRAWN_WITHIN = 5.0, 30.0
"""Seconds without an edit, and seconds of edits, after which the drawing for readers without a kernel is made again."""


class GraphEditor(RpcWidget):
    """A canvas on a graph. Edits on the canvas and in Python are seen by the other side.

    Edits in Python are noticed when a cell has finished, and before each edit from the canvas; `refresh()` looks at
    once.

    Parameters
    ----------
    graph
        The graph to edit; it is changed in place.
    invoker
        Runs the graph; None for a canvas that cannot.
    read_only
        The reason why the graph cannot be edited, which the canvas shows; empty if it can.
    max_iterations
        As in `Settings`.
    autosave
        Saves the drawing as a document of a studio, under `name`.
    open_graph
        Opens another canvas and returns its model id; None for a canvas without a studio.
    """

    _widget = traitlets.Unicode("editor").tag(sync=True)
    _document = traitlets.Dict().tag(sync=True)
    _requests = messages.REQUESTS
    _painter: MaskPainter | None = None

    def __init__(
        self,
        graph: Graph,
        invoker: Invoker | None = None,
        *,
        read_only: str = "",
        max_iterations: int = MAX_ITERATIONS,
        autosave: Autosave | None = None,
        open_graph: OpenGraph | None = None,
    ) -> None:
        self._invoker, self._max_iterations = invoker, max_iterations
        self.autosave = autosave
        self._open_graph = open_graph
        self._marks: dict[str, Any] = {"nodes": {}, "text": ""}
        self._sent_types: Mapping[str, NodeClass] = {}
        self._outer: list[tuple[GraphDocument, str]] = []
        self._feed = None
        self._reasons = Reasons(invoker.services) if invoker is not None else None
        self._open(GraphDocument(graph, read_only))
        super().__init__(_document=self._snapshot())
        self._static = StaticFallback(self._id, lambda: self.show().mimebundle(), DRAWN_AFTER, DRAWN_WITHIN)
        endings: list[Callable[[], object]] = [self._static.close]
        self._endings = endings
        if invoker is not None:
            self._picture_answers = PictureAnswers(invoker.services)
            self._feed = RunFeed(invoker.services, graph.id, self._post, self._ran)
            endings.append(self._feed.close)
        if autosave is not None:
            autosave.acquire()
            endings.append(autosave.release)
            endings.append(autosave.on_state.add(lambda _: self._post({"type": "saved", **autosave.state()})))
        shell: Any = get_ipython()
        if shell is not None:
            shell.events.register("post_run_cell", self._after_cell)
            endings.append(lambda: self._stop_hearing_cells(shell.events))

    @property
    def graph(self) -> Graph:
        """The graph of the canvas; while a library graph is open on it, the graph around that."""
        return (self._outer[0][0] if self._outer else self._document_now).graph

    @property
    def document(self) -> GraphDocument:
        """The document on the canvas: revision, state, undo and redo."""
        return self._document_now

    @property
    def name(self) -> str:
        """The name of the document; empty if the drawing is not saved."""
        return "" if self.autosave is None else self.autosave.name

    def whole_graph(self) -> Graph:
        """Return the graph with the library graphs that are open on the canvas put back into it."""
        inner = self._document_now
        graph, is_changed = inner.graph, bool(inner.revision)
        for document, node_id in reversed(self._outer):
            with document.lock:
                around = document.graph
                if is_changed and not document.read_only:
                    around = around.copy()
                    try:
                        apply_changes(around, replaced_library(around, node_id, graph))
                    except GraphError:
                        # What is inside does not fit at the moment: an output that is used outside was deleted. The
                        # canvas says so when the library graph is closed; the graph around it can be saved.
                        around = document.graph
            graph, is_changed = around, is_changed or bool(document.revision)
        return graph

    def refresh(self) -> None:
        """Show edits made in Python now."""
        self._document_now.refresh()

    def mark(self, nodes: Mapping[str, Literal["added", "changed"]], text: str = "") -> None:
        """Mark nodes in two colours, by id, with a line of text above the canvas; no nodes and no text end it."""
        self._marks = {"nodes": dict(nodes), "text": text}
        if self._has_pages:
            self._send_everything(0, True)

    def undo(self) -> bool:
        """Undo the last step, of either author; return False if there is none."""
        return self._document_now.undo()

    def redo(self) -> bool:
        """Redo the last step that was undone; return False if there is none."""
        return self._document_now.redo()

    def show(self) -> GraphDrawing:
        """Return the graph as a drawing, which needs no front end."""
        return self.graph.show()

    def close(self) -> None:
        """Save the drawing and unsubscribe from everything."""
        if self._painter is not None:
            self._painter.close()
        super().close()

    def _stop_hearing_cells(self, events: Any) -> None:
        with suppress(ValueError):
            events.unregister("post_run_cell", self._after_cell)

    def __repr__(self) -> str:
        return f"GraphEditor({self.graph!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = self.page_bundle()
        return {**data, **self.show().mimebundle()}, metadata

    def _ipython_display_(self) -> None:
        if not is_in_notebook():
            raise NotImplementedError
        view, metadata = self.page_bundle()
        put_out({**view, "text/plain": repr(self)}, metadata)
        self._static.show()

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> Any:
        """Return the widget's state with the present document, for a page that opens later."""
        self._trait_values["_document"] = self._snapshot()
        own: Any = super()  # ipywidgets is not annotated
        return own.get_state(key, drop_defaults)

    def _open(self, document: GraphDocument) -> None:
        self._document_now, self._shown = document, ShownDocument(document)
        # By then another document may be on the canvas: a library graph was opened or closed.
        document.on_update(lambda update: self._on_update(update) if document is self._document_now else None)

    def _snapshot(self) -> dict[str, Any]:
        saved = None if self.autosave is None else self.autosave.state()
        return {**self._shown.snapshot(self._path()), "saved": saved}

    def _on_update(self, update: Update) -> None:
        self._static.changed()
        if self.autosave is not None:
            self.autosave.changed(self.whole_graph)
        patch = self._shown.patch(update)
        if self._has_pages:
            self._post(patch)
        else:
            # No page has asked for anything yet: the first one reads the state of the widget.
            own: Any = self
            own.send_state("_document")

    def _path(self) -> list[str]:
        return [node_id for _, node_id in self._outer]

    def _send_everything(self, request: int, is_known: bool = False) -> None:
        """Send the page everything, without the document if it has this revision already."""
        if not is_known:
            self._shown.renew()
        if self._reasons is not None:
            self._reasons.forget()
        manager = self._invoker.services.model_manager if self._invoker else None
        self._sent_types = dict(registry())
        content = {
            "type": "document",
            "request": request,
            "document": None if is_known else self._snapshot(),
            "types": to_page(node_types()),
            "assignable": type_table(),
            "models": manager.names() if manager else [],
            "templates": templates(self._invoker.services) if self._invoker else [],
            "canRun": self._invoker is not None,
            "marks": self._marks,
            "saved": None if self.autosave is None else self.autosave.state(),
        }
        self._post(content)
        if self._feed is not None:
            self._post(*self._feed.message())

    def _refusal(self, error: Exception) -> dict[str, Any]:
        refusal = super()._refusal(error)
        if isinstance(error, StaleRevisionError):
            refusal["stale"] = True
        if isinstance(error, GraphError):
            refusal["problems"] = [problem_to_json(problem) for problem in error.problems]
        return refusal

    def _answer(self, request: messages.AnyRequest, buffers: list[Any]) -> Answer | None:
        if isinstance(request, messages.Ready):
            self._document_now.refresh()
            is_known = (request.revision, request.path) == (self._document_now.revision, self._path())
            self._send_everything(request.request, is_known)
            return None
        if isinstance(request, messages.UploadRequest | messages.PicturesRequest):
            return answer_pictures(self._need_invoker().services.images, request, buffers)
        if isinstance(request, messages.AboutPictures):
            return self._answer_picture(request)
        if isinstance(request, messages.PaintRequest):
            self._painter = painter_on(self._need_invoker().services, request, self._painter)
            return {"type": "paint", "model": self._painter.model_id}, []
        if isinstance(request, messages.FileRequest):
            return answer_file(self._need_invoker().services, request.name, buffers), []
        if isinstance(request, messages.ExplainRequest):
            return self._explain()
        if isinstance(request, messages.ModelsRequest):
            return {"type": "models", "models": model_files(self._need_invoker().services)}, []
        if isinstance(request, messages.CodeRequest):
            return answer_code(self._document_now, request.text, request.base), []
        done = self._act(request) or {}
        return {"type": "done", "revision": self._document_now.revision, **done}, []

    def _act(self, request: messages.AnyRequest) -> dict[str, Any] | None:
        """Perform a request; return the entries of the answer besides the revision."""
        document = self._document_now
        if isinstance(request, messages.EditRequest):
            self._edit(request)
        elif isinstance(request, messages.HistoryRequest):
            document.undo() if request.type == "undo" else document.redo()
        elif isinstance(request, messages.RunRequest):
            return {"session": self._run(request.targets, request.front)}
        elif isinstance(request, messages.CancelRequest):
            self._cancel()
        elif isinstance(request, messages.ExportRequest):
            return {"text": self._export(request.form)}
        elif isinstance(request, messages.CollapseRequest):
            document.refresh()
            document.edit(collapse_changes(document.graph, request.ids, request.name))
        elif isinstance(request, messages.NodeRequest):
            self._library(request)
        elif isinstance(request, messages.CloseRequest):
            self._leave()
        elif isinstance(request, messages.DrawRequest):
            self._static.draw_now()
        return None

    def _edit(self, request: messages.EditRequest) -> None:
        changes = read_changes(request.changes)
        if any(change.kind == "unknown" and change.value is not GONE for change in changes):
            raise ValueError("a node of an unknown type can be deleted, not created")
        self._document_now.edit(changes, request.base, "canvas", request.group)

    def _need_invoker(self) -> Invoker:
        if self._invoker is None:
            raise NbgraphError("this editor has no studio to run in; make it with studio.edit(graph)")
        return self._invoker

    def _session(self, targets: list[str] | None = None) -> GraphExecutionState:
        self._need_invoker()
        # One lock for looking and copying: a cell may edit the graph meanwhile.
        with self._document_now.lock:
            self._document_now.refresh()
            if unknown := self._document_now.unknown_types():
                raise GraphError(unknown)
            graph = running_graph(self.graph)
            gone = [target for target in targets or () if target not in graph.nodes]
            if gone:
                raise GraphError([Problem("muted", "is muted, or depends on a muted node; it does not run", gone[0])])
            return GraphExecutionState(graph, targets=targets, max_iterations=self._max_iterations)

    def _run(self, targets: list[str] | None, front: bool) -> str:
        session = self._session(targets)
        self._need_invoker().invoke(session, prepend=front)
        return session.id

    def _cancel(self) -> None:
        if self._feed is not None and self._feed.session_id:
            self._need_invoker().cancel(self._feed.session_id)

    def _explain(self) -> Answer:
        """Answer why nodes would run, with the pictures of those that are cached and were not run on this canvas."""
        content: dict[str, Any] = {"type": "done", "revision": self._document_now.revision, "reasons": {}}
        if self._reasons is None:
            return content, []
        # It is asked after every edit: a large graph would make typing wait.
        cannot = len(self.graph) > MAX_EXPLAINED or self._outer or self._document_now.unknown_types()
        session = None if cannot else self._session()
        session = None if session is None or session.graph.problems() else session
        reasons, expected = self._reasons.changes(session), self._reasons.expected(session)
        cached, pictures = ({}, []) if session is None or self._feed is None else self._feed.show_cached(session)
        return {**content, "reasons": reasons, "expected": expected, "cached": cached}, pictures

    def _answer_picture(self, request: messages.AboutPictures) -> Answer:
        services = self._need_invoker().services
        if isinstance(request, messages.StarRequest):
            return self._picture_answers.star(request.names, request.starred)
        if isinstance(request, messages.CompareRequest):
            return self._picture_answers.compared(request.names)
        if request.type == "picture":
            return self._picture_answers.opened(request.name)
        if self._open_graph is None:
            raise NbgraphError("this editor has no studio to open canvases; make it with studio.edit(graph)")
        graph = graph_of_record(services, services.images.record(request.name))
        return {"type": "canvas", "model": self._open_graph(graph)}, []

    def _ran(self) -> None:
        self._post({"type": "ran"})
        if self.autosave is not None and self._feed is not None and self._feed.pictures:
            self.autosave.set_picture(list(self._feed.pictures.values())[-1])

    def _after_cell(self, _: Any = None) -> None:
        self._document_now.refresh()
        if self._sent_types and dict(registry()) != self._sent_types:
            self._sent_types = dict(registry())
            self._post({"type": "types", "types": to_page(node_types()), "assignable": type_table()})

    def _export(self, form: str) -> str:
        if form == "python":
            return self.graph.to_python()
        if form == "json":
            return self.graph.to_json(2)
        return " | ".join(graph_lines(self.graph, Catalogue(commands=COMMAND_NAMES)))

    def _library(self, request: messages.NodeRequest) -> None:
        document = self._document_now
        document.refresh()
        if request.type == "expand":
            document.edit(expand_changes(document.graph, request.id))
            return
        library: LibraryGraph | None = getattr(document.graph[request.id], "library", None)
        if library is None:
            raise GraphError([Problem("no_library", "is no library graph; it cannot be opened", request.id)])
        self._outer.append((document, request.id))
        self._open(GraphDocument(LibraryGraph.from_dict(library.to_dict()).graph, document.read_only))
        self._send_everything(request.request)

    def _leave(self) -> None:
        if not self._outer:
            return
        inner = self._document_now
        document, node_id = self._outer[-1]
        if inner.revision and not document.read_only:
            document.edit(replaced_library(document.graph, node_id, inner.graph))
        self._outer.pop()
        self._document_now, self._shown = document, ShownDocument(document)
        self._send_everything(0)
