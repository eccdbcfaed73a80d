"""What runs leave in the cache, the stats and memory, though it is kept for many nodes at once."""

from collections.abc import Iterator
from itertools import count
from typing import Annotated, Any
from weakref import WeakSet

import pytest
from pydantic import PrivateAttr

from nbgraph.invocations import Add, Collect, Iterate, Multiply
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.inputs import Many
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.events.events_common import Event, NodeCompleted
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


@invocation("test_sums", category="test")
class Sums(BaseInvocation):
    """Adds up what several nodes give."""

    numbers: Annotated[Any, Many()] = []

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=sum(self.numbers))


class Broken(BaseInvocationOutput):
    """An output that cannot be compared, as a folder's cache does."""

    value: Any

    def __eq__(self, other: object) -> bool:
        raise TypeError("not to be compared")

    __hash__ = None  # type: ignore[assignment]


@invocation("test_gives_broken", category="test")
class GivesBroken(BaseInvocation):
    """Gives what the cache of a folder cannot look at."""

    value: int = 0

    def invoke(self, context: InvocationContext) -> Broken:
        return Broken(value=self.value)


@invocation("test_holds", category="test")
class Holds(BaseInvocation):
    """Holds something large while it runs, and runs out of memory."""

    value: int = 0
    _held: Any = PrivateAttr(default=None)

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        self._held = Large()
        HELD.add(self._held)
        raise MemoryError


class Large:
    """What a node holds."""


HELD: "WeakSet[Large]" = WeakSet()


@pytest.fixture
def invoker() -> Iterator[Invoker]:
    with Invoker(InvocationServices.memory()) as invoker:
        yield invoker


def test_each_list_of_what_several_nodes_give_has_its_own_key(invoker):
    item = Iterate(collection=list(range(300))).output("item")
    sums = Sums(numbers=[Add(a=item, b=1).output("value"), Multiply(a=item, b=1000).output("value")])
    session = GraphExecutionState(Graph.of(Collect(id="all", item=sums)))
    invoker.invoke(session).wait()
    assert session.outputs_of("all")[()].collection == [1001 * number + 1 for number in range(300)]


def test_a_result_the_cache_cannot_look_at_fails_its_own_node_alone(open_folder):
    folder_invoker = open_folder()
    before = Add(id="before", a=1)
    broken = GivesBroken(id="broken", value=before)
    session = GraphExecutionState(Graph.of(Add(id="after", a=before), broken), on_error="continue")
    handle = folder_invoker.invoke(session)
    handle.wait()
    assert [failure.node for failure in handle.failures] == ["broken"]
    assert "not to be compared" in session.errors["broken"]
    rows = folder_invoker.services.performance_statistics.rows(session.id)
    assert sorted((row.node, row.status) for row in rows) == [
        ("after", "completed"),
        ("before", "completed"),
        ("broken", "failed"),
    ]


def test_what_a_node_held_is_gone_when_memory_is_freed(invoker, monkeypatch):
    held: list[int] = []
    monkeypatch.setattr(invoker.services.model_manager, "free_memory", lambda: held.append(len(HELD)))
    invoker.invoke(GraphExecutionState(Graph([Holds()]))).wait()
    assert held == [0]


def test_entries_can_be_listed_while_a_run_uses_them(invoker):
    graph = Graph.of(*[Add(a=number) for number in range(3000)])
    invoker.invoke(GraphExecutionState(graph)).wait()
    handles = [invoker.invoke(GraphExecutionState(graph)) for _ in range(5)]
    listed = []
    while not all(handle.wait(0) for handle in handles):
        listed.append(len(invoker.services.invocation_cache.entries()))
    assert set(listed) == {3000}


def test_rows_of_quick_nodes_can_be_read_while_others_run(invoker):
    behind: list[int] = []
    done, every = count(1), 50  # to read all rows after each node would take most of the time

    def listen(event: Event) -> None:
        if isinstance(event, NodeCompleted) and (number := next(done)) % every == 0:
            behind.append(number - len(invoker.services.performance_statistics.rows()))

    session = GraphExecutionState(Graph.of(*[Add(a=number) for number in range(2000)]))
    invoker.services.events.subscribe(listen)
    invoker.invoke(session).wait()
    assert len(behind) == 2000 // every
    assert max(behind) < 600 - every
