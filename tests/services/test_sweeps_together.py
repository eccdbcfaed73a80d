"""Cells of a sweep that share calls of a model: each is as if it had run alone, and is kept by itself."""

import threading

import numpy as np
import pytest
from pictures import apple

import nbgraph as nb
from nbgraph.invocations import Add
from nbgraph.services.events.events_common import NodeStarted
from tests.services.batched_nodes import Square, cancel_at, fail_at, forget, record, run_out_above, sizes

pytestmark = pytest.mark.usefixtures("no_calls")


def square(**inputs) -> Square:
    """A square of one more than a number, of one kind."""
    return Square(id="square", value=Add(id="more", a=0, b=1), **inputs)


def sweep(studio, values, **inputs):
    return studio.sweep(square(**inputs), values, progress=False)


def test_cells_that_differ_in_what_can_be_joined_run_in_one_call(small):
    grid = sweep(small, {"more.a": range(4)})
    assert record().calls == [[1, 2, 3, 4]]
    assert list(grid.frame.value) == [1, 4, 9, 16]
    assert [run.stats.set_index("node").batch["square"] for run in grid.runs] == [4] * 4


def test_cells_of_another_key_run_in_calls_of_their_own_whatever_the_order_of_the_axes(small):
    sweep(small, {"square.kind": [0, 1], "more.a": range(4)})
    assert sizes() == [4, 4]
    forget()
    sweep(small, {"more.a": range(10, 14), "square.kind": [0, 1]})
    assert sorted(map(sorted, record().calls)) == [[11, 12, 13, 14]] * 2


def test_more_cells_than_a_batch_holds_run_in_several_and_the_first_end_first(small):
    ended = []
    small.services.events.subscribe(lambda event: ended.append(type(event).__name__))
    sweep(small, {"more.a": range(10)})
    assert sizes() == [4, 4, 2]
    starts = [place for place, name in enumerate(ended) if name == "SessionStarted"]
    assert ended.index("SessionFinished") < starts[4]


def test_each_cell_is_cached_by_itself_and_a_longer_sweep_computes_only_new_cells(small):
    sweep(small, {"more.a": range(3)})
    forget()
    grid = sweep(small, {"more.a": range(5)})
    assert record().calls == [[4, 5]]
    assert list(grid.frame.value) == [1, 4, 9, 16, 25]
    assert small.run(square(), {"more.a": 3}, progress=False).stats.cached.all()


def test_cells_that_need_the_same_result_compute_it_once(small):
    grid = small.sweep(square(), {"more.a": [1, 1, 2]}, progress=False)
    assert sorted(value for call in record().calls for value in call) == [2, 3]
    assert list(grid.frame.value) == [4, 4, 9]
    forget()
    with small.cache.off():
        assert list(sweep(small, {"more.a": [1, 1]}).frame.value) == [4, 4]
    assert record().calls == [[2, 2]]


def test_the_cell_that_fails_is_named_and_the_others_have_their_results(small):
    record().before = fail_at(3)
    frame = sweep(small, {"more.a": range(4)}).frame
    assert list(frame.status) == ["completed", "completed", "failed", "completed"]
    assert "3 has no square" in frame.error[2]
    assert frame.value.dropna().tolist() == [1, 4, 16]


def test_cells_that_do_not_fit_into_memory_run_in_smaller_calls(small):
    record().before = run_out_above(2)
    assert list(sweep(small, {"more.a": range(4)}).frame.value) == [1, 4, 9, 16]
    assert sizes() == [4, 2, 2]


def test_a_cell_that_is_cancelled_in_a_call_leaves_the_others(small):
    record().before = lambda values: cancel_at(1)(values) if len(values) > 1 else None
    frame = sweep(small, {"more.a": range(4)}).frame
    assert list(frame.status) == ["cancelled", "completed", "completed", "completed"]
    assert record().calls == [[1, 2, 3, 4], [2, 3, 4]]


def test_a_cell_that_is_cancelled_while_it_waits_does_not_run(small):
    started = []

    def cancel_second(event):
        if isinstance(event, NodeStarted) and event.source == "more":
            started.append(event.session_id)
            if len(started) == 3:
                small.services.processor.cancel(started[1])

    small.services.events.subscribe(cancel_second)
    frame = sweep(small, {"more.a": range(4)}).frame
    assert list(frame.status) == ["completed", "cancelled", "completed", "completed"]
    assert record().calls == [[1, 3, 4]]


def test_an_interrupted_sweep_cancels_all_cells_and_the_next_run_works(small):
    record().before = lambda values: small.services.processor.cancel_all() and cancel_at(1)(values)
    frame = sweep(small, {"more.a": range(6)}).frame
    assert set(frame.status) == {"cancelled"}
    record().before = lambda values: None
    assert small.run(square(), progress=False)["square"].value == 1


def test_a_run_that_is_queued_meanwhile_comes_after_the_cells_that_were_queued_before(small):
    later = []
    record().before = lambda values: later or later.append(small.submit(Add(id="late", a=1, b=2)))
    grid = sweep(small, {"more.a": range(6)})
    assert later[0].wait(20)["late"].value == 3
    assert set(grid.frame.status) == {"completed"}


def test_a_paused_queue_begins_no_more_cells(small):
    calls = record().calls
    record().before = lambda values: len(calls) == 1 and small.services.processor.pause()
    small.services.processor.resume()
    timer = threading.Timer(0.3, small.services.processor.resume)
    timer.start()
    assert list(sweep(small, {"more.a": range(6)}).frame.value) == [1, 4, 9, 16, 25, 36]
    timer.join()


def test_a_strict_sweep_runs_one_by_one(small):
    small.sweep(square(), {"more.a": range(3)}, progress=False, strict=True)
    assert record().calls == [[1], [2], [3]]


def test_cells_of_a_folder_come_back_after_a_restart(tmp_path):
    with nb.Studio(tmp_path) as studio:
        sweep(studio, {"more.a": range(3)})
    forget()
    with nb.Studio(tmp_path) as studio:
        grid = sweep(studio, {"more.a": range(4)})
        assert record().calls == [[4]]
        assert [run.status for run in grid.runs] == ["completed"] * 4


def test_the_seeds_of_each_guidance_are_denoised_in_one_call(studio):
    grid = studio.sweep(apple(), {"noise.seed": range(4), "denoise.cfg_scale": [2, 4, 8]}, progress=False)
    batches = [run.stats.set_index("node").batch for run in grid.runs]
    assert [batch["denoise"] for batch in batches] == [4] * 12
    with nb.Studio() as alone:
        single = alone.run(apple(), {"noise.seed": 2, "denoise.cfg_scale": 4}, progress=False)
        assert np.abs(np.asarray(grid.images[7], int) - np.asarray(single.images[0], int)).max() <= 1
