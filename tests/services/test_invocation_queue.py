"""The contract of the queue and of the processor that empties it, in memory and in a folder."""

import time
import tracemalloc
from collections.abc import Callable

import pytest
from waiting import comes_true

from nbgraph.errors import NbgraphError, NotFoundError
from nbgraph.invocations import Add, Collect, Iterate
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


@invocation("test_wait", title="Wait", category="test", use_cache=False)
class Wait(BaseInvocation):
    """Waits until it is cancelled."""

    seconds: float = 20
    number: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            context.progress(0, 1)
            time.sleep(0.005)
        return IntegerOutput(value=self.number)


@pytest.fixture
def invoker(services: InvocationServices) -> Invoker:
    return Invoker(services)


def session_of(node: BaseInvocation) -> GraphExecutionState:
    return GraphExecutionState(Graph.of(node))


def test_items_are_taken_in_the_order_they_came_and_prepended_ones_before(services):
    queue = services.queue
    for name in ("a", "b", "c"):
        queue.put(name)
    queue.put("first", prepend=True)
    queue.put("before that", prepend=True)
    assert [item.session_id for item in queue.rows()] == ["before that", "first", "a", "b", "c"]
    assert [queue.take().session_id for _ in range(5)] == ["before that", "first", "a", "b", "c"]
    assert queue.take() is None


def test_a_waiting_item_is_moved_to_the_front_and_no_other(services):
    queue = services.queue
    for name in ("a", "b", "c"):
        queue.put(name)
    assert queue.take().session_id == "a"
    assert queue.prepend("c")
    assert not queue.prepend("a")
    with pytest.raises(NotFoundError):
        queue.prepend("nobody")
    assert [queue.take().session_id for _ in range(2)] == ["c", "b"]


def test_who_listens_is_told_of_each_change(services):
    queue, told = services.queue, []
    end = queue.on_changed(told.append)
    for act in (lambda: queue.put("a"), queue.take, lambda: queue.finish("a", "completed"), queue.clear):
        before = len(told)
        act()
        assert len(told) == before + 1
    assert queue.take() is None
    end()
    queue.put("b")
    assert len(told) == 4


def test_an_item_goes_from_pending_to_its_end(services):
    queue = services.queue
    assert queue.put("a").status == "pending"
    assert queue.take().status == "in_progress"
    assert not queue.is_empty()
    queue.finish("a", "failed", "it broke")
    item = queue.item("a")
    assert (item.status, item.error, item.ended >= item.started >= item.submitted) == ("failed", "it broke", True)
    assert queue.is_empty()


def test_only_what_waits_can_be_cancelled(services):
    queue = services.queue
    for name in ("a", "b", "c"):
        queue.put(name)
    queue.take()
    assert (queue.cancel("a"), queue.cancel("b")) == (False, True)
    assert queue.cancel_all() == ["c"]
    statuses = {item.session_id: item.status for item in queue.rows()}
    assert statuses == {"a": "in_progress", "b": "cancelled", "c": "cancelled"}
    assert queue.clear() == 2
    assert [item.session_id for item in queue.rows()] == ["a"]
    with pytest.raises(NotFoundError, match="never|submitted"):
        queue.item("b")


def test_a_session_may_be_submitted_again_and_its_last_item_counts(services):
    queue = services.queue
    queue.put("a")
    queue.take()
    queue.finish("a", "cancelled")
    queue.put("a")
    assert queue.item("a").status == "pending"
    assert [item.status for item in queue.rows()] == ["cancelled", "pending"]


def test_a_waiting_session_that_is_cancelled_never_runs(invoker):
    running, waiting = (invoker.invoke(session_of(Wait(number=number))) for number in range(2))
    assert comes_true(lambda: invoker.services.queue.item(running.session.id).status == "in_progress")
    assert invoker.cancel(waiting.session.id)
    assert waiting.wait(60)
    assert waiting.status == "cancelled"
    assert running.wait(0) is False
    assert invoker.cancel(running.session.id)
    assert running.wait(60)
    assert (running.status, len(waiting.session)) == ("cancelled", 0)


def test_paused_it_finishes_what_runs_and_starts_nothing_new(invoker):
    invoker.services.processor.pause()
    handle = invoker.invoke(session_of(Add(a=1, b=2)))
    assert not handle.wait(0.3)
    invoker.services.processor.resume()
    assert handle.wait(60)
    assert handle.status == "completed"


def bytes_for(work: Callable[[], object]) -> int:
    """The most memory that a call takes at once; the smallest of five, as tables grow now and then."""
    found = []
    for _ in range(5):
        tracemalloc.start()
        work()
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return min(found)


def test_submitting_and_taking_a_session_copies_nothing_of_those_that_wait():
    graph = Graph.of(Add(a=1, b=2))
    with Invoker(InvocationServices.memory()) as invoker:
        invoker.services.processor.pause()

        def submit() -> None:
            invoker.queue(GraphExecutionState(graph))

        submit()
        few = bytes_for(submit), bytes_for(invoker.services.queue.take)
        for _ in range(1000):
            submit()
        many = bytes_for(submit), bytes_for(invoker.services.queue.take)
        assert many[0] < few[0] + 4096
        assert many[1] < few[1] + 4096


def test_a_session_whose_newest_item_is_dropped_has_the_one_before():
    with Invoker(InvocationServices.memory()) as invoker:
        queue = invoker.services.queue
        first = queue.put("twice")
        queue.put("twice", prepend=True)
        queue.take()
        queue.finish("twice", "completed")
        assert queue.clear() == 1
        assert queue.item("twice") == first
        assert queue.take().number == first.number


def test_a_prepended_session_runs_before_those_that_wait(invoker):
    invoker.services.processor.pause()
    handles = [invoker.invoke(session_of(Add(id=f"n{n}", a=n, b=1)), prepend=n == 2) for n in range(3)]
    invoker.services.processor.resume()
    assert all(handle.wait(60) for handle in handles)
    order = [item.session_id for item in invoker.services.queue.rows()]
    assert order == [handles[2].session.id, handles[0].session.id, handles[1].session.id]


def test_cancelling_all_ends_what_runs_and_what_waits(invoker):
    handles = [invoker.invoke(session_of(Wait(number=number))) for number in range(3)]
    assert comes_true(lambda: invoker.services.queue.item(handles[0].session.id).status == "in_progress")
    assert invoker.services.processor.cancel_all() == 3
    assert all(handle.wait(60) for handle in handles)
    assert {item.status for item in invoker.services.queue.rows()} == {"cancelled"}


def test_two_equal_sessions_submitted_at_once_compute_each_node_once(invoker):
    handles = [invoker.invoke(session_of(Add(id="sum", a=40, b=2))) for _ in range(2)]
    assert all(handle.wait(60) for handle in handles)
    rows = [invoker.services.performance_statistics.rows(handle.session.id)[0].cached for handle in handles]
    assert rows == [False, True]


def test_a_cancelled_session_is_resumed_where_it_was(invoker):
    item = Iterate(id="each", collection=[1, 2, 3])
    slow = Wait(id="slow", seconds=20, number=Add(id="sum", a=item.output("item"), b=1, use_cache=False))
    handle = invoker.invoke(session_of(Collect(id="all", item=slow)))
    assert comes_true(lambda: len(handle.session) >= 2)
    with pytest.raises(NbgraphError, match="cancel it first"):
        invoker.resume(handle.session.id)
    invoker.cancel(handle.session.id)
    assert handle.wait(60)
    done = [prepared.id for prepared, _ in handle.session.results()]
    assert done
    again = invoker.resume(handle.session.id)
    assert comes_true(lambda: invoker.services.queue.item(handle.session.id).status == "in_progress")
    invoker.cancel(handle.session.id)
    assert again.wait(60)
    ran = [
        row.node for row in invoker.services.performance_statistics.rows(handle.session.id) if row.status == "completed"
    ]
    assert len(ran) == len(set(ran))
