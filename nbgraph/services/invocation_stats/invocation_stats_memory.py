"""Stats in memory."""

from collections.abc import Iterable
from itertools import chain

from nbgraph.services.invocation_stats.invocation_stats_base import InvocationStatsServiceBase
from nbgraph.services.invocation_stats.invocation_stats_common import NodeStats


class InvocationStatsServiceMemory(InvocationStatsServiceBase):
    """Keeps a list of rows for each session."""

    def __init__(self) -> None:
        super().__init__()
        self._by_session: dict[str, list[NodeStats]] = {}

    def _append(self, session_id: str, rows: list[NodeStats]) -> None:
        self._by_session.setdefault(session_id, []).extend(rows)

    def _rows(self, session_id: str | None) -> Iterable[NodeStats]:
        if session_id is None:
            return list(chain.from_iterable(self._by_session.values()))
        return list(self._by_session.get(session_id, ()))

    def _drop(self, session_id: str | None) -> None:
        if session_id is None:
            self._by_session.clear()
        else:
            self._by_session.pop(session_id, None)
