"""The stats service: one row per prepared node, for several sessions at once, whatever their status."""

import json
import os
from abc import abstractmethod
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from nbgraph.errors import CancelledError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.invocation_stats.invocation_stats_common import CANCELLED, COMPLETED, FAILED, NodeStats
from nbgraph.services.invocation_stats.probe import Probe, ram_meter
from nbgraph.services.service import Service


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

    def probe(self, session_id: str) -> Probe:
        """Return the probe that measures the nodes of one session, one after the other.

        Parameters
        ----------
        session_id
            The session that its rows belong to.
        """
        return Probe(self, self.services.model_manager, session_id)

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
