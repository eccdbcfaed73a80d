"""What happened in a session on a worker, in batches for the head.

A small batch is sent unasked. Of a large one the head hears that it waits, and fetches it when it has time: so a worker
that is quicker than the head sends fewer and larger batches. A batch is kept until the head has asked beyond it, or has
the end of the session: one that a broken connection lost is asked for again.
"""

import sys
from collections import deque
from collections.abc import Callable
from io import BytesIO
from threading import Lock
from time import monotonic
from typing import TypeVar, cast

from msgspec import structs
from PIL.Image import Image
from pydantic_core import PydanticSerializationError

from nbgraph.invocations.fields import resources_in
from nbgraph.services.events.events_common import (
    Event,
    ModelLoaded,
    NodeCompleted,
    NodeFailed,
    NodeProgress,
    NodeStarted,
    NodeWarned,
    RunLog,
    SessionStarted,
    SessionWaits,
)
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.invocation_cache.portable_entries import entry_to_wire
from nbgraph.services.invocation_processor.cluster_messages import EventRow, MailBatch, OutputRow, ResourceName
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.plan import Path

PREVIEW_SECONDS = 0.5
"""A preview has to be drawn and sent, where in one process it is only drawn if somebody looks."""
MOST_RESULTS = 5_000
T = TypeVar("T")


class Outbox:
    """Collects what the head does not know yet of one session.

    Parameters
    ----------
    session
        The session that runs here.
    zero
        The time, in seconds since 1970, at which `perf_counter()` was 0 here.
    notify
        Called when something waits, on the thread that runs the session; it must return at once.
    """

    def __init__(self, session: GraphExecutionState, zero: float, notify: Callable[[], None]) -> None:
        self.unsendable = ""
        """Why a result cannot be sent; the session has to end then."""
        self.failed: list[tuple[str, Path]] = []
        """Source nodes and paths of what failed."""
        self.named: set[str] = set()
        """Images and tensors that results name."""
        self.made: set[str] = set()
        """Those among them that nodes have made, or passed on, here."""
        self._session, self._zero, self._notify = session, zero, notify
        self._batches: list[MailBatch] = []
        self._number = self._posted = 0
        # a thread that cuts a batch takes from the left while the one that runs the session appends
        self._completed: deque[tuple[NodeCompleted, list[ResourceName]]] = deque()
        self._events: deque[Event] = deque()
        self._started: NodeStarted | None = None
        self._progress: NodeProgress | None = None
        self._entries: deque[CacheEntry] = deque()
        self._log = RunLog()
        self._rows = self._seeds = 0
        self._previewed = 0.0
        self._lock = Lock()

    def __call__(self, event: Event) -> None:
        """Take an event of the services on this worker, on the thread that runs the session."""
        if event.session_id != self._session.id:
            return
        if isinstance(event, SessionStarted):
            self._log = event.log
        elif isinstance(event, NodeCompleted):
            resources = [(field.kind, field.resource_name) for field in resources_in(event.output)]
            self.named.update(name for _, name in resources)
            if not event.cached:
                self.made.update(name for _, name in resources)
            self._completed.append((event, resources))
        elif isinstance(event, NodeStarted):
            self._started = event
        elif isinstance(event, NodeProgress):
            self._progress = self._with_preview(event)
        elif isinstance(event, NodeFailed | NodeWarned | SessionWaits | ModelLoaded):
            self._events.append(event)
            if isinstance(event, NodeFailed):
                self.failed.append((event.source, path_of(event.node, event.source)))
        self._notify()

    def add_entries(self, entries: list[CacheEntry]) -> None:
        """Take cached results that the head has to store."""
        self._entries += entries

    def take(self, seen: int) -> list[MailBatch]:
        """Return all batches after number `seen`; those before it are forgotten. Any thread may call this."""
        with self._lock:
            self._batches = [batch for batch in self._batches if batch["number"] > seen]
            if (batch := self._cut()) is not None:
                self._batches.append(batch)
            return list(self._batches)

    def unsent(self) -> list[MailBatch]:
        """Return the batches that `mark_sent` was not told of."""
        return [batch for batch in self.take(0) if batch["number"] > self._posted]

    def rest(self) -> list[MailBatch]:
        """Return what `unsent` does when nothing is added any more, which may be more than one batch."""
        with self._lock:
            while (batch := self._cut()) is not None:
                self._batches.append(batch)
            return [batch for batch in self._batches if batch["number"] > self._posted]

    def mark_sent(self, batches: list[MailBatch]) -> None:
        """Note that batches were sent unasked."""
        self._posted = max([self._posted, *(batch["number"] for batch in batches)])

    def _cut(self) -> MailBatch | None:
        """Return a batch of what is new, None if nothing is."""
        completed, events, entries = _taken(self._completed, MOST_RESULTS), _taken(self._events), _taken(self._entries)
        progress, self._progress = self._progress, None
        # of quick nodes, which start and end between two batches, nobody needs to see the start
        started, self._started = self._started, None
        if started is not None and started.source == self._log.source:
            events.insert(0, started)
        log, end = self._log, len(self._log.rows)
        rows, self._rows = log.rows[self._rows : end], end
        seeds = list(self._session.seeds.items())
        drawn, self._seeds = seeds[self._seeds :], len(seeds)
        if not (completed or events or progress or entries or rows or drawn):
            return None
        self._number += 1
        place, nodes = self._session.keys.place, self._session.plan.nodes
        return MailBatch(
            number=self._number,
            outputs=[*filter(None, (self._output_row(event) for event, _ in completed))],
            seeds=[(nodes[rank].id, path, dict(values)) for key, values in drawn for rank, path in [place(key)]],
            rows=rows,
            zero=self._zero,
            entries=[*filter(None, map(entry_to_wire, entries))],
            resources=[each for _, resources in completed for each in resources],
            events=[_event_to_wire(each) for each in (*events, *([progress] if progress else []))],
            node=log.node,
            source=log.source,
        )

    def _output_row(self, event: NodeCompleted) -> OutputRow | None:
        try:
            values = event.output.model_dump(mode="json")
            return event.source, path_of(event.node, event.source), values, event.cached, event.seconds
        except (PydanticSerializationError, ValueError) as error:
            self.unsendable = self.unsendable or f"{event.node} ({event.type}): {str(error)[:200]}"
            return None

    def _with_preview(self, event: NodeProgress) -> NodeProgress:
        """Return the event with its preview as the bytes of a PNG, or without one if the last was just now."""
        preview, now = event.preview, monotonic()
        if preview is None or now - self._previewed < PREVIEW_SECONDS:
            known = self._progress
            held = known.preview if known is not None and known.node == event.node else None
            return structs.replace(event, preview=held)
        self._previewed = now
        file = BytesIO()
        image = cast(Image, preview() if callable(preview) else preview)
        image.save(file, "PNG", compress_level=1)
        return structs.replace(event, preview=file.getvalue())


def _taken(waiting: "deque[T]", most: int = sys.maxsize) -> "list[T]":
    return [waiting.popleft() for _ in range(min(most, len(waiting)))]


def path_of(prepared: str, source: str) -> Path:
    """Return the path in the id of a prepared node: (1, 0) of `denoise[1,0]`, a path of `denoise`."""
    inside = prepared[len(source) + 1 : -1]
    return tuple(map(int, inside.split(","))) if inside else ()


def _event_to_wire(event: Event) -> EventRow:
    return type(event).__name__, structs.asdict(event)
