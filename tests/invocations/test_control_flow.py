"""Zip, item of and the ranges: what they give, and what they refuse."""

from typing import cast

import pytest

from nbgraph.errors import GraphError
from nbgraph.invocations import FloatRange, ItemOf, RandomRange, Range, RangeOfSize, Zip
from nbgraph.invocations.base import InvocationContext

CONTEXT = cast(InvocationContext, None)


def test_zip_pairs_items_in_order() -> None:
    assert Zip(a=[1, 2], b=["x", "y"]).invoke(CONTEXT).collection == [[1, "x"], [2, "y"]]


def test_zip_refuses_lists_of_unequal_length_and_tells_both() -> None:
    with pytest.raises(ValueError, match="a has 2 items and b has 1"):
        Zip(a=[1, 2], b=["x"]).invoke(CONTEXT)


def test_zip_tells_unequal_lengths_before_anything_runs() -> None:
    node = Zip(a=[1, 2], b=["x"])
    assert [field for field, _ in node.check({"a": [1, 2], "b": ["x"]}, CONTEXT)] == ["b"]
    assert not list(node.check({"a": [1, 2]}, CONTEXT))


def test_an_item_is_taken_from_either_end() -> None:
    assert ItemOf(collection=[1, 2, 3], index=-1).invoke(CONTEXT).item == 3
    with pytest.raises(IndexError, match="3 items, so there is none at 3"):
        ItemOf(collection=[1, 2, 3], index=3).invoke(CONTEXT)


@pytest.mark.parametrize(
    ("start", "stop", "step"), [(0, 5, 2), (5, 0, -2), (0, 0, 1), (3, 1, 1), (-3, 4, 3), (0, 6, 2), (6, 0, -2)]
)
def test_a_range_is_what_python_says_it_is(start: int, stop: int, step: int) -> None:
    assert Range(start=start, stop=stop, step=step).invoke(CONTEXT).collection == list(range(start, stop, step))


def test_a_range_of_step_nought_is_refused() -> None:
    with pytest.raises(ValueError, match="step is 0"):
        Range(step=0).invoke(CONTEXT)
    assert [field for field, _ in Range().check({"start": 0, "stop": 1, "step": 0}, CONTEXT)] == ["step"]


@pytest.mark.parametrize(("stop", "step"), [(10**9, 1), (10**30, 7), (-(10**9), -1)])
def test_a_range_of_a_billion_is_refused_before_it_is_made(stop: int, step: int) -> None:
    with pytest.raises(ValueError, match="at most 1,000,000"):
        Range(stop=stop, step=step).invoke(CONTEXT)


@pytest.mark.parametrize("make", [RangeOfSize, RandomRange])
def test_a_size_of_a_billion_is_refused_when_it_is_typed(make: type) -> None:
    with pytest.raises(GraphError, match="less than or equal to 1000000, not 1000000000"):
        make(size=10**9)


def test_a_float_range_has_both_ends() -> None:
    assert FloatRange(start=0, stop=1, steps=3).invoke(CONTEXT).collection == [0.0, 0.5, 1.0]
    assert FloatRange(start=2, stop=3, steps=1).invoke(CONTEXT).collection == [2.0]


def test_a_random_range_is_the_same_for_the_same_seed() -> None:
    first, again = (RandomRange(size=5, seed=7).invoke(CONTEXT).collection for _ in range(2))
    assert first == again
    assert first != RandomRange(size=5, seed=8).invoke(CONTEXT).collection
