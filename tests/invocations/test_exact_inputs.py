"""Nodes that are made without asking pydantic are what pydantic would have made of the same values, or are not made."""

import gc
from typing import Annotated, Any

import pytest
from hypothesis import given, settings, strategies
from pydantic import ConfigDict, Field, PrivateAttr, ValidationError, field_validator

import nbgraph as nb
from nbgraph.errors import GraphError
from nbgraph.invocations import Add, Integer, registry
from nbgraph.invocations.base import BaseInvocation, InvocationContext, Ref, invocation
from nbgraph.invocations.node_type import node_type_of
from nbgraph.invocations.outputs import IntegerOutput

SOURCE = Integer(id="source", value=1)
EDGE = SOURCE.output("value")
VALUES = strategies.one_of(
    strategies.integers(),
    strategies.booleans(),
    strategies.floats(),
    strategies.none(),
    strategies.text("aä 7"),
    strategies.sampled_from(["\ud800", "7", "yes", 10**30]),
    strategies.just(EDGE),
)


def outcome(make: Any) -> Any:
    """Values, their types and the fields that were given, or that it was refused."""
    try:
        node = make()
    except (GraphError, ValidationError):
        return "refused"
    values = dict(vars(node))
    return list(values), list(map(repr, values.values())), list(map(type, values.values())), node.model_fields_set


def by_pydantic(cls: type[BaseInvocation], given: dict[str, Any]) -> BaseInvocation:
    """The node as it is made where every value is put to pydantic."""
    edges = {name: value for name, value in given.items() if isinstance(value, Ref)}
    node = object.__new__(cls)
    typed = {name: value for name, value in given.items() if name not in edges}
    cls.__pydantic_validator__.validate_python(typed, self_instance=node)
    for name, value in edges.items():
        vars(node)[name] = node._link(name, value) if name in ("id", "is_intermediate", "use_cache") else value
    return node


TYPES = sorted(name for name, cls in registry().items() if node_type_of(cls).may_skip_validation)


@settings(max_examples=400)
@given(strategies.data())
def test_nodes_of_every_type_are_what_validation_makes_of_them_each_time(data):
    cls = registry()[data.draw(strategies.sampled_from(TYPES))]
    cls.model_rebuild()
    names = strategies.sampled_from(sorted(cls.model_fields))
    chosen = data.draw(strategies.dictionaries(names, VALUES, max_size=4))
    is_number = isinstance(chosen.get("id"), int | float)
    wanted = "refused" if is_number else outcome(lambda: by_pydantic(cls, chosen))
    for _ in range(3):
        assert outcome(lambda: cls(**chosen)) == wanted


def test_most_node_types_take_plain_values_as_they_are():
    assert {"add", "string_join", "denoise_latents", "noise"} <= set(TYPES)
    assert not {"collect", "integer_collection"} & set(TYPES)


def test_a_value_of_another_type_is_validated_also_after_many_of_the_right_one():
    for number in range(3):
        Add(a=number, b=1)
    node = Add(a="7", b=True)  # type: ignore[arg-type]
    assert (node.a, node.b, type(node.b)) == (7, 1, int)
    with pytest.raises(GraphError, match="valid integer"):
        Add(a="seven", b=1)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="no input 'c'"):
        Add(a=1, c=1)  # type: ignore[call-arg]


@invocation("test_limited_inputs", category="test")
class Limited(BaseInvocation):
    """A limit on one input, none on the other."""

    small: Annotated[int, Field(le=9)] = 0
    any: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.small)


def test_limits_hold_each_time():
    for number in (8, 9):
        assert Limited(small=number, any=100).small == number
    for large in (10, 10**5000):
        with pytest.raises(GraphError, match="less than or equal to 9"):
            Limited(small=large, any=100)


class Unruled(BaseInvocation):
    """A number and a text."""

    number: int = 0
    text: str = ""

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.number)


@invocation("test_validated_inputs", category="test")
class Validated(Unruled):
    """Has a validator."""

    @field_validator("number")
    @classmethod
    def doubled(cls, value: int) -> int:
        return 2 * value


@invocation("test_configured_inputs", category="test")
class Configured(Unruled):
    """Has a configuration of its own."""

    model_config = ConfigDict(str_strip_whitespace=True)


@invocation("test_private_inputs", category="test")
class Private(Unruled):
    """Has a private attribute."""

    _made: int = PrivateAttr(default=7)


@invocation("test_held_inputs", category="test")
class Held(Unruled):
    """Has a list of its own where none is given."""

    held: list[int] = []


@invocation("test_checked_default", category="test")
class CheckedDefault(Unruled):
    """Has a default that is validated."""

    other: int = Field("7", validate_default=True)  # type: ignore[assignment]


def test_the_rules_of_a_class_hold_each_time():
    for _ in range(3):
        assert Validated(number=4, text=" a ").number == 4
        with pytest.raises(GraphError, match="valid integer"):
            Validated(number="four", text=" a ")  # type: ignore[arg-type]
        assert Configured(number=4, text=" a ").text == "a"
        assert Private(number=4, text=" a ")._made == 7
        assert CheckedDefault(number=4, text=" a ").other == 7
        held = Held(number=4, text=" a ").held
        assert held == []
        held.append(1)


@nb.node
def weigh(weights: list[Annotated[float, {"unit": "kg"}]], times: int = 1) -> int:  # type: ignore[valid-type]
    """Has an annotation that cannot be hashed."""
    return int(sum(weights)) * times


def test_any_annotation_that_pydantic_knows_will_do():
    for _ in range(3):
        assert weigh(weights=[1.0, 2.0], times=2).weights == [1.0, 2.0]
    with nb.Studio() as studio:
        total = weigh(weights=[1.0, 2.0], times=Integer(value=2))
        assert studio.run(total, progress=False)[total].value == 6


def test_a_node_without_one_of_its_values_has_no_edge_there():
    node = Add(a=EDGE, b=1)
    del node.a
    assert node.links() == []


def test_a_field_that_is_set_later_counts_as_given_at_that_node_only():
    nodes = [Add(a=number) for number in range(3)]
    nodes[1].b = 5
    assert [node.model_fields_set for node in nodes] == [{"a"}, {"a", "b"}, {"a"}]
    assert [node.b for node in nodes] == [0, 5, 0]


def test_a_node_in_a_chain_is_one_object_to_the_collector_of_cycles():
    before = [Add(a=1, b=1), Add(a=EDGE, b=1)]
    gc.collect()
    count = len(gc.get_objects())
    for _ in range(100):
        before.append(Add(a=before[-1].output("value"), b=1))
    assert len(gc.get_objects()) - count <= 101


def test_a_chain_too_long_for_the_stack_is_freed():
    node = Add(a=1)
    for _ in range(200_000):
        node = Add(a=node.output("value"), b=1)
    links = node.links()
    del node
    assert links[0][1].field == "value"
    links.clear()
