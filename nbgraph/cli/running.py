"""Running a session that grows line by line, on the studio's worker, with progress on stderr or in the notebook."""

from collections.abc import Callable
from copy import copy
from typing import Any

from nbgraph.errors import NbgraphError
from nbgraph.progress import Progress, ProgressTracker
from nbgraph.run import Run
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.studio import Studio

CANCEL_SECONDS = 30


def grown(session: GraphExecutionState | None, graph: Graph, max_iterations: int) -> GraphExecutionState:
    """A session of the graph that has what the given one has run already; the given one stays as it is."""
    if session is None:
        return GraphExecutionState(graph, max_iterations=max_iterations)
    larger = copy(session)
    larger.errors = {}
    larger.grow(graph)
    return larger


def run_session(studio: Studio, session: GraphExecutionState, show: Callable[[Progress], None]) -> Run:
    """Run what is left of a session and wait; raises the first `NodeError`, and `KeyboardInterrupt` after a cancel."""
    tracker = ProgressTracker(session.id)
    tracker.listen(studio.services.events)
    try:
        ticket: Any = studio.invoker.invoke(session)
    except BaseException:
        tracker.close()
        raise
    run = Run(ticket, studio.services, tracker)
    try:
        run.wait(show=show)
    except KeyboardInterrupt:
        run.cancel()
        run.wait(CANCEL_SECONDS)
        raise
    run.raise_error()
    if run.status == "cancelled":
        raise NbgraphError("the run was cancelled; what had finished is in the cache")
    return run


def unless_quick(show: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Shows progress only of what has not ended when it is first asked."""
    shown: list[Progress] = []

    def show_later(progress: Progress) -> None:
        if shown or progress.status in ("pending", "running"):
            shown[:] = [progress]
            show(progress)

    return show_later
