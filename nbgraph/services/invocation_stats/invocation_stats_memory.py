"""Stats in memory."""

from collections.abc import Iterable
from itertools import chain

from nbgraph.services.invocation_stats.invocation_stats_base import InvocationStatsServiceBase
from nbgraph.services.invocation_stats.invocation_stats_common import MeasuredRows, NodeStats

ROW_BYTES = 300
"""Approximate bytes of a row."""


class InvocationStatsServiceMemory(InvocationStatsServiceBase):
    """Stores the rows of each session in the batches in which they come."""

    def __init__(self) -> None:
        super().__init__()
        self._by_session: dict[str, list[MeasuredRows | list[NodeStats]]] = {}

    def session_ids(self) -> list[str]:
        return list(self._by_session)

    def sizes(self) -> dict[str, int]:
        kept = list(self._by_session.items())
        return {session_id: ROW_BYTES * sum(map(len, batches)) for session_id, batches in kept}

    def _append(self, session_id: str, rows: Iterable[NodeStats]) -> None:
        # kept as measured: most rows are never read
        kept = rows if isinstance(rows, MeasuredRows) else list(rows)
        self._by_session.setdefault(session_id, []).append(kept)

    def _rows(self, session_id: str | None) -> Iterable[NodeStats]:
        kept = list(self._by_session.values()) if session_id is None else [self._by_session.get(session_id, [])]
        return chain.from_iterable(rows for batches in kept for rows in list(batches))

    def _drop(self, session_id: str | None) -> None:
        if session_id is None:
            self._by_session.clear()
        else:
            self._by_session.pop(session_id, None)
