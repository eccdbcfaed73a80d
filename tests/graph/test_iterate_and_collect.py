"""Iterate and collect: what runs how often, in which order, and what is gathered where."""

import sys
from itertools import pairwise
from typing import Any

import pytest

from nbgraph.invocations import Add, Collect, Integer, IntegerCollection, Iterate, Multiply, Range, Subtract
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from tests.graph.nodes import Spread, Total
from tests.graph.running import Ran, run, run_session


def each(*items: int, **options: Any) -> Iterate:
    """An iterate node over numbers."""
    return Iterate(collection=IntegerCollection(collection=list(items)), **options)


def add(a: Any, b: Any = 0, **options: Any) -> Add:
    return Add(a=a, b=b, **options)


def collected(ran: Ran, node: str = "collect") -> list[Any]:
    """What a collect node gathered, one list for each of its paths."""
    return ran.values(node, "collection")


def test_each_iteration_uses_its_own_item() -> None:
    ran = run(add(Multiply(a=Iterate(collection=Range(stop=3)), b=10), 1))
    assert ran.values("add", "value") == [1, 11, 21]


def test_a_prepared_node_is_named_by_its_path() -> None:
    ran = run(add(each(1, 2), each(3, 4)))
    assert [name for name in ran.order if name.startswith("add")] == ["add[0,0]", "add[0,1]", "add[1,0]", "add[1,1]"]


def test_an_iterate_tells_the_place_and_the_number_of_items() -> None:
    ran = run(each(7, 8, 9))
    assert ran.values("iterate", "index") == [0, 1, 2]
    assert ran.values("iterate", "total") == [3, 3, 3]


def test_what_is_before_an_iterate_runs_once() -> None:
    ran = run(add(each(1, 2, 3), add(1, 1, id="shared")))
    assert ran.nodes.count("shared") == 1
    assert ran.values("add", "value") == [3, 4, 5]


def test_a_node_fed_twice_by_one_iterate_runs_once_for_each_item() -> None:
    item = each(1, 2, 3)
    ran = run(Multiply(a=add(item, 1), b=Subtract(a=item, b=1)))
    assert ran.values("mul", "value") == [0, 3, 8]


def test_independent_iterates_make_the_product_in_order() -> None:
    ran = run(add(each(10, 20), each(1, 2)))
    assert ran.values("add", "value") == [11, 12, 21, 22]


def test_the_first_result_comes_first_and_chains_are_finished_one_by_one() -> None:
    ran = run(Multiply(a=add(each(1, 2, 3), 1), b=2))
    assert ran.order[1:] == [f"{n}[{i}]" for i in range(3) for n in ("iterate", "add", "mul")]


def test_a_product_comes_in_the_order_of_nested_loops() -> None:
    ran = run(add(each(1, 2, id="i"), each(3, 4, id="j"), id="sum"))
    assert [name for name in ran.order if name.startswith("sum")] == ["sum[0,0]", "sum[0,1]", "sum[1,0]", "sum[1,1]"]
    assert ran.order.index("sum[0,1]") < ran.order.index("i[1]")


def test_the_order_is_the_same_every_time() -> None:
    orders = {tuple(run(add(each(*range(4)), each(*range(3)))).order) for _ in range(10)}
    assert len(orders) == 1


# nesting


def nested() -> tuple[Iterate, Iterate]:
    """An outer iterate over 1, 2 and an inner one over [10] and [20, 21]."""
    outer = each(1, 2, id="outer")
    return outer, Iterate(id="inner", collection=Spread(id="spread", value=outer))


def test_an_inner_list_may_be_of_another_length_each_time() -> None:
    _, inner = nested()
    assert list(run(add(inner)).session.outputs_of("add")) == [(0, 0), (1, 0), (1, 1)]


def test_a_node_under_the_outer_and_the_inner_iterate_sees_matching_pairs_only() -> None:
    outer, inner = nested()
    assert run(add(outer, inner)).values("add", "value") == [11, 22, 23]


def test_a_node_under_the_inner_iterate_alone_runs_once_for_each_inner_item() -> None:
    _, inner = nested()
    assert run(add(inner)).values("add", "value") == [10, 20, 21]


def test_three_levels_of_iteration() -> None:
    _, inner = nested()
    innermost = Iterate(id="innermost", collection=Spread(value=inner, modulus=4, id="deep"))
    ran = run(add(innermost))
    assert list(ran.session.outputs_of("add")) == [(0, 0, 0), (0, 0, 1), (1, 1, 0)]
    assert ran.values("add", "value") == [100, 101, 210]


@pytest.mark.parametrize("depth", range(3, 8))
@pytest.mark.parametrize("branches", [1, 2])
def test_nested_collects_peel_one_level_each(depth: int, branches: int) -> None:
    node: BaseInvocation = Integer(value=0)
    for level in range(depth):
        rows = Spread(id=f"rows{level}", value=add(node, branches, id=f"n{level}"), modulus=100)
        node = Iterate(id=f"i{level}", collection=rows)
        if level:
            node = Multiply(id=f"back{level}", a=node, b=0)
        node = Subtract(id=f"zero{level}", a=node, b=node)
    for level in range(depth):
        node = Collect(id=f"c{level}", item=node)
    expected: Any = 0
    for _ in range(depth):
        expected = [expected] * branches
    assert collected(run(node), f"c{depth - 1}") == [expected]


# collecting


def test_a_collect_gathers_in_the_order_of_the_list() -> None:
    assert collected(run(Collect(item=add(each(3, 1, 2), 1)))) == [[4, 2, 3]]


def test_plain_items_stand_in_the_order_of_their_edges() -> None:
    for _ in range(5):
        ran = run(Collect(item=[Integer(value=value) for value in (3, 1, 2)]))
        assert collected(ran) == [[3, 1, 2]]


def test_the_outputs_a_collect_gathers_may_have_different_names() -> None:
    item = each(5, 6)
    ran = run(Collect(item=[item.output("index"), add(item, 1)]))
    assert collected(ran) == [[0, 6, 1, 7]]


def test_an_item_that_is_not_iterated_stands_before_those_that_are() -> None:
    ran = run(Collect(item=[each(0, 1, 2), Integer(value=99)]))
    assert collected(ran) == [[99, 0, 1, 2]]


def test_a_collect_makes_one_list_for_each_outer_iteration() -> None:
    _, inner = nested()
    assert collected(run(Collect(item=add(inner)))) == [[10], [20, 21]]


def test_an_outer_item_joins_the_list_of_each_of_its_iterations() -> None:
    outer, inner = nested()
    assert collected(run(Collect(item=[add(outer, 100), inner]))) == [[101, 10], [102, 20, 21]]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_product_is_collected_into_one_list_whichever_iterate_is_there_first(swapped: bool) -> None:
    one, other = each(1, 2, 3, id="p"), each(10, 20, id="q")
    body = add(one, other) if not swapped else add(other, one)
    (found,) = collected(run(Collect(item=body)))
    assert sorted(found) == [11, 12, 13, 21, 22, 23]
    assert len(found) == 6


def test_what_comes_after_a_collect_runs_once() -> None:
    ran = run(Collect(id="twice", item=add(Iterate(id="again", collection=Collect(item=each(1, 2))), 1)))
    assert ran.nodes.count("collect") == 1
    assert collected(ran, "twice") == [[2, 3]]


def test_an_iterate_after_a_collect_is_a_new_axis() -> None:
    item = each(1, 2, 3)
    again = Iterate(id="again", collection=Collect(item=item))
    ran = run(add(item, again))
    assert len(ran.values("add", "value")) == 9


def test_a_node_under_the_outer_iterate_and_an_inner_collect_runs_for_each_outer_item_also_the_empty_ones() -> None:
    outer = each(3, 1, id="outer")
    inner = Iterate(id="inner", collection=Spread(value=outer))
    total = Total(collection=Collect(item=inner), id="total")
    ran = run(add(outer, total, id="sum"))
    assert ran.values("collect", "collection") == [[], [10]]
    assert ran.values("sum", "value") == [3, 12]


def test_chained_lists_come_before_the_items() -> None:
    first = Collect(id="first", item=each(1, 2))
    ran = run(Collect(collection=first, item=[Integer(value=9)]))
    assert collected(ran) == [[1, 2, 9]]


def test_a_shared_list_is_chained_into_the_list_of_each_iteration() -> None:
    shared = IntegerCollection(id="shared", collection=[100])
    _, inner = nested()
    ran = run(Collect(collection=shared, item=inner))
    assert collected(ran) == [[100, 10], [100, 20, 21]]


def test_collectors_at_different_depths_meet_by_their_paths() -> None:
    outer, inner = nested()
    total = Total(collection=Collect(id="rows", item=inner))
    ran = run(Collect(id="all", item=[total, add(outer), Integer(value=7)]))
    assert ran.value("all", "collection") == [7, 11, 1, 43, 2]


# nothing to iterate over


def test_an_empty_list_runs_its_body_no_times_and_collects_to_nothing() -> None:
    ran = run(Collect(item=add(each(), 1)))
    assert ran.session.status == "completed"
    assert ran.nodes == ["integer_collection", "collect"]
    assert collected(ran) == [[]]


def test_an_empty_list_holds_up_nothing_beside_it() -> None:
    ran = run(add(each(), 1), Collect(id="other", item=add(each(1, id="j"), 1, id="k")))
    assert ran.session.status == "completed"
    assert collected(ran, "other") == [[2]]


def test_empty_groups_are_kept_for_each_outer_iteration() -> None:
    outer = each(0, 2, 3, id="outer")
    ran = run(Collect(item=Iterate(id="inner", collection=Spread(value=outer))))
    assert {path: found.collection for path, found in ran.session.outputs_of("collect").items()} == {
        (0,): [], (1,): [20, 21], (2,): []
    }  # fmt: skip


def test_an_iterate_that_nothing_follows_completes() -> None:
    ran = run(each(1, 2))
    assert ran.session.is_complete
    assert ran.session.status == "completed"


def test_an_iterate_over_a_typed_list_needs_no_edge() -> None:
    assert run(add(Iterate(collection=[4, 5]), 1)).values("add", "value") == [5, 6]


def test_an_iterate_over_a_typed_list_of_nothing_completes() -> None:
    ran = run(Iterate(collection=[]))
    assert ran.order == []
    assert ran.session.status == "completed"


# size


def calls_to_run(size: int) -> int:
    """How many Python functions the session calls for a body of two nodes over that many items, collected."""
    graph = Graph.of(Collect(item=add(add(Iterate(collection=Range(stop=size)), 1, id="first"), 1)))
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    session = GraphExecutionState(graph)
    sys.setprofile(count)
    try:
        ran = run_session(session)
    finally:
        sys.setprofile(None)
    assert collected(ran) == [list(range(2, size + 2))]
    return calls


def test_a_thousand_items_take_ten_times_the_work_of_a_hundred() -> None:
    calls_to_run(10)
    assert calls_to_run(1000) <= 10.5 * calls_to_run(100)


def test_paths_come_in_order_for_every_node() -> None:
    ran = run(Collect(item=add(each(1, 2, 3), each(4, 5, 6))))
    paths = [name for name in ran.order if name.startswith("add")]
    assert all(one < other for one, other in pairwise(paths))


def test_a_collect_does_not_wait_for_what_only_a_later_collect_of_the_same_needs() -> None:
    item, none = Iterate(id="item", collection=[1]), Iterate(id="none", collection=[])
    early = Collect(id="early", item=[item, none])
    between = Collect(id="between", item=item)
    late = Collect(id="late", item=none, collection=between)
    ran = run(Graph([item, none, early, between, late]))
    assert ran.order == ["item[0]", "early", "between", "late"]
