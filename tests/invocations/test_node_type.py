"""Facts about node classes: of each class its own, and never those of what the class was before."""

import pytest
from pydantic import Field, PrivateAttr, field_validator

from nbgraph.invocations import Add, Collect, If, Iterate, LoadImage, RandomInteger
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.node_type import node_type_of
from nbgraph.invocations.outputs import IntegerOutput, StringOutput
from nbgraph.services.invocation_cache.code_hash import code_of


class Doubles(BaseInvocation):
    """Doubles a number."""

    number: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=2 * self.number)


class DoublesMore(Doubles):
    """Has another input, and a validator."""

    other: str = ""

    @field_validator("number")
    @classmethod
    def _is_small(cls, number: int) -> int:
        return number

    def invoke(self, context: InvocationContext) -> StringOutput:  # pyright: ignore[reportIncompatibleMethodOverride]
        return StringOutput(value=str(self.number))


def test_each_class_has_facts_of_its_own():
    base, more = node_type_of(Doubles), node_type_of(DoublesMore)
    assert (list(base.inputs), base.exact, base.rules) == (["number"], [int], frozenset())
    assert (list(more.inputs), more.exact, more.rules) == (["number", "other"], None, {"number"})
    assert node_type_of(Doubles) is base


def test_a_decorator_that_says_another_thing_of_the_same_class_makes_other_facts():
    invocation("test_doubles", version="1.0.0")(Doubles)
    before = node_type_of(Doubles).key_head(code_of(Doubles))
    invocation("test_doubles", version="1.1.0", use_cache=False)(Doubles)
    after = node_type_of(Doubles).key_head(code_of(Doubles))
    assert before.begin_hash().digest() != after.begin_hash().digest()
    assert [(head.keeps(None), head.keeps(True), head.keeps(False)) for head in (before, after)] == [
        (True, True, False),
        (False, True, False),
    ]


def test_so_does_what_is_assigned_to_the_class():
    before = node_type_of(Doubles)
    Doubles.output_class = StringOutput
    try:
        assert not before.is_current()
        assert node_type_of(Doubles).outputs == {"value": str}
        assert Doubles(number=1).outputs() == {"value": str}
    finally:
        Doubles.output_class = IntegerOutput
    assert node_type_of(Doubles).outputs == {"value": int}


def test_a_version_that_is_assigned_to_the_class_makes_other_keys():
    before, version = node_type_of(Doubles), Doubles.version
    Doubles.version = "9.0.0"
    try:
        assert not before.is_current()
    finally:
        Doubles.version = version
    assert before.is_current()


def test_a_class_that_is_completed_later_is_looked_at_again():
    class Waits(BaseInvocation):
        later: "list[Later]" = Field(default_factory=list)  # noqa: F821 # pyright: ignore

        def invoke(self, context: InvocationContext) -> IntegerOutput:
            return IntegerOutput(value=0)

    assert not Waits.__pydantic_fields_complete__
    node_type_of(Waits)
    Waits.model_rebuild(_types_namespace={"Later": int})
    assert node_type_of(Waits).inputs["later"].annotation == list[int]


@pytest.mark.parametrize(
    ("cls", "is_direct", "links"),
    [(Add, True, ("a", "b")), (Collect, False, ()), (If, False, ("condition", "true_input", "false_input"))],
)
def test_how_edges_arrive_is_known(cls, is_direct, links):
    assert (node_type_of(cls).is_direct, node_type_of(cls).links_by_name) == (is_direct, links)


def test_what_is_drawn_and_what_may_name_resources_is_known():
    assert node_type_of(RandomInteger).seeds == ("seed",)
    assert node_type_of(Iterate).resource_inputs == ("collection",)
    assert node_type_of(Add).resource_inputs == ()
    assert (node_type_of(LoadImage).names_resources, node_type_of(Add).names_resources) == (True, False)


def test_a_class_with_rules_and_no_inputs_is_validated_before_it_runs():
    class Counts(BaseInvocation):
        _count: int = PrivateAttr(default=3)

        def invoke(self, context: InvocationContext) -> IntegerOutput:
            return IntegerOutput(value=self._count)

    assert node_type_of(Counts).exact is None


def test_nodes_that_are_built_without_validation_know_the_same_names_as_given():
    source = Doubles(number=1)
    assert [Doubles(number=source.output("value"), id="x").model_fields_set for _ in range(3)] == [{"id"}] * 3
