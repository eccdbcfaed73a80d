"""The run loop: whatever nodes give or raise, and however long lists are, the end of a session is told."""

from collections.abc import Iterator
from typing import Any

import pytest

from nbgraph.config import Settings
from nbgraph.invocations import Add, Integer, Iterate, Multiply, Range
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.services.events.events_common import Event, SessionFinished
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


class Silent:
    """Something that does not say what it is."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Anything(BaseInvocationOutput):
    """An output of any type."""

    value: Any


@invocation("test_gives_silent", category="test")
class GivesSilent(BaseInvocation):
    """Gives something that cannot be shown as text."""

    def invoke(self, context: InvocationContext) -> Anything:
        return Anything(value=Silent())


@invocation("test_refuses", category="test", use_cache=False)
class Refuses(BaseInvocation):
    """Fails, whatever it is given."""

    value: Any = None

    def invoke(self, context: InvocationContext) -> Anything:
        raise ValueError("not this one")


@pytest.fixture
def invoker() -> Iterator[Invoker]:
    invoker = Invoker(InvocationServices.memory(Settings()))
    yield invoker
    invoker.stop()


def test_the_end_of_a_session_with_a_list_that_is_too_long_is_told(invoker):
    told: list[Event] = []
    invoker.services.events.subscribe(told.append)
    graph = Graph.of(Add(a=Iterate(collection=Range(stop=50))))
    invoker.invoke(GraphExecutionState(graph, max_iterations=49)).wait()
    assert isinstance(told[-1], SessionFinished)
    assert told[-1].status == "failed"


def test_a_node_that_fails_is_told_though_its_input_cannot_be_shown(invoker):
    ticket = invoker.invoke(GraphExecutionState(Graph.of(Refuses(id="refuses", value=GivesSilent()))))
    ticket.wait()
    (failure,) = ticket.failures
    assert failure.node == "refuses"
    assert failure.message == "ValueError: not this one"
    assert failure.inputs == {"value": "a Silent (it cannot be shown as text)"}


def test_numbers_too_long_to_print_are_computed_with(invoker):
    large = Integer(value=10**4000)
    session = GraphExecutionState(Graph.of(Add(id="sum", a=Multiply(id="product", a=large, b=large), b=1)))
    invoker.invoke(session).wait()
    assert session.outputs_of("sum")[()].value == 10**8000 + 1  # type: ignore[attr-defined]
