"""The relief of the cycle collector ends with the run, whatever happens."""

import gc
import weakref

import pytest

from nbgraph.services.invocation_processor import collector_relief
from nbgraph.services.invocation_processor.collector_relief import QUICK_SECONDS, CollectorRelief


class Cycle:
    """Something that leads back to itself."""

    itself: "Cycle"


class Clock:
    """A clock that is set by hand, so that a busy machine makes no quick node slow."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(collector_relief, "perf_counter", clock)
    return clock


def test_what_was_put_aside_is_given_back_at_the_end():
    with CollectorRelief() as relief:
        relief.renew()
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def work_slowly(relief: CollectorRelief, clock: Clock) -> weakref.ref:
    """What a slow node does: it makes a cycle and leaves it, and takes its time."""
    cycle = Cycle()
    cycle.itself = cycle
    clock.seconds += 2 * QUICK_SECONDS
    relief.renew()
    return weakref.ref(cycle)


def test_what_came_slowly_is_left_to_the_collector(clock):
    with CollectorRelief() as relief:
        left = work_slowly(relief, clock)
        relief.renew()
        assert gc.get_freeze_count() == 0
        gc.collect()
        assert left() is None


def test_what_slow_nodes_leave_among_quick_ones_is_collected_before_more_is_put_aside(clock):
    with CollectorRelief() as relief:
        relief.renew()
        left = work_slowly(relief, clock)
        assert left() is not None
        relief.renew()
        assert left() is None


def test_it_is_given_back_when_the_run_raises():
    def fails() -> None:
        with CollectorRelief() as relief:
            relief.renew()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert gc.get_freeze_count() == 0


def test_the_collector_sees_all_again_when_memory_runs_out():
    with CollectorRelief() as relief:
        cycle = Cycle()
        cycle.itself = cycle
        left = weakref.ref(cycle)
        relief.renew()
        del cycle
        gc.collect()
        assert left() is not None
        CollectorRelief.give_back()
        gc.collect()
        assert left() is None


def test_of_two_that_overlap_the_last_one_gives_back():
    with CollectorRelief() as outer:
        outer.renew()
        with CollectorRelief() as inner:
            inner.renew()
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_objects_that_somebody_else_has_frozen_stay_frozen():
    gc.freeze()
    try:
        with CollectorRelief() as relief:
            relief.renew()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
