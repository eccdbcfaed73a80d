"""Keys of the cache: what a node can tell apart has two keys, and what it cannot has one."""

import json
from collections import OrderedDict, namedtuple
from datetime import date
from enum import Enum, IntEnum, StrEnum
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from nbgraph import NodeError, Studio, node
from nbgraph.invocations import Add, node_type
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ClipField, ColorField, ImageField, ModelField, UNetField
from nbgraph.invocations.node_type import KeyHead, node_type_of
from nbgraph.invocations.outputs import StringOutput
from nbgraph.services.invocation_cache.code_hash import code_of
from nbgraph.services.invocation_cache.contents import Contents
from nbgraph.services.invocation_cache.invocation_cache_common import (
    MADE_EARLIER,
    MADE_LATER,
    describe_change,
)

HEAD = node_type_of(Add).key_head(code_of(Add))


class Colour(Enum):
    """An enumeration."""

    RED = "red"


class Words(StrEnum):
    """An enumeration of texts."""

    RED = "red"


class Numbers(IntEnum):
    """An enumeration of numbers."""

    ONE = 1


class Inner(BaseModel):
    """A model in another."""

    a: Any = 1


class Twin(BaseModel):
    """A model with the fields of another."""

    a: Any = 1


class Open(BaseModel):
    """A model that takes more than its fields."""

    model_config = ConfigDict(extra="allow")


Pair = namedtuple("Pair", "a b")


class Shout(str):
    """A text of its own class."""


def key(value: Any) -> bytes:
    return Contents(lambda field: f"content of {field.resource_name}").key(HEAD, (value, 0))[0]


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are of the same types and values throughout."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return same([list(pair) for pair in one.items()], [list(pair) for pair in other.items()])
    if isinstance(one, set | frozenset):
        return {(type(item), repr(item)) for item in one} == {(type(item), repr(item)) for item in other}
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


MODEL = ModelField(name="m", path="m", fingerprint="f")
SCALARS = [
    *[None, False, True, 0, 1, -1, 0.0, -0.0, 1.0, 1.5, float("nan"), float("inf"), -float("inf"), 10**30],
    *["", "0", "1", "1.0", "1.5", "true", "True", "null", "None", "NaN", "Infinity", "é", "is", "content", "model"],
    *["tuple", "dict", "red", "[1]", '{"1": 2}'],
]
VALUES = [
    *SCALARS,
    *[[], (), {}, set(), frozenset(), [1], (1,), {1}, frozenset({1}), [[1]], [(1,)], ([1],), [1, [2]], [[1], 2]],
    *[{1: 2}, {"1": 2}, {1.0: 2}, {True: 2}, {"true": 2}, {None: 2}, {"null": 2}, {(1,): 2}, {"a": {1: 2}}],
    *[{"a": {"1": 2}}, {"a": None}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {1, "1"}, {1.0, "1"}, {1, 2}, {"1", "2"}],
    *[
        {(1, "a"), 2, None},
        [{"a": 1}],
        [{"a": 1.0}],
        [{"a": True}],
        OrderedDict(a=1),
        OrderedDict(),
        Pair(1, 2),
        (1, 2),
    ],
    *[Colour.RED, Words.RED, Numbers.ONE, [Words.RED], ["red"], Shout("red"), Path("red"), PurePosixPath("red")],
    *[
        Inner(),
        Twin(),
        {"a": 1},
        Inner(a=1.0),
        Inner(a=Inner()),
        Inner(a=Twin()),
        [Inner()],
        {"x": Inner()},
        {"x": Twin()},
    ],
    *[Open(), Open(a=1), Open(b=1), Open(a="1"), ColorField(), ColorField(r=1), ImageField(image_name="x")],
    *[MODEL, UNetField(model=MODEL), ClipField(model=MODEL), MODEL.content(), {"model": MODEL.content()}],
    *[
        {"content": "content of x"},
        {"model": "Inner", "a": 1},
        {"is": "tuple", "value": [1]},
        {"is": "dict", "value": []},
    ],
    *[{"is": f"{__name__}.Inner", "value": {"a": 1}}, {"model": {"a": 1}}],
]


def test_values_that_a_node_can_tell_apart_have_different_keys():
    keys = [key(value) for value in VALUES]
    shared = [(one, other) for (one, a), (other, b) in combinations(zip(VALUES, keys), 2) if a == b]
    assert shared == []


def test_so_they_have_inside_lists_dicts_and_models():
    for wrap in (lambda value: [0, value], lambda value: {"x": value}, lambda value: Inner(a=value)):
        assert len({key(wrap(value)) for value in VALUES}) == len(VALUES)


scalars = st.sampled_from(SCALARS)
hashables = scalars | st.tuples(scalars) | st.frozensets(scalars, max_size=2)
values = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(hashables, inner, max_size=3)
        | st.sets(hashables, max_size=3)
    ),
    max_leaves=6,
)


@given(values, values)
def test_two_plain_values_share_a_key_if_and_only_if_they_are_of_the_same_types_and_values(one, other):
    assert (key(one) == key(other)) == same(one, other)


@given(values)
def test_no_value_has_the_key_of_what_it_is_written_as(value):
    written = json.loads(Contents(lambda field: "").text(value))
    assert (key(value) == key(written)) == same(value, written)


def test_equal_sets_and_models_share_a_key_however_they_came_about():
    assert [*{0, 8}] != [*{8, 0}]
    assert key({0, 8}) == key({8, 0})
    assert key({1, "a", None}) == key({None, "a", 1})
    assert key(Open(a=1, b=2)) == key(Open(b=2, a=1))
    assert key([Inner(a={"x": (1,)})]) == key([Inner(a={"x": (1,)})])


def test_a_number_too_long_for_python_to_write_can_be_in_a_key():
    assert key([10**5000]) == key([10**5000]) != key([10**5000 + 1])


def test_numbers_texts_and_plain_lists_are_written_as_json():
    written = Contents(lambda field: "").text
    assert written([1, 2.5, "é", None, True]) == '[1, 2.5, "é", null, true]'
    assert written([[1, 2], [3]]) == "[[1, 2], [3]]"
    assert written({"a": [1], "b": "x"}) == '{"a": [1], "b": "x"}'
    assert Contents(lambda field: "c").text(ImageField(image_name="x")) == '{"content": "c"}'


@node(type="test_says")
def says(a: Any) -> str:
    return repr(a)


@invocation("test_reads", category="test")
class Reads(BaseInvocation):
    """Takes a path."""

    path: Path

    def invoke(self, context: InvocationContext) -> StringOutput:
        return StringOutput(value=str(self.path))


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (date(2026, 1, 2), "a date"),
        ([b"x"], "a bytes"),
        ({"x": {1: object()}}, "a object"),
        (endless(), "a list that holds itself"),
    ],
)
def test_what_cannot_be_part_of_a_key_is_told_with_what_to_do(studio, value, what):
    with pytest.raises(NodeError, match=f"{what}.* cannot be part of a cache key; set use_cache=False on the node"):
        studio.run(says(a=value), progress=False)


@pytest.mark.parametrize("value", ["\ud800", ["\ud800"]])
def test_half_a_character_from_another_node_cannot_be_part_of_a_key(value):
    """Typed ones are refused before a run; those that a node gives come to the keys of the nodes behind it."""
    with pytest.raises(TypeError, match="half a character .* cannot be part of a cache key"):
        Contents(lambda field: "").key(HEAD, (value,))


def test_a_node_never_gets_the_result_of_a_value_that_it_can_tell_apart(studio):
    for value in ((1,), [1], {1: 2}, {"1": 2}, {"b": 1, "a": 2}, {"a": 2, "b": 1}):
        assert studio.run(says(a=value, id="says"), progress=False)["says"].value == repr(value)


def test_another_path_is_told_as_such(studio):
    studio.run(Reads(path="a", id="reads"), progress=False)  # type: ignore[arg-type]
    assert studio.explain(Reads(path="b", id="reads")).because[0] == 'reads.path "a" -> "b"'  # type: ignore[arg-type]


def test_keys_that_were_made_in_another_way_are_never_met_and_it_is_told_why(monkeypatch):
    monkeypatch.setattr(node_type, "FORMAT", 2)
    now, before = HEAD, KeyHead(Add, code_of(Add), ["a", "b"])
    values = (1, 2)
    assert Contents(lambda field: "").key(now, values)[0] != Contents(lambda field: "").key(before, values)[0]
    old, new = before.key_source(b"[1,2]}"), now.key_source(b"[1,2]}")
    assert describe_change(old, new) == [MADE_EARLIER]
    assert describe_change(new, old) == [MADE_LATER]


def test_a_folder_with_keys_of_an_earlier_format_opens_and_says_why_it_computes_again(tmp_path, monkeypatch):
    total = Add(id="total", a=2, b=3)
    with monkeypatch.context() as patch:
        patch.setattr(node_type, "FORMAT", 2)
        patch.setattr(Add, "_node_type", None)
        with Studio(tmp_path) as studio:
            studio.run(total, progress=False)
    with Studio(tmp_path) as studio:
        row = studio.explain(total).iloc[0]
        assert (bool(row.will_run), row.because) == (True, MADE_EARLIER)
        assert not studio.run(total, progress=False).stats.cached.iloc[0]
        assert studio.run(total, progress=False).stats.cached.iloc[0]
