"""The profile of one run by torch.profiler: which operators took how long in which node, and what they allocated.

A `RunProfiler` listens to the events of its session on the thread that runs it. Torch records that thread from the
start of the session to its end, and the time of each node is marked. So the run loop knows nothing of it, and a run
that is not profiled pays nothing. Threads that a node starts by itself are not recorded. What was recorded before a
failure or a cancel is kept like that of a whole run.

Torch records one session of a process at a time: a second run that is to be profiled meanwhile runs without, and says
so.
"""

import os
import threading
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import cached_property
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from nbgraph.errors import NbgraphError
from nbgraph.file_writing import write_file
from nbgraph.frames import MB, frame
from nbgraph.html import Html, element, joined, table
from nbgraph.loading import load
from nbgraph.services.events.events_base import EventServiceBase
from nbgraph.services.events.events_common import (
    Event,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    SessionFinished,
    SessionStarted,
)
from nbgraph.texts import one_line, seconds_text, shorten

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code
    from matplotlib.axes import Axes

MARK = "nbgraph node: "
"""Begins the names of the ranges that mark nodes in a trace."""
PYTHON = "(Python and libraries)"
"""The part of a node's time in which no operator of torch ran."""
COLUMNS = {
    "operator": "str",
    "node": "str",
    "calls": "int64",
    "cpu_seconds": "float64",
    "device_seconds": "float64",
    "memory_mb": "float64",
    "device_memory_mb": "float64",
}
SHOWN = 15
CUDA_EVENTS = 100_000
"""Allocations of which CUDA keeps a history."""
STDERR = 2
_IN_USE = threading.Lock()
_has_started = threading.Event()


class Operator(NamedTuple):
    """All calls of one operator in one node. Seconds and bytes are its own, without the operators that it calls."""

    name: str
    node: str
    calls: int
    cpu_seconds: float
    device_seconds: float
    memory: int
    device_memory: int


class Profile:
    """The profile of a run: `.frame`, `.plot()`, `.to_chrome_trace(path)`, `.to_memory_snapshot(path)`.

    Reading what torch recorded takes about a second for ten thousand calls of operators; it happens at the first look.
    """

    def __init__(self) -> None:
        self.nodes: list[str] = []
        """The source nodes that ran, each once, in the order of their starts."""
        self.cached = 0
        self.problem = ""
        self._recorded: Any = None
        self._snapshot: Any = None

    def keep(self, recorded: Any, snapshot: Any) -> None:
        """Keep what torch recorded: a stopped `torch.profiler.profile`, and CUDA's snapshot of memory or None."""
        self._recorded, self._snapshot = recorded, snapshot

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per operator and node, the longest first.

        Columns `operator`, `node` (id of the source node), `calls`, `cpu_seconds` and `device_seconds` (of the operator
        itself, without those that it calls), `memory_mb` and `device_memory_mb` (allocated and not freed when it ended,
        in MB of 2**20 bytes). What a node did outside of operators is a row named "(Python and libraries)". Empty where
        all nodes came from the cache.
        """
        rows = ((*each[:5], each.memory / MB, each.device_memory / MB) for each in self.operators)
        return frame(rows, COLUMNS)

    @cached_property
    def operators(self) -> list[Operator]:
        """The rows of the frame, memory in bytes."""
        return [] if self._recorded is None else operators_of(self._recorded.events())

    @property
    def note(self) -> str:
        """What was profiled, and what was not, in one sentence."""
        if self.problem:
            return self.problem
        if not self.nodes:
            return (
                f"nothing was profiled, as all {self.cached} nodes came from the cache; run it inside"
                " `with studio.cache.off():`, or change a value"
                if self.cached
                else "nothing was profiled, as no node ran"
            )
        seconds = sum(each.cpu_seconds for each in self.operators)
        cached = f"; {self.cached} came from the cache and were not" if self.cached else ""
        plural = "" if len(self.nodes) == 1 else "s"
        return f"{len(self.nodes)} node{plural} profiled, {seconds_text(seconds)} of CPU time{cached}"

    def plot(self, top: int = SHOWN, *, ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
        """Draw the operators that took longest, a bar for each, in parts for the nodes that called it.

        Parameters
        ----------
        top
            How many operators.

        Raises
        ------
        NbgraphError
            Nothing was profiled.
        """
        self._refuse_empty()
        return load("nbgraph.plots").plot_operators(self.frame, top=top, ax=ax, **kwargs)

    def to_chrome_trace(self, path: str | PathLike[str]) -> Path:
        """Write the trace as JSON for chrome://tracing or https://ui.perfetto.dev, and return its absolute path.

        Raises
        ------
        NbgraphError
            Nothing was profiled, or the file cannot be written.
        """
        self._refuse_empty()
        return write_file(path, self._trace)

    def to_memory_snapshot(self, path: str | PathLike[str]) -> Path:
        """Write CUDA's history of allocations for https://pytorch.org/memory_viz, and return its absolute path.

        The format is that of torch, a pickle, which that page reads; nbgraph reads none.

        Raises
        ------
        NbgraphError
            Nothing was profiled, the run used no CUDA device, or the file cannot be written.
        """
        self._refuse_empty()
        if self._snapshot is None:
            raise NbgraphError(
                "there is no memory snapshot: torch keeps one on CUDA devices alone, and this run used none; the"
                " column memory_mb of profile.frame says what operators allocated"
            )
        return write_file(path, load("pickle").dumps(self._snapshot))

    @cached_property
    def _trace(self) -> bytes:
        # Torch writes its trace once, and into a file.
        with TemporaryDirectory() as folder:
            file = Path(folder) / "trace.json"
            self._recorded.export_chrome_trace(str(file))
            return file.read_bytes()

    def _refuse_empty(self) -> None:
        if self._recorded is None or not self.nodes:
            raise NbgraphError(self.note)

    def __repr__(self) -> str:
        return f"Profile({self.note})"

    def _repr_html_(self) -> Html:
        rows = [
            (
                shorten(one_line(each.name), 60),
                each.node,
                f"{each.calls:,}",
                seconds_text(each.cpu_seconds),
                seconds_text(each.device_seconds) if each.device_seconds else "",
                f"{each.memory / MB:,.1f}" if each.memory > 0 else "",
            )
            for each in self.operators[:SHOWN]
        ]
        more = len(self.operators) - len(rows)
        note = f"{self.note}; {more} more rows: profile.frame" if more > 0 else self.note
        head = ("operator", "node", "calls", "CPU", "device", "MB")
        return joined([table(rows, head) if rows else "", element("p", note)])


class RunProfiler:
    """Records the session of one id while it runs: `listen(events)` before it is queued."""

    def __init__(self, session_id: str) -> None:
        self.profile = Profile()
        self._session_id = session_id
        self._recording: Any = None
        self._range: Any = None
        self._source = ""
        self._events: Any = None
        self._unsubscribe: Callable[[], None] = lambda: None

    def listen(self, events: EventServiceBase) -> None:
        """Subscribe until the session has ended."""
        self._events = events
        # to each node only from its start: a session that is cancelled before it runs never ends here
        self._unsubscribe = events.subscribe(self, each_node=False)

    def close(self) -> None:
        """Unsubscribe."""
        self._unsubscribe()

    def __call__(self, event: Event) -> None:
        if event.session_id != self._session_id:
            return
        if isinstance(event, SessionStarted):
            self.close()
            self._unsubscribe = self._events.subscribe(self)
            self._begin()
        elif isinstance(event, NodeStarted):
            self._enter(event.source)
        elif isinstance(event, NodeCompleted | NodeFailed):
            self.profile.cached += isinstance(event, NodeCompleted) and event.cached
            self._leave()
        elif isinstance(event, SessionFinished):
            self._end()
            self.close()

    def _begin(self) -> None:
        if not _IN_USE.acquire(blocking=False):
            self.profile.problem = "nothing was profiled, as another run was being profiled; run it again"
            return
        try:
            torch = load("torch")
            profiler = load("torch.profiler")
            activities = [profiler.ProfilerActivity.CPU]
            if torch.cuda.is_available():
                activities.append(profiler.ProfilerActivity.CUDA)
                torch.cuda.memory._record_memory_history(max_entries=CUDA_EVENTS)
            recording = profiler.profile(activities=activities, profile_memory=True)
            with _quiet_kineto():
                recording.start()
            self._recording = recording
        except Exception as error:
            # the run itself is not less for it
            _IN_USE.release()
            self.profile.problem = f"nothing was profiled, as torch's profiler did not start: {error}"

    def _enter(self, source: str) -> None:
        # Nodes that run in one call start one after the other, and end after it.
        if self._recording is None or (self._range is not None and self._source == source):
            return
        self._leave()
        self._source = source
        if source not in self.profile.nodes:
            self.profile.nodes.append(source)
        self._range = load("torch.profiler").record_function(MARK + source)
        self._range.__enter__()

    def _leave(self) -> None:
        if self._range is not None:
            marked, self._range = self._range, None
            marked.__exit__(None, None, None)

    def _end(self) -> None:
        self._leave()
        recording, self._recording = self._recording, None
        if recording is None:
            return
        try:
            recording.stop()
            torch, snapshot = load("torch"), None
            if torch.cuda.is_available():
                snapshot = torch.cuda.memory._snapshot()
                torch.cuda.memory._record_memory_history(enabled=None)
            self.profile.keep(recording, snapshot)
        except Exception as error:
            self.profile.problem = f"nothing was profiled, as torch's profiler failed at the end: {error}"
        finally:
            _IN_USE.release()


@contextmanager
def _quiet_kineto() -> Generator[None]:
    """Keep Kineto, torch's recorder, from writing about itself into the output of the cell.

    Its level is read when it first starts. Until then it calls it an error that torch was imported on another thread,
    which concerns recordings asked for by other processes alone; past Python's stderr, so the descriptor is replaced.
    """
    if _has_started.is_set():
        yield
        return
    _has_started.set()
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    try:
        kept = os.dup(STDERR)
    except OSError:  # the process has no stderr
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)


def operators_of(events: Iterable[Any]) -> list[Operator]:
    """Return the operators of torch's events by node, the longest first.

    Parameters
    ----------
    events
        `FunctionEvent`s of torch.profiler. Kernels of a device are counted at the operator that started them.
    """
    on_cpu = [event for event in events if event.device_type.name == "CPU" and not event.is_async]
    marks = sorted((event for event in on_cpu if event.name.startswith(MARK)), key=lambda mark: mark.time_range.start)
    starts = [mark.time_range.start for mark in marks]
    found: dict[tuple[str, str], list[float]] = {}
    for event in on_cpu:
        node = _node_at(event.time_range.start, marks, starts)
        if node is None or event.name == "[memory]":
            continue
        name = PYTHON if event.name.startswith(MARK) else event.name
        sums = found.setdefault((name, node), [0, 0.0, 0.0, 0, 0])
        figures = (
            1,
            event.self_cpu_time_total / 1e6,
            event.self_device_time_total / 1e6,
            # what it frees of others is no allocation of its own
            max(0, event.self_cpu_memory_usage),
            max(0, event.self_device_memory_usage),
        )
        for place, value in enumerate(figures):
            sums[place] += value
    rows = [
        Operator(name, node, int(calls), cpu, device, int(memory), int(on_device))
        for (name, node), (calls, cpu, device, memory, on_device) in found.items()
    ]
    return sorted(rows, key=lambda row: -(row.cpu_seconds + row.device_seconds))


def _node_at(moment: float, marks: Sequence[Any], starts: Sequence[float]) -> str | None:
    """Return the node that was running at a moment. By time, as events of a device have no parent among the marks."""
    place = bisect_right(starts, moment) - 1
    if place < 0 or moment > marks[place].time_range.end:
        return None
    return str(marks[place].name).removeprefix(MARK)
