"""New things made from a run that a cell shows: its graph on a canvas, a picture as input, another seed, its code.

The run itself stays HTML, so that a saved notebook needs no widget for each run. One `RunRemix` for each studio, which
has no view, puts buttons into the places that `run_static.remix_place` leaves in it; without a kernel they stay empty.
"""

from typing import Any, Literal

import traitlets
from pydantic import TypeAdapter

from nbgraph.errors import NbgraphError
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.remix import Remix, graph_of_session, seeds_of
from nbgraph.widgets.rpc import Answer, Name, Request, RpcWidget
from nbgraph.widgets.run_state import pictures_of
from nbgraph.widgets.run_view import RunView, following_view


class AskRun(Request):
    """`offers` lists what can be made of a run; `canvas`, `input` and `again` make it."""

    type: Literal["offers", "canvas", "input", "again"]
    run: Name


class RunRemix(RpcWidget):
    """Makes new things from the runs of a studio. `remix` opens canvases and submits graphs."""

    _widget = traitlets.Unicode("run_remix").tag(sync=True)
    _starts = traitlets.Bool(True).tag(sync=True)
    """Its page side works without a view, as soon as the page knows the widget."""
    _requests = TypeAdapter(AskRun)

    def __init__(self, remix: Remix) -> None:
        self._remix = remix
        self._views: dict[str, RunView] = {}
        super().__init__()

    def _answer(self, request: AskRun, buffers: list[Any]) -> Answer:
        services = self._remix.services
        session = services.graph_execution_manager.get(request.run)
        pictures = pictures_of(session, services)
        graph = self._graph(session, pictures)
        if request.type == "offers":
            ways = ["canvas"]
            ways += ["input"] if len(pictures) == 1 else []
            ways += ["again"] if seeds_of(graph) else []
            return {"type": "offers", "ways": ways, "python": graph.to_python()}, []
        if request.type == "again":
            return {"type": "run", "model": self._run_again(request.run, graph)}, []
        if request.type == "input":
            if len(pictures) != 1:
                raise NbgraphError("only of a run that gave one picture can the picture be an input; see studio.images")
            record = services.images.record(pictures[0])
            return {"type": "canvas", "model": self._remix.as_input(record)}, []
        return {"type": "canvas", "model": self._remix.open_graph(graph)}, []

    def _graph(self, session: GraphExecutionState, pictures: list[str]) -> Graph:
        """Return the graph of a run with the seeds that were drawn; of a single picture no more than it needed."""
        images = self._remix.services.images
        return self._remix.graph_of(images.record(pictures[0])) if len(pictures) == 1 else graph_of_session(session)

    def _run_again(self, run_id: str, graph: Graph) -> str:
        """Run a graph with other seeds, and return the model id of the view that replaces the one before."""
        if shown := self._views.pop(run_id, None):
            shown.close()
        self._views[run_id] = view = following_view(self._remix.again(graph), remix=self.model_id)
        return str(view.model_id)
