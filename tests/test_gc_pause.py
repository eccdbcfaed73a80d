"""The pause of the cycle collector ends with the run, whatever happens."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from waiting import imports_have_ended

from nbgraph import gc_pause
from nbgraph.gc_pause import QUICK_SECONDS, GcFreeze


class Cycle:
    """Something that leads back to itself."""

    itself: "Cycle"


class Clock:
    """A clock that is set by hand, so that a busy machine makes no quick node slow."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_frozen() -> Iterator[None]:
    assert imports_have_ended()
    gc.unfreeze()
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(gc_pause, "perf_counter", clock)
    return clock


def test_what_was_put_aside_is_given_back_at_the_end():
    with GcFreeze() as freeze:
        freeze.renew()
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def work_slowly(freeze: GcFreeze, clock: Clock) -> weakref.ref:
    """What a slow node does: it makes a cycle and leaves it, and takes its time."""
    cycle = Cycle()
    cycle.itself = cycle
    clock.seconds += 2 * QUICK_SECONDS
    freeze.renew()
    return weakref.ref(cycle)


def test_what_came_slowly_is_left_to_the_collector(clock):
    with GcFreeze() as freeze:
        left = work_slowly(freeze, clock)
        freeze.renew()
        assert gc.get_freeze_count() == 0
        gc.collect()
        assert left() is None


def test_what_slow_nodes_leave_among_quick_ones_is_collected_before_more_is_put_aside(clock):
    with GcFreeze() as freeze:
        freeze.renew()
        left = work_slowly(freeze, clock)
        assert left() is not None
        freeze.renew()
        assert left() is None


def test_it_is_given_back_when_the_run_raises():
    def fails() -> None:
        with GcFreeze() as freeze:
            freeze.renew()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert gc.get_freeze_count() == 0


def test_the_collector_sees_all_again_when_memory_runs_out():
    with GcFreeze() as freeze:
        cycle = Cycle()
        cycle.itself = cycle
        left = weakref.ref(cycle)
        freeze.renew()
        del cycle
        gc.collect()
        assert left() is not None
        GcFreeze.suspend()
        gc.collect()
        assert left() is None


def test_of_two_that_overlap_the_last_one_gives_back():
    with GcFreeze() as outer:
        outer.renew()
        with GcFreeze() as inner:
            inner.renew()
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_objects_that_somebody_else_has_frozen_stay_frozen():
    gc.freeze()
    try:
        with GcFreeze() as freeze:
            freeze.renew()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_an_interrupt_just_after_the_collector_was_stopped_lets_it_go_on(monkeypatch):
    disable = gc.disable

    def interrupted() -> None:
        disable()
        raise KeyboardInterrupt

    monkeypatch.setattr(gc, "disable", interrupted)
    with pytest.raises(KeyboardInterrupt), gc_pause.gc_pause():
        pass
    assert gc.isenabled()
