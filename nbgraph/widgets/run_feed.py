"""What a canvas shows of the runs of its graph: states and pictures by node, in at most twenty batches a second."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import RLock
from time import monotonic
from typing import Any

from nbgraph.errors import NotFoundError, with_place
from nbgraph.invocations.fields import ImageField, resources_in
from nbgraph.services.events.events_common import (
    Event,
    NodeCompleted,
    NodeFailed,
    NodeProgress,
    NodeStarted,
    NodeWarned,
    SessionFinished,
    SessionStarted,
    SessionWaits,
)
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.widgets.pictures import thumbnail
from nbgraph.widgets.throttle import Throttle

logger = logging.getLogger("nbgraph")

BATCH_SECONDS = 0.05
PREVIEW_SECONDS = 0.2
PREVIEW_SIZE = 192
Send = Callable[[dict[str, Any], list[bytes]], None]


@dataclass
class NodeRun:
    """The state of a node of the source graph; `runs` counts its prepared nodes that are done, `seconds` adds up.

    `seed` is the seed it gave last, in digits, which a page could not take as a number; `image` names its last picture.
    """

    status: str
    step: int = 0
    steps: int = 0
    runs: int = 0
    cached: int = 0
    seconds: float = 0.0
    error: str = ""
    warning: str = ""
    seed: str = ""
    image: str = ""


class RunFeed:
    """Listens to the sessions of one graph, from any author, and sends their state to the canvas.

    `states` is always the whole truth of the last session, for a page that comes later. `on_end()` is called when a
    session of this graph has ended.
    """

    def __init__(self, services: InvocationServices, graph_id: str, send: Send, on_end: Callable[[], None]) -> None:
        self.graph_id = graph_id
        self.session_id, self.status, self.waits_for = "", "", ""
        self.states: dict[str, NodeRun] = {}
        self.pictures: dict[str, bytes] = {}
        self._services, self._send, self._on_end = services, send, on_end
        self._dirty: set[str] = set()
        self._fresh: set[str] = set()
        self._prepared: dict[str, str] = {}
        self._previewed = 0.0
        self._batches = Throttle(self._flush, quiet=0.0, every=BATCH_SECONDS)
        self._lock = RLock()
        self.close = services.events.subscribe(self)

    def __call__(self, event: Event) -> None:
        """Take an event of any session; those of other graphs are passed over."""
        with self._lock:
            if isinstance(event, SessionStarted):
                self._begin(event.session_id)
            elif self.session_id and event.session_id == self.session_id:
                self._take(event)

    def message(
        self, nodes: set[str] | None = None, pictures: set[str] | None = None
    ) -> tuple[dict[str, Any], list[bytes]]:
        """(message, buffers) for these nodes and pictures, or for all."""
        with self._lock:
            shown = self.states if nodes is None else {node: self.states[node] for node in nodes if node in self.states}
            names = [node for node in (self.pictures if pictures is None else pictures) if node in self.pictures]
            content = {
                "type": "run",
                "session": self.session_id,
                "status": self.status,
                "waitsFor": self.waits_for,
                "waiting": sum(item.status == "pending" for item in self._services.queue.rows()),
                "nodes": {node: asdict(state) for node, state in shown.items()},
                "pictures": names,
                "whole": nodes is None,
            }
            return content, [self.pictures[node] for node in names]

    def show_cached(self, session: GraphExecutionState) -> tuple[dict[str, Any], list[bytes]]:
        """Take the pictures in the cached outputs of a session that `explain` has walked as the results of its nodes.

        Return the states of those whose picture the canvas does not show yet, by node, and the pictures. While a run
        goes on there are none: what it gives is shown.
        """
        found: dict[str, Any] = {}
        with self._lock:
            for node in session.graph.nodes if self.status != "running" else ():
                outputs = list(session.outputs_of(node).values())
                name = self._last_picture(outputs[-1]) if outputs else ""
                state = self.states.get(node)
                if name and (state is None or name != state.image):
                    self.states[node] = NodeRun("cached", runs=1, cached=1, image=name)
                    self.pictures[node] = thumbnail(self._services.images.get(name))
                    found[node] = asdict(self.states[node])
            return found, [self.pictures[node] for node in found]

    def _last_picture(self, output: Any) -> str:
        """Return the name of the last picture in an output; empty where there is none, or it is gone."""
        names = [field.image_name for field in resources_in(output) if isinstance(field, ImageField)]
        return names[-1] if names and self._services.images.exists(names[-1]) else ""

    def _begin(self, session_id: str) -> None:
        try:
            session = self._services.graph_execution_manager.get(session_id)
        except NotFoundError:  # deleted meanwhile
            return
        if session.graph.id != self.graph_id:
            return
        self.session_id, self.status, self.waits_for = session_id, "running", ""
        self._prepared = {}
        self.states = {
            self._shown(planned.id, session.graph.nodes): NodeRun("waiting") for planned in session.plan.nodes
        }
        self._nodes = set(session.graph.nodes)
        self._send(*self.message(None, set()))

    def _take(self, event: Event) -> None:
        if isinstance(event, SessionFinished):
            self._finish(event.status)
            return
        if isinstance(event, SessionWaits):
            self.waits_for = event.message
            self._send(*self.message(set(), set()))
            return
        if not isinstance(event, NodeStarted | NodeProgress | NodeCompleted | NodeFailed | NodeWarned):
            return
        node = self._node_of(event)
        state = self.states.setdefault(node, NodeRun("waiting"))
        if isinstance(event, NodeStarted):
            state.status, state.step, state.steps = "running", 0, 0
        elif isinstance(event, NodeProgress):
            state.step, state.steps = event.step, event.total
            self._preview(node, event.preview)
        elif isinstance(event, NodeCompleted):
            state.runs, state.cached = state.runs + 1, state.cached + event.cached
            state.seconds += event.seconds
            state.status = "cached" if state.cached == state.runs else "done"
            self._result(node, state, event.output)
        elif isinstance(event, NodeFailed):
            state.status, state.error = "failed", with_place(event.error, event.place)
        else:
            state.warning = event.message
        self._dirty.add(node)
        self._batches()

    def _node_of(self, event: Any) -> str:
        source = getattr(event, "source", None) or self._prepared.get(event.node)
        if source is None:
            source = event.node.split("[")[0]
        self._prepared[event.node] = source
        return self._shown(source, self._nodes)

    @staticmethod
    def _shown(source: str, nodes: Any) -> str:
        """The node on the canvas: for `picture.noise`, inside a library graph, that is `picture`."""
        while source not in nodes and "." in source:
            source = source.rpartition(".")[0]
        return source

    def _finish(self, status: str) -> None:
        self.status, self.waits_for = status, ""
        for state in self.states.values():
            if state.status == "running":
                state.status = "cancelled" if status == "cancelled" else "failed"
            elif state.status == "waiting":
                state.status = "skipped"
        self._dirty = set(self.states)
        self._flush()
        self._on_end()

    def _preview(self, node: str, preview: Any) -> None:
        if preview is None or monotonic() - self._previewed < PREVIEW_SECONDS:
            return
        self._previewed = monotonic()
        try:
            image: Any = preview() if callable(preview) else preview
            self.pictures[node] = thumbnail(image, PREVIEW_SIZE)
        except Exception:  # of a node or a model; the run goes on, and is shown without it
            logger.exception("a preview could not be drawn")
            return
        self._fresh.add(node)

    def _result(self, node: str, state: NodeRun, output: Any) -> None:
        seed = getattr(output, "seed", None)
        state.seed = str(seed) if isinstance(seed, int) else ""
        if name := self._last_picture(output):
            state.image = name
            self.pictures[node] = thumbnail(self._services.images.get(name))
            self._fresh.add(node)

    def _flush(self) -> None:
        with self._lock:
            dirty, fresh, self._dirty, self._fresh = self._dirty, self._fresh, set(), set()
            if dirty or fresh:
                self._send(*self.message(dirty, fresh))
