"""Nodes that are defined late, or again, as in the cells of a notebook."""

from typing import Any

import pytest
from pydantic import ValidationError, model_validator

from nbgraph.errors import GraphError, NbgraphError
from nbgraph.invocations import Integer, Iterate, Range
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.node_registry import registry
from nbgraph.invocations.outputs import IntegerCollectionOutput, IntegerOutput
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.running import invoke, run


def define(factor: int) -> type[BaseInvocation]:
    """Define the node type `test_late`, as a cell does when it is run again."""

    class Late(BaseInvocation):
        value: int = 1

        def invoke(self, context: InvocationContext) -> IntegerOutput:
            return IntegerOutput(value=self.value * factor)

    Late.__module__, Late.__qualname__ = "__main__", "Late"
    return invocation("test_late", category="test")(Late)


def test_a_node_defined_after_everything_was_imported_is_read_from_a_file() -> None:
    define(3)
    graph = Graph.from_json('{"nodes": {"x": {"type": "test_late", "value": 2}}, "edges": []}')
    assert run(graph).value("x", "value") == 6


def test_a_node_that_is_defined_again_is_the_new_one() -> None:
    define(3)
    again = define(5)
    assert registry()["test_late"] is again
    graph = Graph.from_json('{"nodes": {"x": {"type": "test_late", "value": 2}}, "edges": []}')
    assert run(graph).value("x", "value") == 10


def test_the_type_of_another_package_is_not_taken_over() -> None:
    with pytest.raises(NbgraphError, match="node type 'add' is taken by nbgraph.invocations.math.Add"):
        invocation("add")(type(define(1).__name__, (define(1),), {"__module__": "elsewhere"}))


class Between(BaseInvocation):
    """A range whose ends are checked against each other."""

    start: int = 0
    stop: int = 10

    @model_validator(mode="after")
    def _ordered(self) -> "Between":
        if self.stop <= self.start:
            raise ValueError("stop must be greater than start")
        return self

    def invoke(self, context: InvocationContext) -> IntegerCollectionOutput:
        return IntegerCollectionOutput(collection=list(range(self.start, self.stop)))


invocation("test_between", category="test")(Between)


@pytest.mark.parametrize("order", [("start", "stop"), ("stop", "start")])
def test_inputs_are_assembled_and_then_validated_once_whatever_the_order_of_the_edges(order: tuple[str, str]) -> None:
    given: dict[str, Any] = {"start": Integer(id="start", value=1), "stop": Integer(id="stop", value=3)}
    node = Between(id="node", **{name: given[name] for name in order})
    assert run(node).value("node", "collection") == [1, 2]


def test_a_value_that_arrives_and_does_not_fit_names_the_field() -> None:
    session = GraphExecutionState(Graph.of(Range(id="range", stop=Iterate(collection=["much"]))))
    first = session.next()
    assert first is not None
    session.complete(first, invoke(session, first))
    second = session.next()
    assert second is not None
    with pytest.raises(ValidationError, match="stop"):
        invoke(session, second)


def test_an_output_cannot_be_changed() -> None:
    output = run(Integer(id="x", value=1)).session.outputs_of("x")[()]
    with pytest.raises(ValidationError, match="frozen"):
        output.value = 2  # type: ignore[attr-defined]


def test_a_node_must_say_what_it_returns() -> None:
    class Silent(BaseInvocation):
        def invoke(self, context: InvocationContext):  # type: ignore[no-untyped-def]  # noqa: ANN201
            return BaseInvocationOutput()

    with pytest.raises(NbgraphError, match="must be annotated"):
        invocation("test_silent")(Silent)


def test_an_input_that_is_no_input_is_named_with_the_nearest() -> None:
    with pytest.raises(GraphError, match="'integer' has no input 'valeu'; did you mean 'value'"):
        Integer(valeu=1)  # type: ignore[call-arg]
