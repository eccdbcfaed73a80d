"""Why the nodes of a canvas will run, or will not; a page is sent the difference to what it has."""

from typing import Any

from nbgraph.services.invocation_cache.explanation import explain
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState

MAX_EXPLAINED = 300


class Reasons:
    """The reasons that a page has, by node: how many of its prepared nodes run, how many are cached, and why."""

    def __init__(self, services: InvocationServices) -> None:
        self._services = services
        self._sent: dict[str, Any] = {}

    def forget(self) -> None:
        """The page knows nothing (any more)."""
        self._sent = {}

    def changes(self, session: GraphExecutionState | None) -> dict[str, Any]:
        """Return the reasons that are new or changed if `session` were run now, and None for those that are gone."""
        found: dict[str, Any] = {}
        for reason in () if session is None else explain(session, self._services):
            known = found.setdefault(reason.source, {"run": 0, "cached": 0, "because": reason.because})
            known["run" if reason.will_run else "cached"] += 1
        before, self._sent = self._sent, found
        gone = {node: None for node in before if node not in found}
        return gone | {node: reason for node, reason in found.items() if before.get(node) != reason}
