"""A session: claiming, failing, giving back, cancelling, going on; and several nodes running at once."""

import random

import pytest

from nbgraph.errors import IterationLimitError
from nbgraph.invocations import Add, Collect, Integer, IntegerCollection, Iterate, Multiply, RandomRange, Range
from nbgraph.services.shared.graph.execution_state import GraphExecutionState, Prepared
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.nodes import Fails, Spread, Total
from tests.graph.running import Ran, invoke, run, run_session, step


def chain() -> Graph:
    """one -> two -> three"""
    return Graph.of(Add(id="three", a=Add(id="two", a=Add(id="one", a=1))))


def iterated() -> Graph:
    """A body of two nodes over four items, collected."""
    return Graph.of(Collect(item=Multiply(a=Add(a=Iterate(collection=Range(stop=4)), b=1), b=2)))


def test_a_new_session_is_pending_then_running_then_completed() -> None:
    ran = Ran(GraphExecutionState(chain()))
    seen = [ran.session.status]
    while step(ran):
        seen.append(ran.session.status)
    assert seen == ["pending", "running", "running", "completed"]


def test_an_empty_graph_is_complete_at_once() -> None:
    session = GraphExecutionState(Graph())
    assert session.is_complete
    assert session.next() is None
    assert session.status == "completed"


def test_a_claimed_node_is_handed_out_once() -> None:
    session = GraphExecutionState(chain())
    assert session.next() is not None
    assert session.next() is None
    assert not session.is_complete


def test_independent_nodes_can_be_claimed_at_once() -> None:
    session = GraphExecutionState(Graph([Integer(id="x"), Integer(id="y"), Integer(id="z")]))
    assert {claimed.id for claimed in (session.next(), session.next(), session.next()) if claimed} == {"x", "y", "z"}


def test_a_node_that_is_given_back_is_the_next_one() -> None:
    session = GraphExecutionState(chain())
    first = session.next()
    assert first is not None
    session.release(first)
    session.release(first)
    assert not session.is_complete
    assert session.next() == first
    assert session.next() is None


def test_giving_one_node_back_leaves_the_others_claimed() -> None:
    session = GraphExecutionState(Graph([Integer(id="x"), Integer(id="y")]))
    first, _ = session.next(), session.next()
    assert first is not None
    session.release(first)
    assert session.next() == first
    assert session.next() is None


def test_only_what_the_targets_need_runs() -> None:
    graph = Graph([Integer(id="x"), Integer(id="y")])
    assert run(graph, targets=["y"]).order == ["y"]


def test_edits_of_the_graph_do_not_reach_a_session_that_was_made() -> None:
    graph = chain()
    session = GraphExecutionState(graph)
    graph.delete_node("three")
    graph.add_node(Integer(id="new"))
    session.resume()
    assert run_session(session).order == ["one", "two", "three"]


# failing


def test_the_first_failure_stops_the_session() -> None:
    ran = run(Graph([Fails(id="bad"), Integer(id="good")]))
    assert ran.order == ["bad"]
    assert ran.session.errors == {"bad": "ValueError: the value is 0"}
    assert ran.session.status == "failed"


def test_what_does_not_depend_on_a_failure_can_still_run() -> None:
    bad = Fails(id="bad")
    ran = run(Add(id="after", a=Add(id="next", a=bad)), Integer(id="good"), on_error="continue")
    assert ran.order == ["bad", "good"]
    assert ran.session.skipped == {"next": "bad gave nothing", "after": "next gave nothing"}
    assert ran.session.is_complete
    assert ran.session.status == "failed"


def test_other_iterations_run_on_after_a_failure_in_one() -> None:
    body = Add(a=Fails(value=Iterate(collection=Range(stop=3)), at=1))
    ran = run(Collect(item=body), on_error="continue")
    assert ran.values("add", "value") == [0, 2]
    assert ran.session.skipped == {"add[1]": "test_fails[1] gave nothing", "collect": "add[1] gave nothing"}


def test_a_list_that_was_never_made_is_not_an_empty_one() -> None:
    rows = Spread(id="rows", value=Fails(at=0))
    ran = run(Collect(item=Add(a=Iterate(collection=rows))), on_error="continue")
    assert ran.session.skipped == {"rows": "test_fails gave nothing", "collect": "rows gave nothing"}
    assert ran.session.outputs_of("collect") == {}


def test_a_failed_list_fails_the_collect_of_its_own_iteration_alone() -> None:
    outer = Iterate(id="outer", collection=Range(stop=3))
    inner = Iterate(id="inner", collection=Spread(id="rows", value=Fails(value=outer, at=1), modulus=5))
    ran = run(Collect(item=inner), on_error="continue")
    assert ran.session.skipped == {"rows[1]": "test_fails[1] gave nothing", "collect[1]": "rows[1] gave nothing"}
    assert ran.values("collect", "collection") == [[], [20, 21]]


def test_a_failed_session_goes_on_with_what_failed_and_repeats_nothing() -> None:
    failing = Fails(id="bad", value=Integer(id="one", value=1), at=1)
    session = GraphExecutionState(Graph.of(Add(id="after", a=failing)))
    assert run_session(session).order == ["one", "bad"]
    session.resume()
    again = session.next()
    assert again is not None
    assert again.id == "bad"
    session.complete(again, Integer(value=5).invoke(None))  # type: ignore[arg-type]
    assert run_session(session).order == ["after"]
    assert session.status == "completed"


def test_a_node_may_fail_while_others_run() -> None:
    session = GraphExecutionState(Graph.of(Add(id="sum", a=Integer(id="x"), b=Integer(id="y"))), on_error="continue")
    first, second = session.next(), session.next()
    assert first is not None
    assert second is not None
    session.fail(first, "no")
    assert not session.is_complete
    session.complete(second, invoke(session, second))
    assert session.is_complete
    assert session.skipped == {"sum": "x gave nothing"}


# cancelling


def test_a_cancelled_session_hands_out_nothing_and_keeps_what_has_finished() -> None:
    session = GraphExecutionState(iterated())
    ran = run_session(session, until=lambda ran: len(ran.order) == 4)
    session.cancel()
    assert session.next() is None
    assert session.status == "cancelled"
    assert len(session) == 4
    session.resume()
    assert len(ran.order) + len(run_session(session).order) == 14
    assert session.outputs_of("collect")[()].collection == [2, 4, 6, 8]  # type: ignore[attr-defined]


def test_a_session_that_is_done_is_completed_though_it_is_cancelled_then() -> None:
    ran = run(chain())
    ran.session.cancel()
    assert ran.session.status == "completed"


# several at once


@pytest.mark.parametrize("seed", range(20))
def test_any_number_of_nodes_may_run_at_once_in_any_order_of_finishing(seed: int) -> None:
    dice = random.Random(seed)
    outer = Iterate(id="outer", collection=Range(stop=4))
    inner = Iterate(id="inner", collection=Spread(value=outer, modulus=4))
    body = Add(id="body", a=inner, b=Iterate(id="other", collection=IntegerCollection(collection=[5, 6])))
    graph = Graph.of(Total(collection=Collect(id="all", item=Collect(item=body))))
    session = GraphExecutionState(graph)
    running: list[Prepared] = []
    ran: list[str] = []
    while True:
        claimed = session.next() if len(running) < 4 else None
        if claimed is not None and dice.random() < 0.1:
            session.release(claimed)
        elif claimed is not None:
            running.append(claimed)
            ran.append(claimed.id)
        elif running:
            done = running.pop(dice.randrange(len(running)))
            session.complete(done, invoke(session, done))
        else:
            break
    assert session.status == "completed"
    assert sorted(ran) == sorted(run(graph).order)
    assert session.outputs_of("all") == run(graph).session.outputs_of("all")


# seeds and limits


def test_a_seed_that_is_left_open_is_drawn_for_each_prepared_node_and_noted() -> None:
    ran = run(RandomRange(id="random", low=0, high=Iterate(collection=Range(start=1, stop=4))))
    drawn = [found["seed"] for found in ran.session.seeds.values()]
    assert len(drawn) == 3
    assert drawn == ran.values("random", "seed")


def test_a_seed_that_is_given_is_not_drawn() -> None:
    ran = run(RandomRange(id="random", seed=7))
    assert ran.session.seeds == {}
    assert ran.value("random", "seed") == 7


def test_a_product_over_the_limit_is_refused_before_anything_is_made() -> None:
    one, other = (Iterate(collection=[0] * 100_000) for _ in range(2))
    with pytest.raises(IterationLimitError, match="10,000,000,000 times, over the limit of 1,000,000"):
        GraphExecutionState(Graph.of(Add(a=one, b=other)))


def test_a_list_that_turns_out_too_long_fails_the_session_and_tells_where() -> None:
    graph = Graph.of(Add(id="body", a=Iterate(id="each", collection=Range(id="list", stop=50))))
    session = GraphExecutionState(graph, max_iterations=49)
    ran = Ran(session)
    assert step(ran)
    for _ in range(2):
        with pytest.raises(IterationLimitError, match="would run 50 times, over the limit of 49"):
            session.next()
    assert session.status == "failed"
    assert not session.is_complete


def too_long_beside_others() -> GraphExecutionState:
    """A list that is too long at one item of another; a node under that item alone need not wait for it."""
    item = Iterate(id="item", collection=[2, 30, 3])
    body = Add(id="body", a=Iterate(id="each", collection=Range(id="list", stop=item)), b=1)
    graph = Graph.of(Fails(id="beside", value=item, at=2), Collect(id="all", item=body))
    return GraphExecutionState(graph, on_error="continue", max_iterations=10)


def test_a_list_that_is_too_long_is_told_beside_what_failed() -> None:
    session = too_long_beside_others()
    with pytest.raises(IterationLimitError, match="over the limit of 10"):
        run_session(session)
    assert list(session.errors) == ["beside[0]", "each"]


def test_nothing_more_is_handed_out_after_a_list_that_is_too_long_though_nodes_still_run() -> None:
    session = too_long_beside_others()
    claimed = session.next()
    assert claimed is not None
    with pytest.raises(IterationLimitError):
        run_session(session)
    assert session.status == "failed"
    session.complete(claimed, invoke(session, claimed))
    with pytest.raises(IterationLimitError):
        session.next()
    assert session.status == "failed"


def test_lists_of_unequal_length_are_counted_by_their_sum() -> None:
    outer = Iterate(id="outer", collection=IntegerCollection(collection=[49, 1, 1, 1]))
    inner = Iterate(id="inner", collection=Spread(value=outer, modulus=50))
    assert run(Add(a=inner), max_iterations=52).session.status == "completed"
    with pytest.raises(IterationLimitError, match="52 times"):
        run(Add(a=inner), max_iterations=51)


def test_lists_that_hang_on_one_iteration_are_counted_by_the_products_there() -> None:
    outer = Iterate(id="outer", collection=IntegerCollection(collection=[3, 2, 4]))
    one, other = (Iterate(id=name, collection=Spread(value=outer, modulus=9)) for name in "xy")
    assert run(Add(a=one, b=other), max_iterations=29).session.status == "completed"
    with pytest.raises(IterationLimitError, match="29 times"):
        run(Add(a=one, b=other), max_iterations=28)
