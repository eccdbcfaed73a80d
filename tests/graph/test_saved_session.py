"""A session as JSON: it goes on where it was, with the same result."""

import json
from typing import Any

import pytest

from nbgraph.errors import GraphError
from nbgraph.invocations import Add, Collect, If, ImageCollection, Integer, Iterate, Multiply, RandomRange, Range
from nbgraph.invocations.fields import ImageField
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.nodes import Fails, IsOdd, Spread, Total
from tests.graph.running import run, run_session


def reloaded(session: GraphExecutionState) -> GraphExecutionState:
    """The session after a trip through JSON text."""
    return GraphExecutionState.from_dict(json.loads(json.dumps(session.to_dict())))


def everything() -> Graph:
    """Nested and independent iterates, an if, collects, and a seed that is drawn."""
    outer = Iterate(id="outer", collection=Range(stop=3))
    inner = Iterate(id="inner", collection=Spread(value=outer))
    choose = If(condition=IsOdd(value=inner), true_input=Multiply(a=inner, b=2), false_input=Add(a=inner, b=1))
    other = Iterate(id="other", collection=RandomRange(id="random", high=100, size=2))
    rows = Collect(id="rows", item=Add(id="both", a=Total(collection=Collect(item=choose)), b=other))
    return Graph.of(Total(id="end", collection=rows))


@pytest.mark.parametrize("count", range(0, 45, 4))
def test_a_session_saved_after_any_number_of_nodes_ends_the_same(count: int) -> None:
    whole = GraphExecutionState(everything())
    head = run_session(whole, until=lambda ran: len(ran.order) == count)
    again = reloaded(whole)
    ends = run_session(whole).order, run_session(again).order
    if count > 3:
        assert ends[0] == ends[1]
        assert again.outputs_of("end") == whole.outputs_of("end")
    assert len(head.order) + len(ends[1]) == len(run(everything()).order)
    assert again.status == "completed"


def test_seeds_that_were_drawn_are_kept() -> None:
    session = GraphExecutionState(everything())
    run_session(session, until=lambda ran: "random" in ran.order)
    assert session.seeds
    assert reloaded(session).seeds == session.seeds


def test_what_was_claimed_comes_back_as_not_run() -> None:
    session = GraphExecutionState(Graph.of(Add(id="sum", a=Integer(id="one"))))
    assert session.next() is not None
    assert run_session(reloaded(session)).order == ["one", "sum"]


def test_a_finished_session_comes_back_finished() -> None:
    session = run(everything()).session
    again = reloaded(session)
    assert again.status == "completed"
    assert again.next() is None
    assert again.id == session.id
    before, after = ([(prepared.id, out) for prepared, out in each.results()] for each in (session, again))
    assert before == after


def test_failures_come_back_and_can_be_tried_again() -> None:
    session = run(Add(id="after", a=Fails(id="bad")), Integer(id="one"), on_error="continue").session
    again = reloaded(session)
    assert again.errors == session.errors
    assert again.skipped == {"after": "bad gave nothing"}
    assert again.status == "failed"
    again.resume()
    assert run_session(again).order == ["bad"]


def test_a_cancelled_session_comes_back_cancelled() -> None:
    session = GraphExecutionState(everything())
    session.cancel()
    assert reloaded(session).status == "cancelled"


def test_references_come_back_as_references_where_the_type_is_told_by_what_arrives() -> None:
    picture = ImageField(image_name="a" * 32)
    item = Iterate(collection=ImageCollection(collection=[picture]))
    again = reloaded(run(Collect(item=item)).session)
    assert again.outputs_of("iterate")[0,].item == picture  # type: ignore[attr-defined]
    assert again.outputs_of("collect")[()].collection == [picture]  # type: ignore[attr-defined]


def damaged(**changes: Any) -> dict[str, Any]:
    return {**run(Graph([Integer(id="one")])).session.to_dict(), **changes}


@pytest.mark.parametrize(("data", "said"), [
    ([], "not a saved session"),
    (damaged(on_error="maybe"), "on_error"),
    (damaged(outputs=[["one", [], {"value": "much"}]]), "saved output"),
    (damaged(outputs=[["one", [0], {"value": 1}]]), "no such node"),
    (damaged(outputs=[["two", [], {"value": 1}]]), "two"),
    (damaged(graph={"nodes": {"x": {"type": "nothing"}}, "edges": []}), "no node of type"),
])  # fmt: skip
def test_a_damaged_session_is_refused_with_the_reason(data: Any, said: str) -> None:
    with pytest.raises(GraphError, match=said):
        GraphExecutionState.from_dict(data)
