"""The results of a session in the order in which they come one by one, whatever ran together."""

from collections.abc import Iterator

from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.plan import Prepared


def depth_first(session: GraphExecutionState) -> Iterator[tuple[Prepared, BaseInvocationOutput]]:
    """Every finished prepared node and its output: those of one path before those of the next.

    The session is gone through again with the outputs it has, and nothing is run.
    """
    outputs = {(prepared.planned.rank, prepared.path): output for prepared, output in session.results()}
    again = GraphExecutionState(
        session.graph_as_it_was(), targets=session.targets, on_error="continue", max_iterations=2**62
    )
    while outputs and (prepared := again.next()) is not None:
        output = outputs.pop((prepared.planned.rank, prepared.path), None)
        if output is None:
            again.fail(prepared, "it has not finished")
        else:
            again.complete(prepared, output)
            yield prepared, output
