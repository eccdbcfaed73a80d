"""Which output may be wired to which input, as a table."""

from typing import Annotated, Any, Literal

import pytest

from nbgraph.invocations.fields import ImageField, LatentsField, ResourceField
from nbgraph.invocations.types import assignable, item_type, type_name

YES = [
    (int, float), (int, str), (float, str), (int, int | None), (int, float | None), (ImageField, ResourceField),
    (int, float | list[float]), (list[float], float | list[float]), (Literal["a"], str),
    (Literal["a"], Literal["a", "b"]), (list[int], list[float]), (list[int], list[Any]), (list[int], list),
    (list, list[int]), (list[Any], list[int]), (int, Any), (Any, int), (list[int], Any), (bool, bool),
    (ImageField, ImageField | None), (int | float, float), (list[ImageField], list[ResourceField]),
    (Annotated[int, "mark"], int), (dict[str, int], dict[str, float]), (Literal[1], float),
]  # fmt: skip
NO = [
    (float, int), (str, int), (bool, str), (bool, int), (int, bool), (list[int], int), (int, list[int]),
    (list[int], dict[int, str]), (dict[str, int], int), (list[int], int | str), (ImageField, LatentsField),
    (ResourceField, ImageField), (str, Literal["a"]), (Literal["a", "c"], Literal["a", "b"]), (int | None, int),
    (list[str], list[int]), (int | str, float), (None, int), (list[list[int]], list[int]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target"), YES, ids=str)
def test_a_value_may_arrive_where_nothing_of_it_is_lost(source: Any, target: Any) -> None:
    assert assignable(source, target)


@pytest.mark.parametrize(("source", "target"), NO, ids=str)
def test_a_value_may_not_arrive_where_it_would_have_to_be_guessed(source: Any, target: Any) -> None:
    assert not assignable(source, target)


def test_the_items_of_a_list_have_its_argument_as_their_type() -> None:
    assert item_type(list[int]) is int
    assert item_type(list[int] | None) is int
    assert item_type(list) is Any
    assert item_type(Any) is Any
    assert item_type(int) is None
    assert item_type(int | list[int]) is int


def test_types_are_named_as_a_person_writes_them() -> None:
    assert type_name(list[ImageField]) == "list[ImageField]"
    assert type_name(float | None) == "float | None"
    assert type_name(Literal["a", "b"]) == "'a' | 'b'"
