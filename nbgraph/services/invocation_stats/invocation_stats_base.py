"""The stats service: one row per prepared node, for several sessions at once, whatever their status."""

import json
import os
from abc import abstractmethod
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import cache
from io import FileIO
from pathlib import Path
from time import perf_counter, time
from typing import TYPE_CHECKING, NamedTuple

import psutil
from msgspec import structs

from nbgraph.errors import CancelledError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.events.events_common import RunLog
from nbgraph.services.invocation_stats.invocation_stats_common import (
    CANCELLED,
    COMPLETED,
    FAILED,
    Measured,
    MeasuredRows,
    Memory,
    NodeStats,
)
from nbgraph.services.service import Service

if TYPE_CHECKING:
    from nbgraph.diffusion.meters import DeviceMeter

QUICK = 0.001


class InvocationStatsServiceBase(Service):
    """Measures nodes and stores the rows of completed, failed and cancelled sessions alike."""

    worker = ""
    """The name of this process as a worker of a cluster; a column of each row that is measured here."""

    def __init__(self) -> None:
        self._ram = ram_meter(os.getpid())

    @contextmanager
    def collect_stats(self, invocation: BaseInvocation, graph_execution_state_id: str) -> Generator[None]:
        """Measure the block as one execution of a node, also if it raises.

        Parameters
        ----------
        invocation
            The node that is executed.
        graph_execution_state_id
            The id of its session.
        """
        probe = self.probe(graph_execution_state_id)
        began = probe.start()
        status, error = COMPLETED, ""
        try:
            yield
        # an interrupt ends a node too, and its row must say so
        except BaseException as raised:
            status = CANCELLED if isinstance(raised, CancelledError | KeyboardInterrupt) else FAILED
            error = f"{type(raised).__name__}: {raised}"
            raise
        finally:
            node = invocation.id or invocation.type
            probe.finish(began, node, node, invocation.type, (), status, False, None, error)
            probe.flush()

    def probe(self, session_id: str) -> "Probe":
        """Return the probe that measures the nodes of one session, one after the other.

        Parameters
        ----------
        session_id
            The session that its rows belong to.
        """
        return Probe(self, session_id)

    def update_mem_stats(self) -> int:
        """Read and return the resident set size of the process, in bytes."""
        return self._ram.read()

    def record(self, session_id: str, rows: Iterable[NodeStats]) -> None:
        """Store rows of a session.

        Parameters
        ----------
        session_id
            The session.
        rows
            In the order in which nodes finished; they may be made lazily, when they are read.
        """
        self._append(session_id, rows)

    def rows(self, session_id: str | None = None) -> list[NodeStats]:
        """Return rows in the order in which nodes finished.

        Parameters
        ----------
        session_id
            The session; None returns the rows of all.
        """
        return list(self._rows(session_id))

    def session_ids(self) -> list[str]:
        """Return the ids of the sessions that have rows."""
        return list(dict.fromkeys(row.session_id for row in self._rows(None)))

    def flush(self) -> None:
        """Write what is only in memory so far; called at the end of each session."""
        return

    def reset_stats(self, session_id: str | None = None) -> None:
        """Delete rows.

        Parameters
        ----------
        session_id
            The session; None deletes the rows of all.
        """
        self._drop(session_id)

    def readable_rows(self) -> list[NodeStats]:
        """Return the rows of all sessions that can be read, and delete those of missing or damaged sessions.

        Rows of sessions whose node types are not defined in this kernel yet are kept, but not returned.
        """
        condition = self.services.graph_execution_manager.condition
        conditions = {session_id: condition(session_id) for session_id in self.session_ids()}
        for session_id, found in conditions.items():
            # nothing can show these rows any more
            if found == "missing":
                self.reset_stats(session_id)
        return [row for row in self.rows() if conditions.get(row.session_id) != "waiting"]

    def log_stats(self, session_id: str) -> str:
        """Return the figures of a session as a text table.

        Parameters
        ----------
        session_id
            The session.

        Returns
        -------
        str
            One line per node type: calls, cached ones, seconds, peak VRAM in MB.
        """
        return stats_table(session_id, self.rows(session_id))

    def dump_stats(self, session_id: str, path: str | Path) -> None:
        """Write the rows of a session to a JSON file.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        rows = [row._asdict() for row in self.rows(session_id)]
        Path(path).write_text(json.dumps(rows, indent=1), encoding="utf-8")

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Return the approximate bytes of the rows of each session, by id, the oldest first."""

    @abstractmethod
    def _append(self, session_id: str, rows: Iterable[NodeStats]) -> None:
        """Store rows."""

    @abstractmethod
    def _rows(self, session_id: str | None) -> Iterable[NodeStats]:
        """Return rows in the order in which they were stored; None is all sessions."""

    @abstractmethod
    def _drop(self, session_id: str | None) -> None:
        """Delete the rows of a session; None is all sessions."""


class Share(NamedTuple):
    """The part of one node in a call of several: start and seconds of the call, the node's number, how many nodes."""

    began: float
    seconds: float
    number: int
    nodes: int

    @property
    def each(self) -> float:
        """The seconds of each node."""
        return self.seconds / self.nodes


class Probe:
    """Measures the nodes of one session: `start()`, then `finish(...)`, for each; `flush()` stores the rows.

    Reading memory costs more than a quick node, so it is read only for nodes that took over a millisecond, or that used
    a device or models; others have the last reading.
    All rows stay in `log` while the session runs, for those who count them.
    """

    BATCH = 512

    def __init__(self, stats: InvocationStatsServiceBase, session_id: str) -> None:
        self.models = stats.services.model_manager
        self.log = RunLog()
        self._stored = 0
        self.uses = self.models.uses
        self._stats, self._session_id = stats, session_id
        # rows are timed by the monotonic clock; a change of the wall clock must not reorder them
        self._zero = time() - perf_counter()
        self._ram = stats.update_mem_stats()
        # one object for all quick nodes: most rows of a large graph differ only in id and time
        self.unchanged = _unchanged(self._ram)
        self._meters: DeviceMeter | None = None
        self._vram_before: int | None = None
        self._counts = self.models.counts

    def start(self) -> float:
        """Prepare to measure a node; return the time of its start, by `perf_counter()`."""
        meters = self._meters = self.models.meters
        if meters is not None:
            meters.synchronize()
            meters.reset_peak()
            reading = meters.read()
            self._vram_before = None if reading is None else reading.allocated
        return perf_counter()

    def finish(
        self,
        began: float,
        node: str,
        source: str,
        type_name: str,
        path: tuple[int, ...],
        status: str,
        cached: bool,
        seed: int | None = None,
        error: str = "",
    ) -> float:
        """Add the row of a node that has ended.

        Parameters
        ----------
        began
            What `start()` returned.
        node, source, type_name, path, status, cached, seed, error
            Fields of the row, as in `NodeStats`.

        Returns
        -------
        float
            The seconds that it took.
        """
        # work on a device is asynchronous: without this its time would be counted for the next node
        if self._meters is not None:
            self._meters.synchronize()
        seconds = perf_counter() - began
        is_slow, memory = seconds > QUICK, self.unchanged
        if is_slow or self._meters is not None or self.models.uses != self.uses:
            memory = self._read_memory(seconds)
        rows = self.log.rows
        rows.append(Measured(node, source, type_name, path, status, cached, began, seconds, memory, seed, error))
        # beside a slow node writing costs nothing, and a display sees its row at once
        if is_slow or len(rows) >= self._stored + self.BATCH:
            self.flush()
        return seconds

    def finish_together(
        self,
        began: float,
        nodes: Sequence[tuple[str, tuple[int, ...], int | None]],
        source: str,
        type_name: str,
        status: str,
    ) -> float:
        """Add the rows of nodes that ran in one call.

        Each has an equal share of the time, one after the other; model loads and hits are those of the first.

        Parameters
        ----------
        began
            What `start()` returned.
        nodes
            (id, path, drawn seed) of each node.
        source, type_name, status
            Fields of the rows, as in `NodeStats`.

        Returns
        -------
        float
            The seconds of each node.
        """
        if self._meters is not None:
            self._meters.synchronize()
        seconds = perf_counter() - began
        # memory and loads of one call cannot be told apart by node
        first = structs.replace(self._read_memory(seconds), batch=len(nodes))
        others = structs.replace(first, model_loads=0, model_hits=0)
        share = seconds / len(nodes)
        for number, (node, path, seed) in enumerate(nodes):
            memory, start = others if number else first, began + number * share
            row = Measured(node, source, type_name, path, status, False, start, share, memory, seed, "")
            self.log.rows.append(row)
        self.flush()
        return share

    def catch_up(self) -> None:
        """Forget what other sessions did since the last reading, where several run in turn on one thread.

        Their loads of models, and the memory that they took, are not those of the next node.
        """
        self.uses, self._counts = self.models.uses, self.models.counts
        self._ram = self._stats.update_mem_stats()
        self.unchanged = _unchanged(self._ram)

    def seconds_since(self, began: float) -> float:
        """Return the seconds since `start()`, after the device has finished its work."""
        if self._meters is not None:
            self._meters.synchronize()
        return perf_counter() - began

    def finish_share(
        self,
        share: Share,
        node: tuple[str, tuple[int, ...], int | None],
        source: str,
        type_name: str,
        status: str,
    ) -> None:
        """Add the row of one node of a call that nodes of other sessions share, as `finish_together` does for one.

        Parameters
        ----------
        share
            Its part of the call.
        node
            Id, path and drawn seed of the node.
        source, type_name, status
            Fields of the row, as in `NodeStats`.
        """
        memory = structs.replace(self._read_memory(share.seconds), batch=share.nodes)
        if share.number:
            memory = structs.replace(memory, model_loads=0, model_hits=0)
        name, path, seed = node
        start = share.began + share.number * share.each
        row = Measured(name, source, type_name, path, status, False, start, share.each, memory, seed, "")
        self.log.rows.append(row)
        self.flush()

    def recall(self, rows: Iterable[Measured], began: float, uncached: Collection[str]) -> None:
        """Add the rows of nodes whose results are all those of an earlier run, so that none was looked up by itself.

        Parameters
        ----------
        rows
            The rows of that run.
        began
            When looking began, by `perf_counter()`; each node has an equal share of the seconds since.
        uncached
            The node types whose results are not from the cache.
        """
        rows = list(rows)
        share = (perf_counter() - began) / max(1, len(rows))
        self.log.rows += [
            Measured(
                row.node,
                row.source,
                row.type,
                row.path,
                COMPLETED,
                row.type not in uncached,
                began,
                share,
                self.unchanged,
                None,
                "",
            )
            for row in rows
        ]

    def _read_memory(self, seconds: float) -> Memory:
        """Read the memory that a node took, and the models that it loaded."""
        before = self._ram
        if seconds > QUICK:
            self._ram = self._stats.update_mem_stats()
            self.unchanged = _unchanged(self._ram)
        vram_before = vram_peak = reserved = None
        # the counters are those of the process: what other threads allocated meanwhile is in the peak too
        reading = None if self._meters is None else self._meters.read()
        if reading is not None:
            vram_before, vram_peak, reserved = self._vram_before, reading.peak_allocated, reading.peak_reserved
        counts, before_it = self.models.counts, self._counts
        loads, hits = counts[0] - before_it[0], counts[1] - before_it[1]
        self.uses, self._counts = self.models.uses, counts
        peak = max(before, self._ram)
        return Memory(before, self._ram, peak, vram_before, vram_peak, reserved, loads, hits)

    def flush(self) -> None:
        """Store the rows measured so far."""
        rows = self.log.rows[self._stored :]
        if rows:
            where = self._stats.worker, self.models.device_name
            self._stats.record(self._session_id, MeasuredRows(self._session_id, self._zero, rows, *where))
            self._stored += len(rows)


def _unchanged(ram: int) -> Memory:
    """Return the memory of a node that changes nothing."""
    return Memory(ram, ram, ram)


class RamMeter:
    """Reads the resident set of this process: from an open /proc file on Linux, which is quicker, else from psutil."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._page = 4096
        try:
            # psutil opens and parses files at each reading
            self._file: FileIO | None = open("/proc/self/statm", "rb", buffering=0)  # noqa: SIM115 - kept open
            self._page = os.sysconf("SC_PAGE_SIZE")
        except OSError:
            self._file = None

    def read(self) -> int:
        """Return the bytes resident now."""
        if self._file is None:
            return self._process.memory_info().rss
        return int(os.pread(self._file.fileno(), 64, 0).split()[1]) * self._page


@cache
def ram_meter(process: int) -> RamMeter:
    """Return the memory meter of a process, shared by its studios because it keeps a file open. A fork has its own."""
    return RamMeter()


def stats_table(session_id: str, rows: list[NodeStats]) -> str:
    """Return a text table for the log: calls, seconds, VRAM and cache hits by node type."""
    by_type: dict[str, list[NodeStats]] = {}
    for row in rows:
        by_type.setdefault(row.type, []).append(row)
    lines = [f"Graph stats: {session_id}", f"{'Node':<24}{'Calls':>7}{'Cached':>8}{'Seconds':>10}{'VRAM MB':>10}"]
    for name, found in sorted(by_type.items()):
        peaks = [row.vram_peak for row in found if row.vram_peak is not None]
        vram = f"{max(peaks) / 2**20:.1f}" if peaks else "-"
        seconds = sum(row.seconds for row in found)
        lines.append(f"{name:<24}{len(found):>7}{sum(row.cached for row in found):>8}{seconds:>10.3f}{vram:>10}")
    lines.append(f"TOTAL GRAPH EXECUTION TIME: {sum(row.seconds for row in rows):.3f} s")
    if rows:
        change = rows[-1].ram_after - rows[0].ram_before
        lines.append(f"RAM used by process: {rows[-1].ram_after / 2**20:.0f} MB ({change / 2**20:+.0f} MB)")
        lines.append(
            f"Models: {sum(row.model_loads for row in rows)} loaded, {sum(row.model_hits for row in rows)} hits"
        )
    return "\n".join(lines)
