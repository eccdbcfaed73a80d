"""One prepared node after the other, in the same order and to the same end, however the session is driven."""

import pytest

from nbgraph.errors import IterationLimitError
from nbgraph.invocations import Add, Collect, Iterate, Range
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.running import invoke, run_session


def taken(session: GraphExecutionState, until: int) -> list[Prepared]:
    """Take so many nodes, each with its output but the last."""
    found: list[Prepared] = []
    while (prepared := session.next()) is not None:
        found.append(prepared)
        if len(found) == until:
            break
        session.complete(prepared, invoke(session, prepared))
    return found


def mapped() -> GraphExecutionState:
    body = Add(id="body", a=Iterate(id="each", collection=[5, 6, 7]), b=1)
    return GraphExecutionState(Graph.of(Collect(id="all", item=Add(id="after", a=body, b=1))), on_error="continue")


def test_a_session_is_taken_to_its_end() -> None:
    session = mapped()
    assert [each.id for each in taken(session, until=100)] == run_session(mapped()).order
    assert session.next() is None
    assert session.status == "completed"
    assert session.outputs_of("all")[()].model_dump() == {"collection": [7, 8, 9]}


def test_a_session_is_running_while_its_last_node_runs() -> None:
    session = mapped()
    last = taken(session, until=10)[-1]
    assert last.id == "all"
    assert session.status == "running"
    assert not session.is_complete


def test_a_session_is_not_complete_while_it_goes_from_one_block_to_the_next() -> None:
    seen: list[bool] = []
    session = mapped()

    class Watched(dict):
        def pop(self, *key: object) -> object:
            found = super().pop(*key)
            seen.append(session.is_complete)
            return found

    session._dispatcher.claimed = Watched(session._dispatcher.claimed)
    taken(session, until=100)
    assert seen == [False] * 10
    assert session.is_complete


def test_what_fails_fails_alone() -> None:
    session = mapped()
    failing = taken(session, until=5)[-1]
    session.fail(failing, "no")
    assert failing.id == "body[1]"
    assert run_session(session).order == ["each[2]", "body[2]", "after[2]"]
    assert session.skipped == {"after[1]": "body[1] gave nothing", "all": "after[1] gave nothing"}
    assert session.is_complete


def test_what_is_given_back_is_the_next_one() -> None:
    session = mapped()
    given_back = taken(session, until=5)[-1]
    session.release(given_back)
    assert session.next() == given_back
    session.complete(given_back, invoke(session, given_back))
    assert run_session(session).order[0] == "after[1]"
    assert session.status == "completed"


def test_of_two_that_run_side_by_side_each_waits_for_what_it_needs() -> None:
    session = mapped()
    first = session.next()
    second = session.next()
    assert first is not None
    assert second is not None
    assert (first.id, second.id) == ("each[0]", "each[1]")
    session.complete(first, invoke(session, first))
    third = session.next()
    assert third is not None
    assert third.id == "body[0]"
    session.complete(second, invoke(session, second))
    session.complete(third, invoke(session, third))
    run_session(session)
    assert session.outputs_of("all")[()].model_dump() == {"collection": [7, 8, 9]}


def test_a_list_that_is_too_long_ends_the_session() -> None:
    graph = Graph.of(Add(id="body", a=Iterate(id="each", collection=Range(id="list", stop=50))))
    session = GraphExecutionState(graph, max_iterations=49)
    with pytest.raises(IterationLimitError, match="over the limit of 49"):
        taken(session, until=100)
    assert len(session) == 1
    assert session.status == "failed"
