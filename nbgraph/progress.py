"""How far a run is: a snapshot published by one assignment, shown as text or in a notebook's output area."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from time import monotonic
from typing import Any, Literal

from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle

from nbgraph.services.events.events_base import EventServiceBase
from nbgraph.services.events.events_common import (
    Event,
    NodeCompleted,
    NodeProgress,
    NodeStarted,
    SessionFinished,
    SessionStarted,
)

ProgressStyle = bool | Literal["text"] | Callable[["Progress"], None]
UPDATE_SECONDS = 0.25
BAR = 24


@dataclass(frozen=True, slots=True)
class Progress:
    """Nodes done (and of those from the cache) of `total` source nodes, and the step of the node that runs."""

    status: str = "pending"
    done: int = 0
    cached: int = 0
    total: int = 0
    node: str = ""
    step: int = 0
    steps: int = 0
    seconds: float = 0.0

    @property
    def fraction(self) -> float:
        """How much is done, from 0 to 1; nodes count alike, whatever they take."""
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
        return f"[{bar}] {self.done} done{cached}, {self.seconds:.1f} s {self.status}{where}{steps}"

    def _repr_html_(self) -> str:
        return (
            f'<progress value="{self.fraction:.3f}" max="1" style="width:16em;vertical-align:middle"></progress> '
            f"{escape(str(self).partition('] ')[2])}"
        )


class ProgressTracker:
    """Listens to the events of one session, counts, and gives a `Progress` when asked."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._began = self._seen = monotonic()
        self._status, self._node = "pending", ""
        self._done = self._cached = self._total = self._step = self._steps = 0
        self._end: Callable[[], None] | None = None

    def listen(self, events: EventServiceBase) -> None:
        """Listen until the session has ended."""
        self._end = events.subscribe(self)

    def close(self) -> None:
        """Listen no longer."""
        if self._end is not None:
            self._end()

    @property
    def progress(self) -> Progress:
        """How far the session is now."""
        now = self._seen if self._status not in ("pending", "running") else monotonic()
        return Progress(
            self._status, self._done, self._cached, self._total, self._node, self._step, self._steps, now - self._began
        )

    def __call__(self, event: Event) -> None:
        if event.session_id != self._session_id:
            return
        kind = event.__class__
        if kind is NodeStarted:
            self._node, self._step, self._steps = event.node, 0, 0  # type: ignore[attr-defined]
        elif kind is NodeCompleted:
            self._done += 1
            self._cached += event.cached  # type: ignore[attr-defined]
        elif isinstance(event, NodeProgress):
            self._step, self._steps = event.step, event.total
        elif isinstance(event, SessionStarted):
            self._began = monotonic()
            self._status, self._total = "running", event.total
        elif isinstance(event, SessionFinished):
            self._seen = monotonic()
            self._status, self._node, self._step, self._steps = event.status, "", 0, 0
            self.close()


def progress_display(style: ProgressStyle) -> Callable[[Progress], None]:
    """What shows progress: in a notebook one display that is updated, in a terminal one line on stderr."""
    if callable(style):
        return style
    if not style:
        return lambda progress: None
    shell: Any = get_ipython()
    if style != "text" and shell is not None and hasattr(shell, "kernel"):
        return _NotebookProgress()
    return _text_progress


class _NotebookProgress:
    def __init__(self) -> None:
        self._handle = DisplayHandle()
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
