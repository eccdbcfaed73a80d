"""Why the nodes of a canvas will run, or will not, told by difference to what was told before."""

from typing import Any

from nbgraph.services.invocation_cache.explanation import explain
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState

MAX_EXPLAINED = 300


class Reasons:
    """The reasons that a page was told, by node: how many of its prepared nodes run, how many are cached, and why."""

    def __init__(self, services: InvocationServices) -> None:
        self._services = services
        self._told: dict[str, Any] = {}

    def forget(self) -> None:
        """The page knows nothing (any more)."""
        self._told = {}

    def changes(self, session: GraphExecutionState | None) -> dict[str, Any]:
        """What is new or other if `session` were run now, and None for what is gone: all, where there is no session."""
        found: dict[str, Any] = {}
        for reason in () if session is None else explain(session, self._services):
            known = found.setdefault(reason.source, {"run": 0, "cached": 0, "because": reason.because})
            known["run" if reason.will_run else "cached"] += 1
        before, self._told = self._told, found
        gone = {node: None for node in before if node not in found}
        return gone | {node: reason for node, reason in found.items() if before.get(node) != reason}
