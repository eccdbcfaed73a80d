"""The relief of the cycle collector ends with the run, whatever happens."""

import gc
from time import sleep

import pytest

from nbgraph.services.invocation_processor.collector_relief import QUICK_SECONDS, CollectorRelief


def test_what_was_put_aside_is_given_back_at_the_end():
    with CollectorRelief() as relief:
        relief.renew()
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_what_came_slowly_is_left_to_the_collector():
    with CollectorRelief() as relief:
        sleep(2 * QUICK_SECONDS)
        relief.renew()
        assert gc.get_freeze_count() == 0
        relief.renew()
        assert gc.get_freeze_count() > 0


def test_it_is_given_back_when_the_run_raises():
    def fails() -> None:
        with CollectorRelief() as relief:
            relief.renew()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert gc.get_freeze_count() == 0


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
