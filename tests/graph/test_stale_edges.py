"""Edges that are assigned to a node whose graph is made already are told, as the graph does not follow."""

from typing import Any

import pytest

from nbgraph.errors import GraphError
from nbgraph.invocations import Add, Collect, Integer
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph

ASSIGNED = "an edge was assigned after the graph was made, which does not have it"
OVER = "a value was assigned in place of an edge after the graph was made, which still has the edge"


def told(graph: Graph) -> list[tuple[str, str | None, str | None]]:
    return [(problem.kind, problem.node, problem.field) for problem in graph.problems()]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (1, Integer(id="late"), ASSIGNED),
        (Integer(id="one"), Integer(id="late"), ASSIGNED),
        (Integer(id="one"), 5, OVER),
    ],
)
def test_an_edge_that_is_assigned_late_is_refused_with_what_to_do(before: Any, after: Any, said: str) -> None:
    total = Add(id="sum", a=before, b=1)
    graph = Graph.of(total)
    total.a = after
    with pytest.raises(GraphError, match=f"^sum.a: {said}; use graph.update_node\\('sum', a=...\\)"):
        graph.validate()
    assert told(graph.copy()) == [("stale_edge", "sum", "a")]
    graph.update_node("sum", a=after)
    assert told(graph) == []
    assert told(Graph.of(total)) == []


def test_values_may_be_assigned_at_any_time_and_the_same_edge_again() -> None:
    one = Integer(id="one")
    total = Add(id="sum", a=one, b=1)
    graph = Graph.of(total)
    total.b, total.a = 7, one
    assert told(graph) == []


def test_one_more_edge_into_an_input_that_takes_several_is_told() -> None:
    one, other = Integer(id="one"), Integer(id="other")
    gathered = Collect(id="all", item=[one])
    graph = Graph.of(gathered, other)
    gathered.item = [one, other]
    assert told(graph) == [("stale_edge", "all", "item")]


def test_nodes_of_a_graph_that_was_read_are_looked_at_too() -> None:
    graph = Graph.from_json(Graph.of(Add(id="sum", a=Integer(id="one"), b=1)).to_json())
    graph["sum"].b = graph["one"]
    assert told(graph) == [("stale_edge", "sum", "b")]


def test_a_node_that_left_the_graph_may_be_assigned_edges() -> None:
    total = Add(id="sum", a=1, b=1)
    graph = Graph.of(total, Integer(id="one"))
    graph.delete_node("sum")
    total.a = graph["one"]
    assert told(graph) == []


def test_an_edge_that_was_deleted_from_the_graph_is_no_late_one() -> None:
    total = Add(id="sum", a=Integer(id="one"), b=1)
    graph = Graph.of(total)
    graph.delete_edge("one.value", "sum.a")
    assert told(graph) == []


def test_the_graph_snapshot_in_a_session_has_no_stale_edges() -> None:
    one = Integer(id="one")
    total = Add(id="sum", a=one, b=1)
    graph = Graph.of(Add(id="more", a=total, b=one))
    session = GraphExecutionState(graph)
    total.a, one.value = 5, 7
    assert told(session.graph) == [("stale_edge", "sum", "a")]
    assert told(session.graph_snapshot()) == []
