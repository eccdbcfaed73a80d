"""A waiter that is interrupted, at whatever step, takes nothing with it that others need."""

import threading
from threading import Thread

import pytest
from interrupting import interrupted_at_every_step

from nbgraph.invocations import Add
from nbgraph.latch import Latch
from nbgraph.services.invocation_processor.invocation_processor_base import SessionHandle
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.studio import Studio
from nbgraph.widgets.throttle import Throttle


def new_session() -> GraphExecutionState:
    return GraphExecutionState(Graph.of(Add(a=1, b=2)))


@pytest.fixture
def paused():
    """A studio in which nothing starts to run, so that what is submitted waits."""
    with Studio() as studio:
        studio.services.processor.pause()
        yield studio


@pytest.mark.parametrize("seconds", [0, 0.001])
def test_an_interrupt_of_a_waiter_leaves_a_ticket_that_still_ends(seconds):
    handle = SessionHandle(new_session(), lambda: False)
    for _ in interrupted_at_every_step(lambda: handle.wait(seconds)):
        assert not handle.wait(0)
    handle.end("completed", [])
    for step in interrupted_at_every_step(lambda: handle.wait(seconds)):
        assert handle.wait(0), f"after an interrupt at step {step}"
        assert handle.wait(0.001)


def test_those_who_wait_beside_an_interrupted_waiter_go_on():
    latch = Latch()
    others = [Thread(target=latch.wait) for _ in range(3)]
    for other in others:
        other.start()
    for _ in interrupted_at_every_step(lambda: latch.wait(0.001)):
        assert not latch.is_open
    latch.open()
    for other in others:
        other.join(10)
    assert not any(other.is_alive() for other in others)


def test_an_open_latch_lets_everybody_through_however_often_it_is_opened():
    latch = Latch()
    latch.open()
    latch.open()
    assert latch.wait()
    assert latch.wait(0)


def test_a_cancel_that_is_interrupted_ends_the_waiting_run_or_leaves_it_to_be_cancelled_again(paused):
    runs = []

    def cancel_new_run() -> None:
        runs.append(paused.submit(Add(a=1, b=2)))
        runs[-1].cancel()

    for _ in interrupted_at_every_step(cancel_new_run, stride=101):
        for run in runs:
            run.cancel()
            assert run.is_done
        runs.clear()


def test_a_run_that_is_interrupted_anywhere_leaves_nothing_waiting(paused):
    def run() -> None:
        paused.run(Add(a=1, b=2), progress=lambda progress: paused.queue.cancel_all())

    for step in interrupted_at_every_step(run, stride=251):
        assert paused.services.queue.is_empty(), f"after an interrupt at step {step}"


def test_a_close_that_is_interrupted_can_be_repeated():
    invoker = Invoker(InvocationServices.memory())
    invoker.invoke(new_session()).wait(10)
    for _ in interrupted_at_every_step(invoker.stop, stride=11):
        invoker.stop()
        invoker.start()
        assert invoker.invoke(new_session()).wait(10)


def test_a_widget_whose_timer_is_interrupted_as_it_starts_still_tells_what_comes_later():
    made = []

    def notice() -> None:
        latch = Latch()
        made.append((Throttle(latch.open, every=0.0), latch))
        made[-1][0]()

    for step in interrupted_at_every_step(notice, stride=13, only=threading.__file__):
        calmed, latch = made[-1]
        calmed()
        assert latch.wait(5), f"after an interrupt at step {step}"
