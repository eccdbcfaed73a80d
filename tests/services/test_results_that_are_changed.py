"""Who changes a result in place, a person or a node, changes it for nobody else, in memory and in a folder."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel, ConfigDict

from nbgraph import Studio, node
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import CollectionOutput
from nbgraph.services.shared.defensive_copy import defensive_copy
from tests.services.conftest import KINDS


class Box(BaseModel):
    """A value that may be changed."""

    items: list[Any] = []


class Sealed(BaseModel):
    """A value that may not be changed, though what is in it may."""

    model_config = ConfigDict(frozen=True)

    items: list[Any] = []


class Pair(NamedTuple):
    """A tuple with names."""

    one: Any
    two: Any


@dataclass
class Point:
    """A dataclass."""

    x: int
    more: list[int]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A dataclass that may not be changed, though what is in it may."""

    x: int
    more: list[int]


class Refusing(dict):
    """A dict that may not be changed."""

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("it may not be changed")


@cache
def kept() -> list[Any]:
    """What a node gives and keeps; it is no part of the node's key, as a cached function remembers it."""
    return [{"a": 1}]


@node(type="test_mapping")
def mapping(a: int = 1) -> dict:
    return {"a": a, "nested": {"list": [a, [a]]}}


@node(type="test_rows")
def rows(a: int = 1) -> list[dict]:
    return [{"a": a, "list": [a]}]


@node(type="test_lists")
def lists(a: int = 1) -> list[list[int]]:
    return [[a], [a, a]]


@node(type="test_anything")
def anything(a: int = 1) -> Any:
    return {"a": [a, {a}, (a, [a])]}


@node(type="test_box")
def box(a: int = 1) -> Box:
    return Box(items=[a, [a]])


@invocation("test_gives_what_it_keeps", category="test")
class GivesWhatItKeeps(BaseInvocation):
    """Gives a list that it has a hold of."""

    def invoke(self, context: InvocationContext) -> CollectionOutput:
        return CollectionOutput(collection=kept())


@node(type="test_empties")
def empties(a: Any) -> int:
    found = len(a)
    a[0]["a"]["b"].clear()
    a.clear()
    return found


@node(type="test_text_of")
def text_of(a: Any) -> str:
    return repr(a)


@pytest.fixture(params=KINDS)
def studio(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Studio]:
    with Studio(tmp_path / "studio" if request.param == "sqlite" else None) as studio:
        yield studio


def ruin(value: Any) -> None:
    """Change all that can be changed of a value."""
    if isinstance(value, BaseModel):
        ruin(vars(value))
    elif isinstance(value, list | tuple | dict):
        for item in list(value.values() if isinstance(value, dict) else value):
            ruin(item)
    if isinstance(value, list | dict | set):
        value.clear()


@pytest.mark.parametrize(
    ("maker", "output"),
    [(mapping, "value"), (rows, "collection"), (lists, "collection"), (anything, "value"), (box, "value")],
)
def test_a_result_that_a_person_changes_stays_what_it_was_for_the_run_and_the_cache(studio, maker, output):
    made = maker(id="made")
    run = studio.run([made, text_of(a=made, id="text")], progress=False)
    was = run["text"].value
    ruin(getattr(run["made"], output))
    assert repr(getattr(run["made"], output)) == was
    again = studio.run(made, progress=False)
    assert repr(getattr(again["made"], output)) == was


def test_a_node_that_changes_what_it_is_given_changes_it_for_nobody_else(studio):
    @node(type="test_deep", use_cache=False)
    def deep() -> Any:
        return [{"a": {"b": [1]}}]

    made = deep(id="made")
    run = studio.run([empties(a=made, id="empties"), text_of(a=made, id="text")], progress=False)
    assert run["made"].value == [{"a": {"b": [1]}}]
    assert run["text"].value == "[{'a': {'b': [1]}}]"


def test_a_result_that_its_node_goes_on_changing_stays_what_it_was(studio):
    made = GivesWhatItKeeps(id="made")
    run = studio.run(made, progress=False)
    kept()[0]["a"] = 5
    try:
        assert run["made"].collection == studio.run(made, progress=False)["made"].collection == [{"a": 1}]
    finally:
        kept.cache_clear()


def test_a_copy_has_the_containers_and_models_anew_and_shares_what_is_in_them():
    picture, thing = Image.new("RGB", (2, 2)), object()
    value = {"a": [picture, {"b": (thing, [1])}], "c": {1, 2}, "d": Sealed(items=[Box(items=[thing])])}
    copied = defensive_copy(value)
    assert copied == value
    assert copied["a"][0] is picture
    assert copied["a"][1]["b"][0] is thing
    assert copied["d"].items[0].items[0] is thing
    ruin(value)
    assert copied["a"][1]["b"] == (thing, [1])
    assert copied["c"] == {1, 2}
    assert copied["d"].items[0].items == [thing]


def test_what_nobody_can_change_is_not_copied():
    for value in (1, "a", None, (1, (2, "b")), ImageField(image_name="x" * 32), Image.new("L", (1, 1))):
        assert defensive_copy(value) is value


def test_arrays_and_dataclasses_in_a_container_are_copied_too():
    value = [np.zeros(2), Point(1, [2]), Fixed(3, [4])]
    copied = defensive_copy(value)
    value[0][:] = 9
    value[1].x = 9
    value[1].more.append(9)
    value[2].more.append(9)
    assert list(copied[0]) == [0, 0]
    assert copied[1:] == [Point(1, [2]), Fixed(3, [4])]


def test_a_dict_that_refuses_new_items_is_shared():
    value = {"a": Refusing(b=1)}
    copied = defensive_copy(value)
    assert copied is not value
    assert copied["a"] is value["a"]


def test_containers_of_special_kinds_stay_of_their_kind():
    for value in (OrderedDict(b=[1], a=2), Counter("aab"), Pair([1], {"a": 1})):
        copied = defensive_copy(value)
        assert (copied, type(copied)) == (value, type(value))
        assert copied is not value


def test_a_list_that_holds_itself_is_copied_once():
    value: list[Any] = [1]
    value.append({"self": value})
    copied = defensive_copy(value)
    assert copied is not value
    assert copied[1]["self"] is copied
