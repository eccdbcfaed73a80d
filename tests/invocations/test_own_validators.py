"""A validator of a person's own node changes a value once, whatever way the value comes; files keep what was typed."""

from typing import Annotated

import numpy as np
import pytest
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

import nbgraph as nb
from nbgraph.errors import GraphError, NodeError
from nbgraph.invocations import Float, Iterate
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.collections import FloatCollection
from nbgraph.invocations.outputs import FloatOutput, StringOutput


def share(value: float) -> float:
    """A percentage as a share; a share of a share is another."""
    if not 1 <= value <= 100:
        raise ValueError("a percentage is from 1 to 100")
    return value / 100


@invocation("by_decorator", title="By decorator", category="test", version="1.0.0")
class ByDecorator(BaseInvocation):
    percent: float = 50
    note: str = ""

    @field_validator("percent")
    @classmethod
    def _share(cls, value: float) -> float:
        return share(value)

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=self.percent)


@invocation("by_annotation", title="By annotation", category="test", version="1.0.0")
class ByAnnotation(BaseInvocation):
    percent: Annotated[float, AfterValidator(share)] = 50
    note: str = ""

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=self.percent)


@invocation("as_a_whole", title="As a whole", category="test", version="1.0.0")
class AsAWhole(BaseInvocation):
    percent: float = 50
    note: str = ""

    @model_validator(mode="after")
    def _share(self) -> "AsAWhole":
        if isinstance(self.percent, float | int):
            self.__dict__["percent"] = share(self.percent)
        return self

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=self.percent)


@invocation("before_all", title="Before all", category="test", version="1.0.0")
class BeforeAll(BaseInvocation):
    percent: float = 50
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _share(cls, values: dict) -> dict:
        return {**values, "percent": share(float(values.get("percent", 50)))}

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=self.percent)


@nb.node(type="by_function")
def by_function(percent: Annotated[float, AfterValidator(share)] = 50, note: str = "") -> float:
    return percent


CLASSES = [ByDecorator, ByAnnotation, AsAWhole, BeforeAll, by_function]


@pytest.fixture(params=["memory", "folder"])
def studio(request, tmp_path):
    with nb.Studio(None if request.param == "memory" else tmp_path / "studio") as made:
        yield made


def value(studio, node, *values, **options):
    run = studio.run(node, *values, progress=False, **options)
    return run.outputs(node)[0].value


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.type)
def test_a_value_is_changed_once_whatever_way_it_comes(studio, cls):
    assert value(studio, cls(percent=50)) == 0.5
    assert value(studio, cls()) == 0.5
    assert value(studio, cls(percent="50")) == 0.5
    assert value(studio, cls(percent=Float(value=50))) == 0.5
    node = cls(id="node", percent=20)
    node.percent = 50
    assert value(studio, node) == 0.5
    node.note = "another input, assigned"
    assert value(studio, node) == 0.5
    assert value(studio, cls(id="node", percent=20), {"node.percent": 50}) == 0.5
    graph = nb.Graph.of(cls(id="node", percent=50))
    for _ in range(2):
        graph = nb.Graph.from_json(graph.to_json())
        assert graph.nodes["node"].percent == 50
    assert studio.run(graph, progress=False).outputs("node")[0].value == 0.5
    graph.update_node("node", note="another input, updated")
    assert studio.run(graph, progress=False).outputs("node")[0].value == 0.5


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.type)
def test_a_value_of_an_iteration_and_of_a_sweep_is_changed_once(studio, cls):
    node = cls(percent=Iterate(collection=FloatCollection(collection=[10, 50])))
    run = studio.run(node, progress=False)
    assert [output.value for output in run.outputs(node)] == [0.1, 0.5]
    swept = cls(id="node")
    assert list(studio.sweep(swept, {"node.percent": [10, 50]}, progress=False).frame.value) == [0.1, 0.5]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.type)
def test_a_value_that_a_validator_refuses_is_refused_where_it_is_given(studio, cls):
    with pytest.raises(GraphError, match="a percentage is from 1 to 100"):
        cls(percent=0.5)
    with pytest.raises((GraphError, NodeError), match="a percentage is from 1 to 100"):
        value(studio, cls(percent=Float(value=0.5)))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.type)
def test_equal_values_share_a_result_whatever_way_they_come(studio, cls):
    value(studio, cls(percent=50.0))
    run = studio.run(cls(id="linked", percent=Float(value=50.0)), progress=False)
    assert bool(run.stats.set_index("source").cached["linked"])


def test_a_check_and_a_static_node_see_values_as_they_are_when_it_runs(studio):
    seen = []

    @invocation("checked", title="Checked", category="test", version="1.0.0", static=True)
    class Checked(BaseInvocation):
        percent: float = 50

        @field_validator("percent")
        @classmethod
        def _share(cls, given: float) -> float:
            return share(given)

        def check(self, known, context):
            seen.append(known["percent"])
            yield from ()

        def invoke(self, context: InvocationContext) -> FloatOutput:
            return FloatOutput(value=100 * self.percent)

    assert value(studio, Checked(percent=Checked(percent=40))) == 40
    assert seen == [0.4, 0.4]


def test_a_list_that_was_given_is_the_nodes_own(studio):
    @nb.node(type="joined")
    def joined(words: Annotated[list[str], BeforeValidator(lambda words: [*words, "end"])]) -> str:
        return " ".join(words)

    words = ["a"]
    node = joined(words)
    words.append("b")
    assert value(studio, node) == "a end"


def test_what_a_file_cannot_hold_is_refused_by_an_input_with_validators():
    @nb.node(type="summed")
    def summed(values: Annotated[list[float], BeforeValidator(lambda given: [len(given)])]) -> float:
        return sum(values)

    with pytest.raises(GraphError, match="takes values that a file can hold, not a list"):
        summed([object()])


def test_limits_stay_limits_of_what_a_validator_makes(studio):
    @invocation("limited_share", title="Limited", category="test", version="1.0.0")
    class Limited(BaseInvocation):
        percent: float = Field(50, le=1)

        @field_validator("percent", mode="before")
        @classmethod
        def _share(cls, given: float) -> float:
            return share(given)

        def invoke(self, context: InvocationContext) -> StringOutput:
            return StringOutput(value=str(self.percent))

    assert value(studio, Limited(percent=100)) == "1.0"
    assert isinstance(Limited(percent=np.float64(50)).percent, float)
