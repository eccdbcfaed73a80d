"""Axes of a sweep: parts of texts, weights, schedulers and models, zipped and multiplied."""

import copy
import pickle

import pytest

import nbgraph as nb
from nbgraph.errors import GraphError
from nbgraph.invocations import Add, JoinStrings


@pytest.fixture
def join():
    return JoinStrings(id="join", string_left="a red apple, an apple tree", string_right="!")


def values_of(studio, join, axes):
    return studio.sweep(join, axes, progress=False).frame.value.tolist()


def test_a_part_of_a_text_is_replaced_wherever_it_occurs(studio, join):
    apple = nb.replace("join.string_left", "apple")
    sweep = studio.sweep(join, {apple: ["apple", "pear"]}, progress=False)
    assert sweep.frame.value.tolist() == ["a red apple, an apple tree!", "a red pear, an pear tree!"]
    assert sweep.frame["join.string_left: apple"].tolist() == ["apple", "pear"]


def test_parts_of_one_text_are_multiplied_and_no_value_is_replaced_again(studio, join):
    apple, red = nb.replace("join.string_left", "apple"), nb.replace("join.string_left", "red")
    found = values_of(studio, join, {apple: ["red pear", "plum"], red: ["green", "apple"]})
    assert [text.partition(",")[0] for text in found] == [
        "a green red pear",
        "a apple red pear",
        "a green plum",
        "a apple plum",
    ]


def test_parts_are_zipped_with_each_other_and_with_other_inputs(studio, join):
    apple = nb.replace("join.string_left", "apple")
    found = values_of(studio, join, {(apple, "join.string_right"): [("pear", "?"), ("plum", ".")]})
    assert found == ["a red pear, an pear tree?", "a red plum, an plum tree."]


def test_a_part_is_replaced_in_each_value_of_its_own_text(studio, join):
    axes = {"join.string_left": ["big apple", "small apple"], nb.replace("join.string_left", "apple"): ["pear"]}
    assert values_of(studio, join, axes) == ["big pear!", "small pear!"]


def test_the_longer_of_two_parts_is_replaced_where_both_begin(studio, join):
    tree, apple = nb.replace("join.string_left", "apple tree"), nb.replace("join.string_left", "apple")
    assert values_of(studio, join, {apple: ["pear"], tree: ["oak"]}) == ["a red pear, an oak!"]


def test_a_part_is_compared_and_labelled_by_what_it_replaces(studio):
    @nb.node
    def length(text: str, seed: int) -> int:
        return len(text) + seed

    axes = {nb.replace("length.text", "red. apple"): ["x", "xyz"], "length.seed": range(6)}
    sweep = studio.sweep(length(text="a red. apple", seed=0), axes, progress=False)
    assert sweep.compare("red. apple", metric="value").frame.difference.tolist() == [2.0]
    assert sweep.compare("red. apple", metric="value").frame.seeds.tolist() == [6]


@pytest.mark.parametrize(
    ("axis", "items", "message"),
    [
        (("join.string_left", "cherry"), ["x"], "'cherry' does not occur in join.string_left"),
        (("join.string_left", "apple"), [5], "is replaced by texts, not by 5"),
        (("join.string_left", "apple"), [], "a part of a text has an empty list of values"),
        (("join.strung", "apple"), ["x"], "string_left"),
        (("jion.string_left", "apple"), ["x"], "join"),
        (("sum.a", "apple"), ["x"], "'sum.a' has no text of its own"),
        (("join.string_left", ""), ["x"], "old is a text"),
        ((5, "apple"), ["x"], "address is a text"),
    ],
)
def test_what_cannot_be_replaced_is_refused_before_anything_runs(studio, join, axis, items, message):
    graph = nb.Graph.of(join, Add(id="sum", a=1, b=2))
    with pytest.raises(GraphError, match=message):
        studio.sweep(graph, {nb.replace(*axis): items}, node="join", progress=False)
    assert studio.queue.frame.empty


def test_too_many_cells_of_parts_are_refused_at_once(join):
    with nb.Studio(settings=nb.Settings(max_sessions=10)) as studio, pytest.raises(GraphError, match="limit of 10"):
        studio.sweep(join, {nb.replace("join.string_left", "apple"): map(str, range(11))}, progress=False)


def test_a_part_survives_copies(join):
    part = nb.replace("join.string_left", "apple")
    for again in (copy.copy(part), pickle.loads(pickle.dumps(part))):
        assert (again, again.address, again.old) == (part, part.address, part.old)
