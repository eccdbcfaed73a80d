"""How far a run is: counted from its events, and shown as text or in the output of a cell."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from msgspec import Struct

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
    SessionFinished,
    SessionStarted,
    SessionWaits,
)

ProgressStyle = bool | Literal["text", "widget"] | Callable[["Progress"], None]
STYLES = (True, False, "text", "widget")
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


class ProgressTracker:
    """Counts the events of one session; `progress` returns a snapshot.

    `nodes` has a tally per source node that ran or failed. About the running node: `source` (empty while none runs),
    `step`, `steps`, `message`, `preview` (a small image, or a function that draws one) and `step_seconds`. `stopped_at`
    is the node that was running when the session was cancelled.
    """

    def __init__(self, session_id: str) -> None:
        self.nodes: dict[str, NodeTally] = {}
        self.source, self.stopped_at, self.message, self.preview = "", "", "", None
        self.step = self.steps = 0
        self.waits_for = ""
        self._session_id = session_id
        self._began = self._seen = monotonic()
        self._first_step, self._first_seen, self._last_seen = 0, 0.0, 0.0
        self._status, self._node = "pending", ""
        self._done = self._cached = self._total = 0
        self._end: Callable[[], None] | None = None

    def listen(self, events: EventServiceBase) -> None:
        """Subscribe to events until the session has ended."""
        self._end = events.subscribe(self)

    def close(self) -> None:
        """Unsubscribe."""
        if self._end is not None:
            self._end()

    @property
    def progress(self) -> Progress:
        """The current progress."""
        now = self._seen if self._status not in ("pending", "running") else monotonic()
        return Progress(
            self._status,
            self._done,
            self._cached,
            self._total,
            self._node,
            self.step,
            self.steps,
            now - self._began,
            self.waits_for,
        )

    @property
    def step_seconds(self) -> float | None:
        """What a step of the running node takes; None before its second one."""
        steps = self.step - self._first_step
        return (self._last_seen - self._first_seen) / steps if steps > 0 else None

    def __call__(self, event: Event) -> None:
        if event.session_id != self._session_id:
            return
        # The two frequent kinds come first and by identity: this runs twice for each node, on the worker's thread.
        if type(event) is NodeStarted:
            self._node, self.source, self.step, self.steps = event.node, event.source, 0, 0
        elif type(event) is NodeCompleted:
            self._count(event)
        elif isinstance(event, NodeProgress):
            self._step(event)
        elif isinstance(event, NodeFailed):
            tally = self._tally(event.source)
            tally.error, tally.place = event.error, event.place
            self.source = ""
            self._step_over()
        elif isinstance(event, NodeWarned):
            self._tally(self.source_of(event.node)).warning = event.message
        elif isinstance(event, SessionWaits):
            self.waits_for = event.message
        elif isinstance(event, SessionStarted):
            self._began = monotonic()
            self._status, self._total = "running", event.total
        elif isinstance(event, SessionFinished):
            self._seen = monotonic()
            self.waits_for = ""
            self.stopped_at = self.source if event.status == "cancelled" else ""
            self._status, self._node, self.source = event.status, "", ""
            self._step_over()
            self.close()

    def _count(self, event: NodeCompleted) -> None:
        tally = self.nodes.get(event.source) or self._tally(event.source)
        tally.runs += 1
        tally.seconds += event.seconds
        self._done += 1
        if event.cached:
            tally.cached += 1
            self._cached += 1
        self.source = ""
        if self.steps:
            self._step_over()

    def _tally(self, source: str) -> NodeTally:
        return self.nodes.setdefault(source, NodeTally())

    def source_of(self, node: str) -> str:
        """Return the source id of a prepared node: `denoise` of `denoise[1,0]`."""
        is_running = node == self.source or node.startswith(f"{self.source}[")
        return self.source if is_running else node.partition("[")[0]

    def _step(self, event: NodeProgress) -> None:
        if self.source_of(event.node) != self.source:  # it has ended, and something it started goes on
            return
        self._last_seen = monotonic()
        if not self.steps:
            self._first_step, self._first_seen = event.step, self._last_seen
        self.step, self.steps, self.preview, self.message = event.step, event.total, event.preview, event.message

    def _step_over(self) -> None:
        """Forget the steps of a node that has ended: its preview would keep tensors alive."""
        self.step, self.steps, self.preview, self.message = 0, 0, None, ""
        self._first_step = 0


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
    ended = progress.status not in ("pending", "running")
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{progress}" + ("\n" if ended else ""))
    elif ended:
        sys.stderr.write(f"{progress}\n")
    sys.stderr.flush()
