"""Numbers of numpy and torch are taken as Python's: where they are typed, in lists, from own nodes, in metadata."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.invocations import Add, IntegerCollection, Iterate, MetadataItem, String
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import ImageOutput, StringOutput
from nbgraph.invocations.plain_numbers import with_plain_numbers


@nb.node(type="test_seen")
def seen(x: Any) -> str:
    return repr(x)


@nb.node(type="test_seen_dictionary")
def seen_dictionary(x: dict[str, Any]) -> str:
    return repr(x)


@pytest.fixture(params=["memory", "folder"])
def studio(request, tmp_path):
    with nb.Studio(None if request.param == "memory" else tmp_path / "studio") as made:
        yield made


GIVEN = {
    "np.int64": (np.int64(3), 3),
    "np.float32": (np.float32(0.5), 0.5),
    "np.bool": (np.bool_(True), True),
    "np.str": (np.str_("a"), "a"),
    "tensor of one number": (torch.tensor(3), 3),
    "tensor of one truth": (torch.tensor(True), True),
    "half": (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
    "array": (np.arange(3), [0, 1, 2]),
    "array of truths": (np.array([True, False]), [True, False]),
    "array of rows": (np.zeros((2, 1)), [[0.0], [0.0]]),
    "tensor": (torch.arange(2), [0, 1]),
    "list": ([1, np.int64(2), [torch.tensor(3)]], [1, 2, [3]]),
    "tuple": ((np.int64(1), "a"), (1, "a")),
    "dictionary": ({"a": np.int64(1), "b": {"c": [np.float64(0.5)]}}, {"a": 1, "b": {"c": [0.5]}}),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_node_sees_plain_numbers(studio, name):
    given, plain = GIVEN[name]
    one, several = seen(given), seen_dictionary({"a": given})
    assert studio.run(one, progress=False)[one].value == repr(plain)
    assert studio.run(several, progress=False)[several].value == repr({"a": plain})
    assert studio.run(seen(id="seen", x=0), {"seen.x": given}, progress=False)["seen"].value == repr(plain)
    assert bool(studio.run(seen(plain), progress=False).stats.cached.iloc[0])


@pytest.mark.parametrize(
    ("collection", "items"),
    [
        (np.arange(3), ["0", "1", "2"]),
        (np.linspace(0, 1, 3, dtype=np.float32), ["0.0", "0.5", "1.0"]),
        (torch.arange(2), ["0", "1"]),
        ([np.int64(1), torch.tensor(0.5), np.bool_(False)], ["1", "0.5", "False"]),
        (np.array([[1, 2], [3, 4]]), ["[1, 2]", "[3, 4]"]),
    ],
)
def test_an_iteration_over_numbers_gives_plain_ones(studio, collection, items):
    node = seen(x=Iterate(collection=collection))
    run = studio.run(node, progress=False)
    assert [output.value for output in run.outputs(node)] == items


def test_metadata_hold_plain_numbers(studio):
    node = MetadataItem(label="steps", value={"all": np.arange(2), "one": np.int64(3)})
    assert studio.run(node, progress=False)[node].item.value == {"all": [0, 1], "one": 3}
    kept = studio.images.add(PillowImage.new("RGB", (2, 2)), metadata={"score": np.float32(0.5)})
    assert studio.services.images.record(kept.image_name).metadata == {"score": 0.5}

    @invocation("test_scored", category="test")
    class Scored(BaseInvocation):
        def invoke(self, context: InvocationContext) -> ImageOutput:
            return context.images.output(PillowImage.new("RGB", (2, 2)), metadata={"score": np.float32(0.5)})

    made = Scored()
    name = studio.run(made, progress=False)[made].image_name
    assert studio.services.images.record(name).metadata == {"score": 0.5}


def test_typed_inputs_take_them_as_before(studio):
    node = Add(a=np.int64(3), b=torch.tensor(4))
    assert studio.run(node, progress=False)[node].value == 7
    assert IntegerCollection(collection=np.arange(2)).collection == [0, 1]
    assert String(value=np.int64(3)).value == "3"


def test_single_numbers_that_a_persons_node_gives_are_plain_and_arrays_stay(studio):
    @nb.node(type="test_gives_numbers")
    def gives(n: int) -> list[Any]:
        return [np.int64(n), np.float32(0.5), {"a": torch.tensor(1)}]

    node = gives(3)
    for _ in range(2):
        found = studio.run(node, progress=False)[node].collection
        assert repr(found) == "[3, 0.5, {'a': 1}]"
    assert isinstance(with_plain_numbers([np.arange(3)], arrays=False)[0], np.ndarray)


def test_a_class_that_takes_arrays_keeps_them():
    @invocation("test_takes_arrays", category="test", use_cache=False)
    class TakesArrays(BaseInvocation):
        model_config = {"arbitrary_types_allowed": True}
        values: np.ndarray

        def invoke(self, context: InvocationContext) -> StringOutput:
            return StringOutput(value=str(self.values.sum()))

    assert isinstance(TakesArrays(values=np.arange(3)).values, np.ndarray)


def test_what_holds_no_such_numbers_is_the_same_object():
    circle: list[Any] = [np.int64(1)]
    circle.append(circle)
    assert with_plain_numbers(circle) is circle
    for value in ([1, "a"], (1, 2), {"a": [1]}, np.array([object()]), np.complex64(1), torch.float32, object()):
        assert with_plain_numbers(value) is value
