"""Which nodes would run now, and why: of the graph on a canvas, and of graphs chosen in the table of the cache."""

from math import inf
from time import localtime, monotonic, strftime
from typing import Any

from nbgraph.errors import GraphError, NbgraphError, NotFoundError
from nbgraph.experiments.estimate import estimate_reasons
from nbgraph.experiments.executions import Execution, learnt
from nbgraph.services.invocation_cache.explanation import Reason, explain
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph

RECENT, MAX_REASONS, MAX_NODES = 12, 300, 2000


class GraphChoices:
    """The graphs that can be explained: those that were given, and those of the newest runs in the queue."""

    def __init__(self, services: InvocationServices) -> None:
        self._services = services
        self._given: dict[str, Graph] = {}
        self._chosen = ""

    def add(self, graph: Graph) -> None:
        """Offer a graph, as the first of the list."""
        self._given.pop(graph.id, None)
        self._given[graph.id] = graph
        while len(self._given) > RECENT:
            del self._given[next(iter(self._given))]
        self._chosen = graph.id

    def explain(self, graph_id: str = "") -> dict[str, Any]:
        """Return the reasons for a graph, by default the one given last, and the list of graphs to choose from."""
        choices = self._choices()
        chosen = graph_id or self._chosen or next(iter(choices), "")
        if graph_id and graph_id not in choices:
            raise NotFoundError(f"there is no graph {graph_id!r} to explain; choose one of the list")
        reasons, total, problem = self._reasons(chosen) if chosen in choices else ([], 0, "")
        listed = [[key, label] for key, label in choices.items()]
        return {"graphs": listed, "graph": chosen, "reasons": reasons, "total": total, "problem": problem}

    def _choices(self) -> dict[str, str]:
        given = {key: _label(graph) for key, graph in reversed(self._given.items())}
        newest = sorted(self._services.queue.rows(), key=lambda item: item.submitted, reverse=True)[:RECENT]
        runs = {
            item.session_id: f"run {item.number}, {strftime('%H:%M:%S', localtime(item.submitted))}, {item.status}"
            for item in newest
        }
        return {**given, **runs}

    def _reasons(self, chosen: str) -> tuple[list[list[Any]], int, str]:
        try:
            graph = self._given.get(chosen) or self._services.graph_execution_manager.get(chosen).graph
            if len(graph) > MAX_NODES:
                return [], 0, f"the graph has {len(graph)} nodes, too many for this table; use studio.explain(graph)"
            graph.validate()
            reasons = explain(GraphExecutionState(graph), self._services)
        # A graph that cannot run has no reasons, and the table says why in their place.
        except GraphError as error:
            return [], 0, str(error)
        except (NbgraphError, ValueError) as error:
            return [], 0, f"the graph of this run cannot be read: {error}"
        rows = [[reason.node, reason.type, reason.will_run, reason.because] for reason in reasons]
        return rows[:MAX_REASONS], len(rows), ""


def _label(graph: Graph) -> str:
    last = next(reversed(graph.nodes), "nothing")
    return f"graph of {last} ({len(graph)} node{'' if len(graph) == 1 else 's'})"


MAX_EXPLAINED = 300
SHARE = 50
"""Reading what earlier runs took may take at most one part in so many of the time."""


class Reasons:
    """The reasons a page has, by node: how many of its prepared nodes will run, how many are cached, and why.

    A page is sent the difference to what it has.
    """

    def __init__(self, services: InvocationServices) -> None:
        self._services = services
        self._sent: dict[str, Any] = {}
        self._explained: list[Reason] = []
        self._learnt: list[Execution] = []
        self._learnt_at = -inf
        self._took = 0.0

    def forget(self) -> None:
        """Forget what was sent: the page is new."""
        self._sent = {}

    def changes(self, session: GraphExecutionState | None) -> dict[str, Any]:
        """Return new and changed reasons of a run of `session`, and None for removed ones; no session removes all."""
        found: dict[str, Any] = {}
        self._explained = [] if session is None else explain(session, self._services)
        for reason in self._explained:
            # The first reason stands for all prepared nodes of a node: under an iteration they rarely differ.
            known = found.setdefault(reason.source, {"run": 0, "cached": 0, "because": reason.because})
            known["run" if reason.will_run else "cached"] += 1
        before, self._sent = self._sent, found
        gone = {node: None for node in before if node not in found}
        return gone | {node: reason for node, reason in found.items() if before.get(node) != reason}

    def expected(self, session: GraphExecutionState | None) -> str:
        """Return what the run that was explained last would cost, in a few words; empty where too little is known."""
        if session is None:
            return ""
        began = monotonic()
        # it is asked after every edit, and earlier runs are many files
        if began - self._learnt_at > SHARE * self._took:
            self._learnt = learnt(self._services)
            self._learnt_at, self._took = monotonic(), monotonic() - began
        found = estimate_reasons(self._explained, session.graph, self._services, self._learnt)
        return "; ".join(filter(None, ["" if found.seconds is None else found.summary, found.memory_problem]))
