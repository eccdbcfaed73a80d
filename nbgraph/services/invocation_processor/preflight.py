"""Looks at a session before anything runs: the graph as a whole, and each node's own `check`.

Nodes that are quick and pure (`static`) are run for this, so that what they give is known: a model's sizes, a list's
length. A collect of such values gives a known list. What depends on anything else stays unknown.

Some checks need torch. Loading it takes long, so where it is not there yet such checks are left to the worker thread.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from nbgraph.errors import NbgraphError, Problems
from nbgraph.invocations.base import BaseInvocation, InvocationContext, is_link
from nbgraph.invocations.control_flow import Collect
from nbgraph.invocations.fields import ModelField, ResourceField, models_in, resources_in
from nbgraph.invocations.input_problems import input_problems
from nbgraph.invocations.outputs import CollectionOutput
from nbgraph.invocations.types import NodeValue
from nbgraph.invocations.valid import validated
from nbgraph.loading import NotLoadedError, without_waiting
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.plan import PlannedNode
from nbgraph.services.shared.graph.validation import HALF_CHARACTER
from nbgraph.texts import is_utf8, value_text

NUMBERS = frozenset({int, float, bool, type(None)})
ResourceProblem = Callable[[ResourceField], str]


def preflight(session: GraphExecutionState, context: InvocationContext, resource_problem: ResourceProblem) -> bool:
    """Raise `GraphError` with everything that can be seen to be wrong; return whether all could be looked at.

    It is False only inside `without_waiting()`, where a check would have to wait for a library that is being loaded.
    `resource_problem` says what is wrong with a picture or tensors that are named, or gives an empty text.
    """
    session.graph.validate()
    problems = Problems()
    _check_texts(session, problems)
    _check_resources(session, problems, resource_problem)
    problems.raise_any()
    if not any(cls.check is not BaseInvocation.check for cls in session.plan.node_types):
        return True
    outputs: dict[int, Any] = {}
    is_whole = True
    for planned in session.plan.nodes:
        try:
            _look_at(planned, outputs, context, problems)
        except NotLoadedError:
            is_whole = False
    problems.raise_any()
    return is_whole


def known_models(session: GraphExecutionState, context: InvocationContext) -> list[ModelField]:
    """Return the models that quick and pure nodes give, as far as that is known before anything runs."""
    outputs: dict[int, NodeValue] = {}
    for planned in session.plan.nodes:
        cls = type(planned.node)
        known = _known_inputs(planned, outputs) if cls.static else {}
        if cls.static and known.keys() == cls.inputs().keys():
            with (
                suppress(NbgraphError, ValidationError, NotLoadedError),
                without_waiting(),
            ):  # the node says so itself when it runs
                outputs[planned.rank] = validated(cls, known).invoke(context)
    return models_in(list(outputs.values()))


def _look_at(
    planned: PlannedNode, outputs: dict[int, NodeValue], context: InvocationContext, problems: Problems
) -> None:
    """Add what is wrong with a node to `problems`, and what it gives, if that is known, to `outputs`."""
    cls = type(planned.node)
    if cls is Collect:
        _collect(planned, outputs)
        return
    known, runnable = _known_inputs(planned, outputs), None
    if planned.node_type.rules:
        try:
            runnable = validated(cls, known)
        except ValidationError as error:
            problems.found.extend(input_problems(cls, planned.id, error))
            return
        known = {name: vars(runnable)[name] for name in known}
    found = list(planned.node.check(known, context))
    for field, text in found:
        problems.add("bad_value", text, planned.id, field)
    if cls.static and not found and known.keys() == cls.inputs().keys():
        try:
            outputs[planned.rank] = (runnable or cls(**known)).invoke(context)
        except NbgraphError as error:
            problems.add("bad_value", str(error), planned.id)


def _collect(planned: PlannedNode, outputs: dict[int, NodeValue]) -> None:
    """Add the list that a collect gives to `outputs`, if all its items are known.

    What an iterate node hands out is not known, so no list here depends on the path.
    """
    linked = {edge.field for edge in planned.inputs}
    if "item" not in linked or not all(edge.parent in outputs for edge in planned.inputs):
        return
    collection = [] if "collection" in linked else list(planned.values["collection"])
    items: list[NodeValue] = []
    for edge in planned.inputs:
        value = getattr(outputs[edge.parent], edge.output)
        if edge.field == "item":
            items.append(value)
        else:
            collection += value
    outputs[planned.rank] = CollectionOutput(collection=[*collection, *items])


def _check_resources(session: GraphExecutionState, problems: Problems, resource_problem: ResourceProblem) -> None:
    """Add a problem for each picture and tensor that is named in what was typed and cannot be had.

    What a resumed session has finished may be gone.
    """
    for planned in session.plan.with_resources:
        names = planned.node_type.resource_inputs
        if session.outputs and (planned.axes or planned.rank in session.outputs):
            continue
        linked = {edge.field for edge in planned.inputs}
        for name in names:
            for field in resources_in(planned.values[name]) if name not in linked else ():
                if problem := resource_problem(field):
                    problems.add("bad_value", problem, planned.id, name)


def _check_texts(session: GraphExecutionState, problems: Problems) -> None:
    """Add a problem for each typed value, and for the graph itself, with a text that UTF-8 cannot hold.

    A folder could not store such a session, and no cache key can be made of such a value.
    """
    for planned in session.plan.with_texts:
        for name in planned.node_type.text_inputs:
            value = planned.values[name]
            if is_link(value):
                continue
            with suppress(RecursionError):  # a list that holds itself: the key of the node refuses it in words
                if half := _half_text(value):
                    problems.add("bad_value", f"{half} has {HALF_CHARACTER}; type it again", planned.id, name)
    if half := _half_text([session.graph.id, session.graph.layout]):
        problems.add("bad_value", f"{half}, in the layout or the id of the graph, has {HALF_CHARACTER}")


def _half_text(value: NodeValue) -> str:
    """Return a text within a value that UTF-8 cannot hold, as it would be typed in Python, or ""."""
    if isinstance(value, str):
        return "" if value.isascii() or is_utf8(value) else value_text(value)
    parts: Collection[NodeValue] = ()
    if isinstance(value, dict):
        by_key = cast(dict[NodeValue, NodeValue], value)
        parts = [*by_key.keys(), *by_key.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        parts = cast(Collection[NodeValue], value)
    elif isinstance(value, BaseModel):
        parts = vars(value).values()
    if not NUMBERS.issuperset(map(type, parts)):
        for part in parts:
            if half := _half_text(part):
                return half
    return ""


def _known_inputs(planned: PlannedNode, outputs: dict[int, NodeValue]) -> dict[str, NodeValue]:
    linked = {edge.field for edge in planned.inputs}
    known = {name: value for name, value in planned.node.literals().items() if name not in linked}
    for edge in planned.inputs:
        if edge.parent in outputs:
            known[edge.field] = getattr(outputs[edge.parent], edge.output)
    return known
