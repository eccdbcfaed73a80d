"""A session grows: what is new runs, what has run stays, and what has run cannot be changed."""

import pytest

from nbgraph.errors import GraphError, NotFoundError
from nbgraph.invocations import Add, Collect, Integer, Iterate, Range
from nbgraph.services.shared.graph.edges import edge
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.running import run, run_session


def small() -> Graph:
    return Graph.of(Add(id="sum", a=Integer(id="one", value=1), b=2))


def test_a_complete_session_goes_on_with_what_is_new() -> None:
    graph = small()
    session = run(graph).session
    graph.add_node(Add(id="more", b=10))
    graph.add_edge(edge("sum.value", "more.a"))
    session.extend(graph)
    assert not session.is_complete
    assert run_session(session).order == ["more"]
    assert session.outputs_of("more")[()].value == 13  # type: ignore[attr-defined]


def test_a_session_may_grow_before_it_is_complete() -> None:
    graph = small()
    session = GraphExecutionState(graph)
    run_session(session, until=lambda ran: len(ran.order) == 1)
    graph.update_node("sum", b=5)
    session.extend(graph)
    assert run_session(session).order == ["sum"]
    assert session.outputs_of("sum")[()].value == 6  # type: ignore[attr-defined]


def test_new_nodes_may_stand_before_those_that_have_run() -> None:
    each = Iterate(id="each", collection=Range(id="range", stop=2))
    session = run(Add(id="body", a=each)).session
    new = Iterate(id="new", collection=Range(id="new_range", stop=2))
    old = session.graph
    grown = Graph([Collect(id="all", item=Add(id="both", a=new))])
    for node in old.nodes.values():
        grown.add_node(node)
    grown.add_edge(edge("body.value", "both.b"))
    session.extend(grown)
    assert run_session(session).order[0] == "new_range"
    assert session.outputs_of("all")[()].collection == [0, 1, 1, 2]  # type: ignore[attr-defined]
    assert list(session.outputs_of("body")) == [(0,), (1,)]


@pytest.mark.parametrize("change", ["value", "edge", "deleted"])
def test_what_has_run_cannot_be_changed_and_is_named(change: str) -> None:
    graph = small()
    session = run(graph).session
    before = session.to_dict()
    if change == "value":
        graph.update_node("one", value=2)
    elif change == "edge":
        graph.delete_edge(edge("one.value", "sum.a"))
    else:
        graph.delete_node("sum")
    with pytest.raises(GraphError, match={"value": "one.value", "edge": "sum.a", "deleted": "sum: has run"}[change]):
        session.extend(graph)
    assert session.to_dict() == before


def test_a_target_that_the_larger_graph_lacks_leaves_the_session_as_it_was() -> None:
    graph = small()
    session = run(graph).session
    before = session.to_dict()
    graph.add_node(Add(id="more", a=1, b=10))
    with pytest.raises(NotFoundError, match="'mor'; did you mean 'more'"):
        session.extend(graph, targets=["mor"])
    assert session.to_dict() == before
