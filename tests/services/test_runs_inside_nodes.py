"""A node that runs graphs: in a studio of its own it may, in the one that runs it it is refused at once."""

import pytest

from nbgraph import NodeError, Run, Studio, node
from nbgraph.invocations import Add

WAITS = 20
STUDIOS: list[Studio] = []
ENDED: list[Run] = []


@node(type="test_runs_inside", use_cache=False)
def runs_inside(how: str) -> int:
    target, studio = Add(a=1, b=2, id="inner"), STUDIOS[-1]
    if how == "run":
        return studio.run(target, progress=False)[target].value
    if how == "sweep":
        return len(studio.sweep(target, {"inner.a": [1, 2]}, progress=False))
    if how == "wait":
        return studio.submit(target).wait()[target].value
    if how == "ended":
        return ENDED[-1].wait()["before"].value
    return int(studio.submit(target).is_done)


@pytest.fixture
def busy(studio):
    STUDIOS.append(studio)
    yield studio
    STUDIOS.remove(studio)


@pytest.mark.parametrize("how", ["run", "sweep", "wait"])
def test_a_node_that_waits_for_the_studio_that_runs_it_fails_at_once_and_says_what_to_do(busy, how):
    run = busy.submit(runs_inside(how=how, id="outer"))
    run.wait(WAITS)
    with pytest.raises(NodeError, match="would wait for itself; link the inner nodes"):
        run.raise_error()
    assert busy.run(Add(a=3, b=4, id="after"), progress=False)["after"].value == 7


def test_what_is_refused_to_run_is_not_queued(busy):
    busy.submit(runs_inside(how="run", id="outer")).wait(WAITS)
    assert len(busy.queue.frame) == 1


def test_a_node_may_leave_a_run_for_later(busy):
    run = busy.submit(runs_inside(how="submit", id="outer"))
    assert run.wait(WAITS)["outer"].value == 0


def test_a_node_may_wait_for_what_has_ended(busy):
    ENDED.append(busy.run(Add(a=1, b=2, id="before"), progress=False))
    run = busy.submit(runs_inside(how="ended", id="outer"))
    assert run.wait(WAITS)["outer"].value == 3
    ENDED.clear()


def test_a_node_may_run_a_graph_in_another_studio(studio):
    with Studio() as other:
        STUDIOS.append(other)
        run = studio.submit(runs_inside(how="run", id="outer"))
        assert run.wait(WAITS)["outer"].value == 3
        STUDIOS.remove(other)
