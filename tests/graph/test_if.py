"""If: what only the other branch needs does not run, decided for each iteration."""

from typing import Any

import pytest

from nbgraph.invocations import Add, Boolean, Collect, If, Integer, IntegerCollection, Iterate, Range
from tests.graph.nodes import Fails, IsOdd, Spread, Total
from tests.graph.running import run


def number(name: str, value: Any = 1) -> Add:
    return Add(id=name, a=value, b=0)


@pytest.mark.parametrize("taken", [True, False])
def test_only_the_branch_that_is_taken_runs(taken: bool) -> None:
    ran = run(If(condition=Boolean(value=taken), true_input=number("yes", 1), false_input=number("no", 2)))
    assert ran.value("if", "value") == (1 if taken else 2)
    assert ran.nodes == ["boolean", "yes" if taken else "no", "if"]
    assert ran.session.skipped == {"no" if taken else "yes": "its branch was not taken"}
    assert ran.session.status == "completed"


def test_the_condition_may_be_typed() -> None:
    ran = run(If(condition=False, true_input=number("yes"), false_input=number("no", 2)))
    assert ran.nodes == ["no", "if"]


def test_a_branch_may_be_typed_or_left_out() -> None:
    assert run(If(condition=True, true_input=5, false_input=number("no"))).value("if", "value") == 5
    assert run(If(condition=True, false_input=number("no"))).value("if", "value") is None


def test_what_both_branches_need_runs() -> None:
    shared = number("shared")
    ran = run(If(condition=True, true_input=number("yes", shared), false_input=number("no", shared)))
    assert ran.nodes == ["shared", "yes", "if"]


def test_what_something_else_needs_runs_though_its_branch_is_not_taken() -> None:
    no = number("no")
    ran = run(If(condition=True, true_input=1, false_input=no), Add(id="other", a=no))
    assert "no" in ran.nodes


def test_what_is_asked_for_runs_though_its_branch_is_not_taken() -> None:
    no = number("no")
    ran = run(If(condition=True, true_input=1, false_input=no), targets=["if", "no"])
    assert "no" in ran.nodes


def test_a_chain_before_an_untaken_branch_does_not_run() -> None:
    ran = run(If(condition=True, true_input=1, false_input=number("no", number("before", number("first")))))
    assert ran.nodes == ["if"]


def test_the_branch_is_chosen_for_each_iteration() -> None:
    item = Iterate(collection=Range(stop=4))
    ran = run(Collect(item=If(condition=IsOdd(value=item), true_input=number("odd", item), false_input=-1)))
    assert ran.value("collect", "collection") == [-1, 1, -1, 3]
    assert [name for name in ran.order if name.startswith("odd")] == ["odd[1]", "odd[3]"]
    assert set(ran.session.skipped) == {"odd[0]", "odd[2]"}


def test_a_whole_iteration_in_an_untaken_branch_does_not_run() -> None:
    body = Collect(item=number("body", Iterate(collection=IntegerCollection(collection=[1, 2]))))
    ran = run(If(condition=Boolean(value=False), true_input=body, false_input=[]))
    assert ran.nodes == ["boolean", "if"]
    assert ran.session.status == "completed"


def test_an_iteration_over_what_an_untaken_branch_would_list_does_not_run() -> None:
    outer = Iterate(id="outer", collection=Range(start=1, stop=3))
    inner = Iterate(id="inner", collection=Spread(id="spread", value=outer))
    total = Total(id="total", collection=Collect(id="rows", item=number("body", inner)))
    ran = run(If(condition=IsOdd(value=outer), true_input=total, false_input=0))
    assert ran.values("if", "value") == [11, 0]
    assert "spread[1]" not in ran.order


def test_what_is_collected_for_a_branch_runs_for_all_items_if_one_iteration_takes_it() -> None:
    item = Iterate(collection=Range(stop=3))
    everything = Total(collection=Collect(item=number("body", item)), id="total")
    ran = run(If(condition=IsOdd(value=item), true_input=everything, false_input=0))
    assert ran.values("if", "value") == [0, 6, 0]


@pytest.mark.parametrize(("outer", "inner", "ran_nodes"), [
    (True, True, {"deep"}), (True, False, {"other"}), (False, True, set()), (False, False, set()),
])  # fmt: skip
def test_nested_ifs_open_only_what_both_take(outer: bool, inner: bool, ran_nodes: set[str]) -> None:
    choose = If(
        id="inner", condition=Boolean(id="c", value=inner), true_input=number("deep"), false_input=number("other")
    )
    ran = run(If(id="outer", condition=Boolean(id="o", value=outer), true_input=choose, false_input=0))
    assert {"deep", "other"} & set(ran.nodes) == ran_nodes
    assert ("c" in ran.nodes) == outer
    assert ran.session.status == "completed"


def test_a_failure_in_the_branch_that_is_taken_fails_what_follows() -> None:
    ran = run(If(condition=Boolean(value=True), true_input=Fails(at=0), false_input=1), on_error="continue")
    assert list(ran.session.errors) == ["test_fails"]
    assert ran.session.skipped == {"if": "test_fails gave nothing"}
    assert ran.session.status == "failed"


def test_a_failure_in_the_other_branch_matters_to_nobody() -> None:
    fails = Fails(at=0)
    ran = run(If(condition=Boolean(value=False), true_input=fails, false_input=1), targets=["if", "test_fails"],
              on_error="continue")  # fmt: skip
    assert ran.value("if", "value") == 1


def test_a_condition_that_failed_fails_what_it_decides() -> None:
    flag = IsOdd(value=Fails(at=0))
    ran = run(If(condition=flag, true_input=number("yes"), false_input=number("no")), on_error="continue")
    assert set(ran.session.skipped) == {"test_is_odd", "yes", "no", "if"}


def test_a_condition_means_what_it_means_to_the_if_also_where_its_type_is_not_known() -> None:
    word = Iterate(collection=["no", "yes"])
    ran = run(If(condition=word.output("item"), true_input=number("yes"), false_input=number("nope", 2)))
    assert ran.values("if", "value") == [2, 1]


def test_the_order_does_not_depend_on_how_texts_are_hashed() -> None:
    choose: Any = 0
    for level in range(4):
        flag = Boolean(id=f"flag{level}", value=True)
        choose = If(id=f"if{level}", condition=flag, true_input=choose, false_input=number(f"no{level}"))
    assert run(choose, Integer(value=1)).order == [
        "flag3",
        "flag2",
        "flag1",
        "flag0",
        "if0",
        "if1",
        "if2",
        "if3",
        "integer",
    ]
