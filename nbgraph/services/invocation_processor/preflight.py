"""Looks at a session before anything runs: the graph as a whole, and each node's own `check`.

Nodes that are quick and pure (`static`) are run for this, so that what they give is known: a model's sizes, a list's
length. What depends on anything else stays unknown.
"""

from typing import Any

from pydantic import ValidationError

from nbgraph.errors import NbgraphError, Problems
from nbgraph.invocations.base import BaseInvocation, InvocationContext
from nbgraph.invocations.input_problems import input_problems
from nbgraph.services.invocation_processor.recipe import recipe_of
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.plan import PlannedNode


def preflight(session: GraphExecutionState, context: InvocationContext) -> None:
    """Raise `GraphError` with everything that can be seen to be wrong."""
    session.graph.validate()
    nodes = session.plan.nodes
    if not any(type(planned.node).check is not BaseInvocation.check for planned in nodes):
        return
    problems = Problems()
    outputs: dict[int, Any] = {}
    for planned in nodes:
        cls = type(planned.node)
        known, runnable = _known_inputs(planned, outputs), None
        if cls.has_rules():
            try:
                runnable = recipe_of(cls).validated(known)
            except ValidationError as error:
                problems.found.extend(input_problems(cls, planned.id, error))
                continue
            known = {name: vars(runnable)[name] for name in known}
        found = list(planned.node.check(known, context))
        for field, text in found:
            problems.add("bad_value", text, planned.id, field)
        if cls.static and not found and known.keys() == cls.inputs().keys():
            try:
                outputs[planned.rank] = (runnable or cls(**known)).invoke(context)
            except NbgraphError as error:
                problems.add("bad_value", str(error), planned.id)
    problems.raise_any()


def _known_inputs(planned: PlannedNode, outputs: dict[int, Any]) -> dict[str, Any]:
    linked = {edge.field for edge in planned.inputs}
    known = {name: value for name, value in planned.node.literals().items() if name not in linked}
    for edge in planned.inputs:
        if edge.parent in outputs:
            known[edge.field] = getattr(outputs[edge.parent], edge.output)
    return known
