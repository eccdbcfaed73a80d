"""What is assigned to a node reaches the sessions that are made from then on, and none that was made before."""

import pytest

from nbgraph.errors import GraphError
from nbgraph.invocations import Add, Collect, Iterate, Multiply
from nbgraph.services.shared.graph.compiled_graph import GraphSnapshot
from nbgraph.services.shared.graph.edges import Link
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.running import run, run_session


def test_each_session_runs_on_the_values_that_nodes_had_when_it_was_made() -> None:
    node = Add(id="sum", a=1, b=0)
    graph = Graph.of(node)
    sessions = []
    for number in range(5):
        node.b = number
        sessions.append(GraphExecutionState(graph))
    assert [run_session(session).value("sum", "value") for session in sessions] == [1, 2, 3, 4, 5]


def test_a_list_that_is_assigned_anew_is_not_iterated_over_in_an_older_session() -> None:
    each = Iterate(id="each", collection=[1, 2])
    session = GraphExecutionState(Graph.of(Collect(id="all", item=Add(a=each, b=1))))
    each.collection = [7, 8, 9]
    assert run_session(session).value("all", "collection") == [2, 3]


def test_the_graph_of_a_session_keeps_its_values_and_its_own_is_as_nodes_are_now() -> None:
    first = Add(id="first", a=1, b=2)
    session = GraphExecutionState(Graph.of(Add(id="last", a=first, b=1)))
    assert session.graph_snapshot() is session.graph
    first.b = 10
    assert session.graph_snapshot()["first"].b == 2  # type: ignore[attr-defined]
    assert session.graph["first"].b == 10  # type: ignore[attr-defined]
    assert session.to_dict()["graph"]["nodes"]["first"]["b"] == 2
    assert run_session(GraphExecutionState.from_dict(session.to_dict())).value("last", "value") == 4


def test_in_the_graph_snapshot_edges_lead_to_nodes_as_they_were() -> None:
    first, second = Add(id="first", a=1, b=1), Add(id="second", a=2, b=2)
    factor = Multiply(id="factor", a=first, b=10)
    last = Collect(id="last", item=[factor, second])
    session = GraphExecutionState(Graph.of(last))
    first.b = 5
    before = session.graph_snapshot()
    assert run(before["last"]).value("last", "collection") == [20, 4]
    assert run(last).value("last", "collection") == [60, 4]
    assert [each in before for each in (first, factor, last, before["first"], before["last"])] == [True] * 5
    assert before.nodes["second"] is second


def test_what_was_assigned_to_a_node_that_has_run_keeps_its_session_from_growing() -> None:
    node = Add(id="sum", a=1, b=2)
    graph = Graph.of(node)
    session = run(graph).session
    node.b = 3
    with pytest.raises(GraphError, match="sum.b: has run already"):
        session.extend(graph)
    assert session.outputs_of("sum")[()].value == 3  # type: ignore[attr-defined]


def test_an_edge_that_is_added_to_a_graph_that_ran_is_in_its_next_session() -> None:
    graph = Graph.of(Add(id="sum", a=Add(id="one", a=1, b=0), b=5), Add(id="two", a=2, b=0))
    assert run(graph).value("sum", "value") == 6
    graph.add_edge("two.value", "sum.b")
    assert run(graph).value("sum", "value") == 3


def test_a_snapshot_describes_nothing_but_the_same_nodes_ids_and_edges_in_their_order() -> None:
    one, two = Add(id="one", a=1, b=1), Add(id="two", a=1, b=1)
    links = [Link("a", "one", "value")]
    snapshot = GraphSnapshot({"one": one, "two": two}, {"two": links})
    assert snapshot.describes({"one": one, "two": two}, {"two": links})
    assert not snapshot.describes({"one": one, "two": Add(id="two", a=1, b=1)}, {"two": links})
    assert not snapshot.describes({"one": one, "other": two}, {"two": links})
    assert not snapshot.describes({"two": two, "one": one}, {"two": links})
    assert not snapshot.describes({"one": one}, {"two": links})
    assert not snapshot.describes({"one": one, "two": two}, {"two": list(links)})
    assert not snapshot.describes({"one": one, "two": two}, {"one": links})
    assert not snapshot.describes({"one": one, "two": two}, {})
    one.a = 1
    assert not snapshot.describes({"one": one, "two": two}, {"two": links})
