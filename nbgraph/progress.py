"""How far a run is: counted from its log and its events, and shown as text or in the output of a cell."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from types import MappingProxyType
from typing import Literal
from weakref import ref

from msgspec import Struct
from msgspec.structs import replace

from nbgraph.errors import ChoiceError
from nbgraph.html import element, joined
from nbgraph.loading import load
from nbgraph.notebook import is_in_notebook
from nbgraph.services.events.events_base import EventServiceBase
from nbgraph.services.events.events_common import (
    Event,
    NodeCompleted,
    NodeFailed,
    NodeProgress,
    NodeStarted,
    NodeWarned,
    RunLog,
    SessionFinished,
    SessionStarted,
    SessionWaits,
)
from nbgraph.services.invocation_stats.invocation_stats_common import COMPLETED
from nbgraph.services.shared.interrupts import defer_interrupt

ProgressStyle = bool | Literal["text", "widget"] | Callable[["Progress"], None]
STYLES = (True, False, "text", "widget")
LIVE = ("pending", "running")
UPDATE_SECONDS = 0.25
BAR = 24


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run at one moment: done nodes of `total` source nodes, and the step of the running node.

    `waits_for` names what the run is waiting for, such as `loading torch and diffusers ...`; usually empty.
    """

    status: str = "pending"
    done: int = 0
    cached: int = 0
    total: int = 0
    node: str = ""
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    waits_for: str = ""

    @property
    def fraction(self) -> float:
        """The share that is done, 0 to 1. Nodes count equally, however long they take."""
        if self.status == "completed":
            return 1.0
        within = self.step / self.steps if self.steps else 0.0
        return min(1.0, (self.done + within) / max(self.total, self.done + 1))

    def __str__(self) -> str:
        filled = round(self.fraction * BAR)
        where = f" {self.node}" if self.node else ""
        steps = f" {self.step}/{self.steps}" if self.steps else ""
        cached = f", {self.cached} cached" if self.cached else ""
        bar = "#" * filled + "-" * (BAR - filled)
        waits_for = f", {self.waits_for}" if self.waits_for else ""
        return f"[{bar}] {self.done} done{cached}, {self.seconds:.1f} s {self.status}{where}{steps}{waits_for}"

    def _repr_html_(self) -> str:
        bar = element("progress", value=f"{self.fraction:.3f}", max=1, style="width:16em;vertical-align:middle")
        return joined([bar, str(self).partition("] ")[2]], " ")


class NodeTally(Struct, gc=False):
    """Counts for one source node: executed prepared nodes, cached ones among them, seconds, the last error and warning.

    `place` is the line of a person's own code that failed, if any.
    """

    runs: int = 0
    cached: int = 0
    seconds: float = 0.0
    error: str = ""
    place: str = ""
    warning: str = ""


class Counted(Struct, frozen=True, gc=False):
    """What was counted of a log up to a row: prepared nodes that are done, cached ones among them, and by source node.

    It is never changed: a thread that counts on makes another one, so that none has to wait for another, or counts
    twice.
    """

    log: RunLog
    rows: int = 0
    done: int = 0
    cached: int = 0
    nodes: Mapping[str, NodeTally] = MappingProxyType({})

    def further(self) -> "Counted":
        """Return what is counted with the rows that came since."""
        end = len(self.log.rows)
        if end == self.rows:
            return self
        fresh: dict[str, NodeTally] = {}
        done, cached = self.done, self.cached
        for row in self.log.rows[self.rows : end]:
            if row.status != COMPLETED:
                continue
            tally = fresh.get(row.source)
            if tally is None:
                known = self.nodes.get(row.source)
                tally = fresh[row.source] = NodeTally() if known is None else replace(known)
            tally.runs += 1
            tally.seconds += row.seconds
            tally.cached += row.cached
            done, cached = done + 1, cached + row.cached
        return Counted(self.log, end, done, cached, {**self.nodes, **fresh})


class ProgressTracker:
    """Follows one session; `progress` returns a snapshot.

    Nodes are counted when somebody asks, from the log of the run: a run of a hundred thousand quick nodes pays nothing
    for them. Events say what is rare: steps, failures, warnings, the end.

    `nodes` has a tally per source node that ran or failed. About the running node: `source` (empty while none runs),
    `step`, `steps`, `message`, `preview` (a small image, or a function that draws one) and `step_seconds`. `stopped_at`
    is the node that was running when the session was cancelled.
    """

    def __init__(self, session_id: str) -> None:
        self.stopped_at, self.message, self.preview = "", "", None
        self.step = self.steps = 0
        self.waits_for = ""
        self.session_id = session_id
        self._began = self._seen = monotonic()
        self._first_step, self._first_seen, self._last_seen = 0, 0.0, 0.0
        self._status, self._total = "pending", 0
        self._counted = Counted(RunLog())
        self._failures: dict[str, NodeFailed] = {}
        self._warnings: dict[str, str] = {}
        self._end: Callable[[], None] | None = None

    def listen(self, events: EventServiceBase) -> None:
        """Subscribe to events until the session has ended."""
        self._end = events.subscribe(self, each_node=False)

    def close(self) -> None:
        """Unsubscribe."""
        if self._end is not None:
            self._end()

    @property
    def progress(self) -> Progress:
        """The current progress."""
        now = monotonic() if self._status in LIVE else self._seen
        counted = self._count()
        return Progress(
            self._status,
            counted.done,
            counted.cached,
            self._total,
            counted.log.node if self._status in LIVE else "",
            self.step,
            self.steps,
            now - self._began,
            self.waits_for,
        )

    @property
    def source(self) -> str:
        """The source node of the prepared node that runs; empty while none does."""
        return self._counted.log.source if self._status in LIVE else ""

    @property
    def nodes(self) -> Mapping[str, NodeTally]:
        """The tallies by source node, at this moment."""
        counted = self._count().nodes
        if not (self._failures or self._warnings):
            return counted
        nodes = dict(counted)
        for source, failed in list(self._failures.items()):
            nodes[source] = replace(nodes.get(source, NodeTally()), error=failed.error, place=failed.place)
        for source, warning in list(self._warnings.items()):
            nodes[source] = replace(nodes.get(source, NodeTally()), warning=warning)
        return nodes

    def _count(self) -> Counted:
        counted = self._counted = self._counted.further()
        return counted

    @property
    def step_seconds(self) -> float | None:
        """What a step of the running node takes; None before its second one."""
        steps = self.step - self._first_step
        return (self._last_seen - self._first_seen) / steps if steps > 0 else None

    def __call__(self, event: Event) -> None:
        if event.session_id != self.session_id:
            return
        if isinstance(event, NodeProgress):
            self._step(event)
        elif isinstance(event, NodeStarted | NodeCompleted):
            self._step_over()
        elif isinstance(event, NodeFailed):
            self._failures[event.source] = event
            self._step_over()
        elif isinstance(event, NodeWarned):
            self._warnings[self.source_of(event.node)] = event.message
        elif isinstance(event, SessionWaits):
            self.waits_for = event.message
        elif isinstance(event, SessionStarted):
            self._began = monotonic()
            self._counted = Counted(event.log)
            self._status, self._total = "running", event.total
        elif isinstance(event, SessionFinished):
            self._finish(event)

    def _finish(self, event: SessionFinished) -> None:
        self._seen = monotonic()
        self.waits_for = ""
        self.stopped_at = self.source if event.status == "cancelled" else ""
        self._status = event.status
        self._step_over()
        self.close()

    def source_of(self, node: str) -> str:
        """Return the source id of a prepared node: `denoise` of `denoise[1,0]`."""
        is_running = node == self.source or node.startswith(f"{self.source}[")
        return self.source if is_running else node.partition("[")[0]

    def _step(self, event: NodeProgress) -> None:
        if self.source_of(event.node) != self.source:  # it has ended, and something it started goes on
            return
        self._counted.log.reports_steps = True
        self._last_seen = monotonic()
        if not self.steps:
            self._first_step, self._first_seen = event.step, self._last_seen
        self.step, self.steps, self.preview, self.message = event.step, event.total, event.preview, event.message

    def _step_over(self) -> None:
        """Forget the steps of a node that has ended: its preview would keep tensors alive."""
        self.step, self.steps, self.preview, self.message = 0, 0, None, ""
        self._first_step = 0


class ProgressTrackers:
    """Follows many sessions with one listener: each event is given to the tracker of its session alone.

    With a listener for each of a thousand sessions, every event of one would be given to a thousand trackers. It
    listens as long as one of the sessions has not ended; a tracker that nobody holds is forgotten.

    Parameters
    ----------
    events
        The events of the sessions.
    """

    def __init__(self, events: EventServiceBase) -> None:
        self._events = events
        self._trackers: dict[str, tuple[ref[ProgressTracker], ...]] = {}
        self._lock = Lock()
        self._unsubscribe: Callable[[], None] | None = None

    def track(self, session_id: str) -> ProgressTracker:
        """Return a tracker of a session, which gets its events until it has ended."""
        tracker = ProgressTracker(session_id)
        with defer_interrupt(), self._lock:
            # a run that is to be resumed, and cannot be, is followed by another one still
            self._trackers[session_id] = (*self._trackers.get(session_id, ()), ref(tracker))
            if self._unsubscribe is None:
                self._unsubscribe = self._events.subscribe(self, each_node=False)
        return tracker

    def forget(self, *trackers: ProgressTracker) -> None:
        """Pass no more events to trackers, such as those of sessions that could not be queued."""
        with defer_interrupt(), self._lock:
            for tracker in trackers:
                known = self._trackers.get(tracker.session_id, ())
                self._keep(tracker.session_id, tuple(each for each in known if each() is not tracker))

    def _keep(self, session_id: str, trackers: tuple[ref[ProgressTracker], ...]) -> None:
        """Have a session followed by these trackers only; unsubscribe with the last session."""
        if trackers:
            self._trackers[session_id] = trackers
            return
        self._trackers.pop(session_id, None)
        if self._unsubscribe is not None and not self._trackers:
            self._unsubscribe()
            self._unsubscribe = None

    def __call__(self, event: Event) -> None:
        for each in self._trackers.get(event.session_id, ()):
            if (tracker := each()) is not None:
                tracker(event)
        if isinstance(event, SessionFinished):
            with defer_interrupt(), self._lock:
                self._keep(event.session_id, ())


def shows_view(style: ProgressStyle) -> bool:
    """Return whether a run shows itself as a widget: only where there is a front end."""
    return style in (True, "widget") and is_in_notebook()


def progress_display(style: ProgressStyle) -> Callable[[Progress], None]:
    """Return a function that shows progress: an updated output in a notebook, one line on stderr in a terminal.

    Raises
    ------
    ChoiceError
        `style` is none of the accepted styles.
    """
    if callable(style):
        return style
    if style not in STYLES:
        raise ChoiceError("progress", style, [*map(repr, STYLES), "a function of a Progress"])
    if not style:
        return lambda progress: None
    if style != "text" and is_in_notebook():
        return _NotebookProgress()
    return _text_progress


class _NotebookProgress:
    def __init__(self) -> None:
        self._handle = load("IPython.display").DisplayHandle()
        self._shown = False

    def __call__(self, progress: Progress) -> None:
        if self._shown:
            self._handle.update(progress)
        else:
            self._shown = True
            self._handle.display(progress)


def _text_progress(progress: Progress) -> None:
    ended = progress.status not in LIVE
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{progress}" + ("\n" if ended else ""))
    elif ended:
        sys.stderr.write(f"{progress}\n")
    sys.stderr.flush()
