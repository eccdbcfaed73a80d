"""Measure the nodes of one session: time, memory, models that were loaded."""

import os
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from io import FileIO
from time import perf_counter, time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import psutil
from msgspec import structs

from nbgraph.services.events.events_common import RunLog
from nbgraph.services.invocation_stats.invocation_stats_common import (
    COMPLETED,
    Measured,
    MeasuredRows,
    Memory,
    NodeStats,
)

if TYPE_CHECKING:
    from nbgraph.diffusion.meters import DeviceMeter
    from nbgraph.services.neighbours import Models

QUICK = 0.001
"""Seconds up to which a node is quick: its memory is not read."""


class RowStore(Protocol):
    """Stores the rows that a probe measures."""

    worker: str

    def update_mem_stats(self) -> int: ...

    def record(self, session_id: str, rows: Iterable[NodeStats]) -> None: ...


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

    def __init__(self, stats: RowStore, models: "Models", session_id: str) -> None:
        self.models = models
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
