"""What needs no looking at is taken from a session without claims, in the same order and to the same end."""

import pytest

from nbgraph.errors import IterationLimitError
from nbgraph.invocations import Add, Collect, Iterate, Range
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.running import invoke, run_session


def straight_ids(session: GraphExecutionState, until: int) -> list[Prepared]:
    """Take so many without claims, each with its output but the last."""
    taken: list[Prepared] = []
    for path, nodes in session.straight():
        for planned in nodes:
            taken.append(session.keys.prepared(planned, path))
            if len(taken) == until:
                return taken
            session.outputs[taken[-1].key] = invoke(session, taken[-1])
    return taken


def mapped() -> GraphExecutionState:
    body = Add(id="body", a=Iterate(id="each", collection=[5, 6, 7]), b=1)
    return GraphExecutionState(Graph.of(Collect(id="all", item=Add(id="after", a=body, b=1))), on_error="continue")


def test_what_needs_no_looking_at_is_taken_without_claims_to_the_end() -> None:
    session = mapped()
    taken = straight_ids(session, until=100)
    assert [each.id for each in taken] == run_session(mapped()).order
    assert session.next() is None
    assert session.status == "completed"
    assert session.outputs_of("all")[()].model_dump() == {"collection": [7, 8, 9]}


def test_a_session_is_running_while_the_last_node_taken_without_a_claim_runs() -> None:
    session = mapped()
    last = straight_ids(session, until=10)[-1]
    assert last.id == "all"
    assert session.status == "running"
    assert not session.is_complete


def test_a_session_is_not_complete_while_it_turns_from_claims_to_none() -> None:
    seen: list[str] = []
    session = GraphExecutionState(Graph.of(Add(a=1)))

    class Told(dict):
        def clear(self) -> None:
            super().clear()
            seen.append(session.status)

    session._dispatcher.claimed = Told(session._dispatcher.claimed)
    assert len(straight_ids(session, until=10)) == 1
    assert seen == ["pending"]


def test_what_fails_without_a_claim_fails_alone() -> None:
    session = mapped()
    failing = straight_ids(session, until=5)[-1]
    session.fail(failing, "no")
    assert failing.id == "body[1]"
    assert list(session.straight()) == []
    assert run_session(session).order == ["each[2]", "body[2]", "after[2]"]
    assert session.skipped == {"after[1]": "body[1] gave nothing", "all": "after[1] gave nothing"}
    assert session.is_complete


def test_what_is_given_back_without_a_claim_is_the_next_one() -> None:
    session = mapped()
    given_back = straight_ids(session, until=5)[-1]
    session.release(given_back)
    assert session.next() == given_back
    session.complete(given_back, invoke(session, given_back))
    assert run_session(session).order[0] == "after[1]"
    assert session.status == "completed"


def test_nothing_is_taken_without_a_claim_while_something_is_claimed() -> None:
    session = mapped()
    claimed = session.next()
    assert claimed is not None
    assert list(session.straight()) == []
    session.complete(claimed, invoke(session, claimed))
    assert straight_ids(session, until=1)[0].id == "body[0]"


def test_a_list_that_is_too_long_ends_what_is_taken_without_claims() -> None:
    graph = Graph.of(Add(id="body", a=Iterate(id="each", collection=Range(id="list", stop=50))))
    session = GraphExecutionState(graph, max_iterations=49)
    assert [each.id for each in straight_ids(session, until=100)] == ["list"]
    with pytest.raises(IterationLimitError, match="over the limit of 49"):
        session.next()
    assert session.status == "failed"
