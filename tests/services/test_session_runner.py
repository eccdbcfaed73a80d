"""The run loop: whatever nodes give or raise, and however long lists are, the end of a session is told."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings, strategies
from pydantic import Field, PrivateAttr, field_validator, model_validator

from nbgraph.config import Settings
from nbgraph.invocations import Add, Integer, Iterate, Range
from nbgraph.invocations.base import (
    BaseInvocation,
    BaseInvocationOutput,
    InvocationContext,
    invocation,
)
from nbgraph.invocations.node_registry import registry
from nbgraph.invocations.node_type import node_type_of
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.invocations.valid import make_valid, validated
from nbgraph.services.events.events_common import Event, NodeCompleted, NodeFailed, SessionFinished
from nbgraph.services.invocation_cache.code_hash import code_of
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


class Silent:
    """Something that does not say what it is."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Anything(BaseInvocationOutput):
    """An output of any type."""

    value: Any


@invocation("test_gives_silent", category="test")
class GivesSilent(BaseInvocation):
    """Gives something that cannot be shown as text."""

    def invoke(self, context: InvocationContext) -> Anything:
        return Anything(value=Silent())


@invocation("test_refuses", category="test", use_cache=False)
class Refuses(BaseInvocation):
    """Fails, whatever it is given."""

    value: Any = None

    def invoke(self, context: InvocationContext) -> Anything:
        raise ValueError("not this one")


@invocation("test_limited", category="test")
class Limited(BaseInvocation):
    """Takes no negative number."""

    value: int = Field(default=0, ge=0)

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.value)


@invocation("test_looks_at_one", category="test")
class LooksAtOne(Limited):
    """Looks at its number itself."""

    value: int = 0

    @field_validator("value")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("is odd")
        return value


@invocation("test_looks_at_all", category="test")
class LooksAtAll(LooksAtOne):
    """Looks at all its values together."""

    @model_validator(mode="after")
    def _is_small(self) -> "LooksAtAll":
        if self.value > 100:
            raise ValueError("is large")
        return self


@invocation("test_makes_ready", category="test")
class MakesReady(Limited):
    """Makes something of its values when they are there."""

    value: int = 0
    _twice: int = PrivateAttr(default=0)

    def model_post_init(self, context: Any) -> None:
        self._twice = 2 * self.value if isinstance(self.value, int) else 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self._twice)


@pytest.fixture
def invoker() -> Iterator[Invoker]:
    invoker = Invoker(InvocationServices.memory(Settings()))
    yield invoker
    invoker.stop()


def test_the_end_of_a_session_with_a_list_that_is_too_long_is_told(invoker):
    told: list[Event] = []
    invoker.services.events.subscribe(told.append)
    graph = Graph.of(Add(a=Iterate(collection=Range(stop=50))))
    invoker.invoke(GraphExecutionState(graph, max_iterations=49)).wait()
    assert isinstance(told[-1], SessionFinished)
    assert told[-1].status == "failed"


def test_a_node_that_fails_is_told_though_its_input_cannot_be_shown(invoker):
    handle = invoker.invoke(GraphExecutionState(Graph.of(Refuses(id="refuses", value=GivesSilent()))))
    handle.wait()
    (failure,) = handle.failures
    assert failure.node == "refuses"
    assert failure.message == "ValueError: not this one"
    assert failure.inputs == {"value": "a Silent (it cannot be shown as text)"}


@pytest.mark.parametrize("is_queue", [False, True], ids=["session", "queue"])
def test_a_session_that_is_cancelled_by_who_listens_runs_nothing_more(invoker, is_queue):
    graph = Graph.of(*[Add(id=f"add_{number}", a=number) for number in range(5)])
    session = GraphExecutionState(graph)

    def listen(event: Event) -> None:
        if isinstance(event, NodeCompleted) and is_queue:
            invoker.cancel(session.id)
        elif isinstance(event, NodeCompleted):
            session.cancel()

    invoker.services.events.subscribe(listen)
    invoker.invoke(session).wait()
    assert list(session.outputs) == [0]
    assert session.status == "cancelled"


def given(invoker: Invoker, node: BaseInvocation) -> tuple[int | None, list[str]]:
    """What a node gives, and what is wrong."""
    session = GraphExecutionState(Graph.of(node))
    handle = invoker.invoke(session)
    handle.wait()
    output = session.outputs_of(node.id or "").get(())
    return getattr(output, "value", None), [failure.message for failure in handle.failures]


@pytest.mark.parametrize(
    ("cls", "number", "wrong"),
    [(Limited, -1, "greater than or equal to 0"), (LooksAtOne, 3, "is odd"), (LooksAtAll, 102, "is large")],
)
def test_what_arrives_is_held_against_the_rules_of_the_node(invoker, cls, number, wrong):
    assert node_type_of(cls).exact is None
    value, problems = given(invoker, cls(value=Add(a=number, b=0)))
    assert value is None
    assert len(problems) == 1
    assert wrong in problems[0]


def test_a_node_with_private_attributes_is_made_ready(invoker):
    assert node_type_of(MakesReady).exact is None
    assert given(invoker, MakesReady(value=Add(a=20, b=1))) == (42, [])


def test_what_arrives_in_another_type_is_validated(invoker):
    assert node_type_of(Add).exact == [int, int]
    truth = Add(a=1)
    truth.__dict__["a"] = True
    value, problems = given(invoker, truth)
    assert (value, type(value), problems) == (1, int, [])
    text = Add(a=1)
    text.__dict__["a"] = "no number"
    value, problems = given(invoker, text)
    assert value is None
    assert "valid integer" in problems[0]


def test_what_is_known_of_a_class_is_found_out_anew_where_its_decorator_says_another_thing(invoker):
    node = Limited(value=3)
    before = node_type_of(Limited)
    code = code_of(Limited)
    assert given(invoker, node) == (3, [])
    assert node_type_of(Limited) is before
    assert before.key_head(code) is before.key_head(code)
    try:
        Limited.cached_by_default = False
        after = node_type_of(Limited)
        assert (before.key_head(code).is_cached, after.key_head(code).is_cached) == (True, False)
    finally:
        Limited.cached_by_default = True


VALUES = {int: strategies.integers(), str: strategies.text(), bool: strategies.booleans()}


@settings(deadline=None)  # the first example compiles and hashes all classes
@hypothesis_given(strategies.data())
def test_values_of_exact_types_are_what_validation_makes_of_them(data):
    exact = {cls: types for cls in registry().values() if (types := node_type_of(cls).exact) is not None}
    assert Add in exact
    for cls, types in exact.items():
        cls.model_rebuild()
        drawn = {name: data.draw(VALUES[kind]) for name, kind in zip(sorted(cls.inputs()), types)}
        values = {"id": "node", "is_intermediate": False, "use_cache": None}
        values |= {name: drawn[name] for name in cls.inputs()}
        made = make_valid(cls, dict(values), set(cls.model_fields))
        by_pydantic = validated(cls, values)
        assert vars(made) == vars(by_pydantic)
        assert [type(value) for value in vars(made).values()] == [type(value) for value in vars(by_pydantic).values()]
        assert made.model_fields_set == by_pydantic.model_fields_set
        assert made.model_dump_json() == by_pydantic.model_dump_json()
        assert made.model_copy(update={"id": "other"}).id == "other"


def test_numbers_too_long_to_print_are_computed_with(invoker):
    large = Integer(value=10**5000)
    session = GraphExecutionState(Graph.of(Add(id="more", a=Add(id="sum", a=large, b=large), b=1)))
    invoker.invoke(session).wait()
    assert session.outputs_of("more")[()].value == 2 * 10**5000 + 1  # type: ignore[attr-defined]


@invocation("test_fails_at_length", category="test", use_cache=False)
class FailsAtLength(BaseInvocation):
    """Fails with a message of a megabyte."""

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        raise ValueError("first words, " + "x" * 2**20 + ", last words")


def test_an_error_message_is_cut_where_it_is_made_and_its_traceback_has_the_end(invoker):
    told: list[Event] = []
    invoker.services.events.subscribe(told.append)
    handle = invoker.invoke(GraphExecutionState(Graph.of(FailsAtLength(id="long"))))
    assert handle.wait(20)
    (failure,) = handle.failures
    (event,) = [each for each in told if isinstance(each, NodeFailed)]
    assert failure.message == event.error == handle.session.errors["long"]
    assert failure.message.startswith("ValueError: first words, xxx")
    assert len(failure.message) < 5000
    assert len(failure.traceback) <= 64 * 1024
    assert "last words" in failure.traceback
