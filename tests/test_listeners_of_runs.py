"""However many runs wait, a studio listens once to what happens in them, and not at all when none is left."""

import gc

import pytest

from nbgraph import Studio
from nbgraph.errors import GraphError, NbgraphError
from nbgraph.invocations import Add


def listeners(studio: Studio) -> int:
    return len(studio.services.events._listeners.callbacks)


def test_many_waiting_runs_have_one_listener_which_ends_with_the_last_of_them(studio: Studio):
    before = listeners(studio)
    studio.queue.pause()
    runs = [studio.submit(Add(id="sum", a=number, b=1)) for number in range(40)]
    assert listeners(studio) == before + 1
    for run in runs[:20]:
        run.cancel()
    assert [(run.status, run.progress.status) for run in runs[:20]] == [("cancelled", "cancelled")] * 20
    assert listeners(studio) == before + 1
    studio.queue.resume()
    assert [run.wait(10).progress.status for run in runs[20:]] == ["completed"] * 20
    assert listeners(studio) == before


def test_runs_that_are_all_cancelled_while_they_wait_leave_no_listener(studio: Studio):
    before = listeners(studio)
    studio.queue.pause()
    runs = [studio.submit(Add(id="sum", a=number, b=1)) for number in range(3)]
    studio.queue.cancel_all()
    assert [run.progress.status for run in runs] == ["cancelled"] * 3
    assert listeners(studio) == before


def test_a_run_that_nobody_holds_is_not_followed_and_ends_as_any_other(studio: Studio):
    before = listeners(studio)
    studio.queue.pause()
    studio.submit(Add(id="sum", a=1, b=1))
    gc.collect()
    studio.queue.resume()
    last = studio.run(Add(id="sum", a=2, b=1), progress=False)
    assert last.progress.status == "completed"
    assert studio.queue.frame.status.tolist() == ["completed"] * 2
    assert listeners(studio) == before


def test_a_run_that_could_not_be_queued_or_resumed_leaves_no_listener(studio: Studio):
    before = listeners(studio)
    with pytest.raises(GraphError):
        studio.submit(Add(id="sum", a="no number"))
    ended = studio.run(Add(id="sum", a=1, b=1), progress=False)
    studio.queue.pause()
    waiting = studio.submit(Add(id="sum", a=5, b=1))
    with pytest.raises(NbgraphError, match="waits or runs already"):
        studio.resume(waiting)
    waiting.cancel()
    assert waiting.progress.status == "cancelled"
    assert ended.progress.status == "completed"
    assert listeners(studio) == before
