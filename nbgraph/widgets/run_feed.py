"""The runs of the graph on a canvas: states and pictures by node, sent in at most twenty batches a second.

A `ProgressTracker` counts the events, as it does for a progress bar and a run view. The feed adds what only a canvas
shows: which node of the canvas a node inside a library graph belongs to, the last seed and image of each, previews.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from threading import RLock
from time import monotonic
from typing import Any

from nbgraph.errors import NotFoundError, with_place
from nbgraph.invocations.fields import ImageField, resources_in
from nbgraph.progress import NodeTally, ProgressTracker
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
from nbgraph.widgets.run_state import LIVE, node_status
from nbgraph.widgets.throttle import Throttle

logger = logging.getLogger("nbgraph")

BATCH_SECONDS = 0.05
PREVIEW_SECONDS = 0.2
PREVIEW_SIZE = 192
Send = Callable[[dict[str, Any], list[bytes]], None]
OfNode = NodeStarted | NodeProgress | NodeCompleted | NodeFailed | NodeWarned


@dataclass(frozen=True)
class NodeRun:
    """The state of a node on the canvas; `runs` counts its prepared nodes that are done, `seconds` adds them up.

    `seed` is the seed it gave last, in digits, because a page rounds large numbers; `image` names its last image.
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
    """Listens to the sessions of one graph, whoever submitted them, and sends their state to the canvas.

    `states` is the whole state of the last session, for a page that comes later. `on_end()` is called when a session
    of this graph has ended.
    """

    def __init__(self, services: InvocationServices, graph_id: str, send: Send, on_end: Callable[[], None]) -> None:
        self.graph_id, self.session_id = graph_id, ""
        self.pictures: dict[str, bytes] = {}
        self._services, self._send, self._on_end = services, send, on_end
        self._tracker = ProgressTracker("")
        self._sources: dict[str, set[str]] = {}
        self._given: dict[str, tuple[str, str]] = {}
        self._cached: dict[str, NodeRun] = {}
        self._on_canvas: Collection[str] = ()
        self._dirty: set[str] = set()
        self._fresh: set[str] = set()
        self._previewed = 0.0
        self._batches = Throttle(self._flush, quiet=0.0, every=BATCH_SECONDS)
        self._lock = RLock()
        self.close = services.events.subscribe(self)

    def __call__(self, event: Event) -> None:
        """Take an event of any session; those of other graphs are ignored."""
        with self._lock:
            if isinstance(event, SessionStarted):
                self._begin(event)
            elif self.session_id and event.session_id == self.session_id:
                self._take(event)

    @property
    def status(self) -> str:
        """The status of the last session; empty before the first."""
        return self._tracker.progress.status if self.session_id else ""

    @property
    def states(self) -> dict[str, NodeRun]:
        """The states of all nodes of the last session."""
        with self._lock:
            return self._states(self._known())

    def message(
        self, nodes: set[str] | None = None, pictures: set[str] | None = None
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Return the message and its buffers for these nodes and pictures, or for all."""
        with self._lock:
            shown = self._known() if nodes is None else [node for node in self._known() if node in nodes]
            names = [node for node in (self.pictures if pictures is None else pictures) if node in self.pictures]
            content = {
                "type": "run",
                "session": self.session_id,
                "status": self.status,
                "waitsFor": self._tracker.waits_for,
                "waiting": sum(item.status == "pending" for item in self._services.queue.rows()),
                "nodes": {node: asdict(state) for node, state in self._states(shown).items()},
                "pictures": names,
                "whole": nodes is None,
            }
            return content, [self.pictures[node] for node in names]

    def show_cached(self, session: GraphExecutionState) -> tuple[dict[str, Any], list[bytes]]:
        """Show the images in the cached outputs of a session that `explain` has walked as results of its nodes.

        Returns
        -------
        (states, images)
            Of the nodes whose image the canvas does not show yet. There are none during a run, whose own results are
            shown.
        """
        found: dict[str, Any] = {}
        with self._lock:
            known = self.states
            for node in session.graph.nodes if self.status != "running" else ():
                outputs = list(session.outputs_of(node).values())
                name = self._last_image(outputs[-1]) if outputs else ""
                if name and (node not in known or name != known[node].image):
                    self._cached[node] = NodeRun("cached", runs=1, cached=1, image=name)
                    self.pictures[node] = thumbnail(self._services.images.get(name))
                    found[node] = asdict(self._cached[node])
            return found, [self.pictures[node] for node in found]

    def _known(self) -> dict[str, Any]:
        """The nodes that have a state, as keys: those of the last session, and those with a cached image."""
        return {**self._sources, **self._cached}

    def _last_image(self, output: Any) -> str:
        """Return the name of the last image in an output; empty if there is none, or it is gone."""
        names = [field.image_name for field in resources_in(output) if isinstance(field, ImageField)]
        return names[-1] if names and self._services.images.exists(names[-1]) else ""

    def _begin(self, event: SessionStarted) -> None:
        try:
            session = self._services.graph_execution_manager.get(event.session_id)
        except NotFoundError:  # deleted meanwhile
            return
        if session.graph.id != self.graph_id:
            return
        self.session_id, self._tracker = event.session_id, ProgressTracker(event.session_id)
        self._tracker(event)
        self._on_canvas, self._sources, self._given, self._cached = set(session.graph.nodes), {}, {}, {}
        # Nodes that wait have sent no event, and are shown as waiting from the first message on.
        for planned in session.plan.nodes:
            self._shown(planned.id)
        self._send(*self.message(None, set()))

    def _take(self, event: Event) -> None:
        self._tracker(event)
        if isinstance(event, SessionFinished):
            self._dirty = set(self._sources)
            self._flush()
            self._on_end()
        elif isinstance(event, SessionWaits):
            self._send(*self.message(set(), set()))
        elif isinstance(event, OfNode):
            has_source = not isinstance(event, NodeProgress | NodeWarned)
            node = self._shown(event.source if has_source else self._tracker.source_of(event.node))
            if isinstance(event, NodeProgress):
                self._preview(node, event.preview)
            elif isinstance(event, NodeCompleted):
                self._result(node, event.output)
            self._dirty.add(node)
            self._batches()

    def _shown(self, source: str) -> str:
        """Return the node on the canvas that shows a source node: `picture` for `picture.noise` of a library graph."""
        node = source
        while node not in self._on_canvas and "." in node:
            node = node.rpartition(".")[0]
        self._sources.setdefault(node, set()).add(source)
        return node

    def _states(self, nodes: Iterable[str]) -> dict[str, NodeRun]:
        # Counted once for all of them: the tracker reads the log of the run whenever it is asked.
        tallies, is_live = self._tracker.nodes, self.status in LIVE
        return {node: self._cached.get(node) or self._state(node, tallies, is_live) for node in nodes}

    def _state(self, node: str, tallies: Mapping[str, NodeTally], is_live: bool) -> NodeRun:
        tracker, sources = self._tracker, self._sources[node]
        tally = _sum_of([tallies[source] for source in sources if source in tallies])
        status = node_status(tally, tally.runs, tracker, sources, is_live=is_live)
        step, steps = (tracker.step, tracker.steps) if status == "running" else (0, 0)
        seed, image = self._given.get(node, ("", ""))
        error = with_place(tally.error, tally.place)
        counts = tally.runs, tally.cached, tally.seconds
        return NodeRun(status, step, steps, *counts, error, tally.warning, seed, image)

    def _preview(self, node: str, preview: Any) -> None:
        if preview is None or monotonic() - self._previewed < PREVIEW_SECONDS:
            return
        self._previewed = monotonic()
        try:
            image: Any = preview() if callable(preview) else preview
            self.pictures[node] = thumbnail(image, PREVIEW_SIZE)
        except Exception:  # from code of a node or a model; the run goes on, and is shown without the preview
            logger.exception("a preview could not be drawn")
            return
        self._fresh.add(node)

    def _result(self, node: str, output: Any) -> None:
        seed, image = getattr(output, "seed", None), self._given.get(node, ("", ""))[1]
        if name := self._last_image(output):
            image = name
            self.pictures[node] = thumbnail(self._services.images.get(image))
            self._fresh.add(node)
        self._given[node] = str(seed) if isinstance(seed, int) else "", image

    def _flush(self) -> None:
        with self._lock:
            dirty, fresh, self._dirty, self._fresh = self._dirty, self._fresh, set(), set()
            if dirty or fresh:
                self._send(*self.message(dirty, fresh))


def _sum_of(tallies: list[NodeTally]) -> NodeTally:
    """Return one tally for several source nodes, with the last error and warning among them."""
    found = NodeTally()
    for tally in tallies:
        found.runs += tally.runs
        found.cached += tally.cached
        found.seconds += tally.seconds
        found.warning = tally.warning or found.warning
        if tally.error:
            found.error, found.place = tally.error, tally.place
    return found
