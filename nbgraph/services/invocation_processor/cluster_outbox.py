"""What happened in a session on a worker, in batches that the head fetches.

The head is told that something waits, and fetches it when it has time: so a worker that is quicker than the head sends
fewer and larger batches, and nothing is lost when a message is. A batch is kept until the head asks for the next one;
what is left at the end comes with the result of the task.
"""

from collections.abc import Callable
from io import BytesIO
from threading import Lock
from time import monotonic
from typing import Any, TypedDict, cast

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
from nbgraph.services.invocation_stats.invocation_stats_common import Measured
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.plan import Path

PREVIEW_SECONDS = 0.5
"""A preview has to be drawn and sent, where in one process it is only drawn if somebody looks."""
MOST_RESULTS = 5_000
OutputRow = tuple[str, Path, dict[str, Any], bool, float]
"""Source node, path, the output as JSON has it, whether it came from the cache, seconds."""


class MailBatch(TypedDict):
    """One batch: what was added since the one before it, and which node runs now."""

    number: int
    outputs: list[OutputRow]
    seeds: list[tuple[str, Path, dict[str, int]]]
    rows: list[Measured]
    zero: float
    entries: list[dict[str, Any]]
    resources: list[tuple[str, str]]
    events: list[tuple[str, dict[str, Any]]]
    node: str
    source: str


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
        self.is_cancelled = False
        self.unsendable = ""
        """Why a result cannot be sent; the session is cancelled then."""
        self.failed: list[tuple[str, Path]] = []
        """Source nodes and paths of what failed."""
        self._session, self._zero, self._notify = session, zero, notify
        self._batches: list[MailBatch] = []
        self._number = 0
        self._completed: list[NodeCompleted] = []
        self._events: list[Event] = []
        self._started: NodeStarted | None = None
        self._progress: NodeProgress | None = None
        self._entries: list[CacheEntry] = []
        self._log = RunLog()
        self._rows = self._seeds = 0
        self._previewed = 0.0
        self._lock = Lock()

    def __call__(self, event: Event) -> None:
        """Take an event of the services on this worker, on the thread that runs the session."""
        if isinstance(event, SessionStarted):
            self._log = event.log
        elif isinstance(event, NodeCompleted):
            self._completed.append(event)
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

    def take_all(self) -> list[MailBatch]:
        """Return all batches that the head has not asked beyond; nothing is added any more."""
        with self._lock:
            while (batch := self._cut()) is not None:
                self._batches.append(batch)
            return list(self._batches)

    def _cut(self) -> MailBatch | None:
        """Return a batch of what is new, None if nothing is."""
        # fixed numbers first: the other thread goes on appending
        completed, self._completed = self._completed[:MOST_RESULTS], self._completed[MOST_RESULTS:]
        events, self._events = self._events, []
        progress, self._progress = self._progress, None
        # of quick nodes, which start and end between two batches, nobody needs to see the start
        started, self._started = self._started, None
        if started is not None and started.source == self._log.source:
            events.insert(0, started)
        entries, self._entries = self._entries, []
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
            outputs=[*filter(None, map(self._output_row, completed))],
            seeds=[(nodes[rank].id, path, dict(values)) for key, values in drawn for rank, path in [place(key)]],
            rows=rows,
            zero=self._zero,
            entries=[*filter(None, map(entry_to_wire, entries))],
            resources=[(field.kind, field.resource_name) for each in completed for field in resources_in(each.output)],
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
            self.is_cancelled = True
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


def path_of(prepared: str, source: str) -> Path:
    """Return the path in the id of a prepared node: (1, 0) of `denoise[1,0]`, a path of `denoise`."""
    inside = prepared[len(source) + 1 : -1]
    return tuple(map(int, inside.split(","))) if inside else ()


def _event_to_wire(event: Event) -> tuple[str, dict[str, Any]]:
    return type(event).__name__, structs.asdict(event)
