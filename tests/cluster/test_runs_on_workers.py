"""Runs on the workers of a cluster give what runs in this process give, and are seen as if they ran here."""

import os
from collections.abc import Callable
from pathlib import Path
from time import sleep

import pytest

from nbgraph import NodeError, Studio
from nbgraph.errors import ClusterError, StoreFullError
from nbgraph.invocations import Add, Collect, Divide, Iterate, RandomInteger, Range
from nbgraph.progress import Progress
from nbgraph.run import Run
from nbgraph.services.events.events_common import Event, NodeFailed, NodeProgress, SessionFinished, SessionStarted
from nbgraph.services.invocation_processor import cluster_results
from tests.cluster.cluster_nodes import (
    failing,
    hungry,
    lines,
    noise,
    patient,
    pattern,
    patterns,
    text,
    uncached,
    unsendable,
)
from tests.pictures import apple


def pixels(run: Run, node: str) -> list[bytes]:
    return [result.image.tobytes() for result in run.outputs(node)]


def test_a_sweep_of_sixteen_images_is_that_of_one_thread_bit_for_bit(far: Studio, studio: Studio):
    image = apple(steps=1)
    values = {"noise.seed": [1, 2, 3, 4], "denoise.cfg_scale": [1.0, 2.0, 3.0, 4.0]}
    there, here = (each.sweep(image, values, progress=False, strict=True) for each in (far, studio))
    assert [run.status for run in there.runs] == ["completed"] * 16
    assert [each.tobytes() for each in there.images] == [each.tobytes() for each in here.images]
    assert far.images.frame.image_name.is_unique
    assert len(far.images.frame) == 16
    assert far.stats.model_loads.sum() <= 2 * studio.stats.model_loads.sum()
    assert set(far.stats.worker) == {"0", "1"}
    assert set(far.stats.device) == {"cpu"}


def test_an_iteration_of_forty_is_cut_and_equals_that_of_one_thread(far: Studio, studio: Studio):
    graph = Collect(id="all", item=uncached(id="changed", image=patterns(40), value=3))
    there, here = far.run(graph, progress=False), studio.run(graph, progress=False)
    assert pixels(there, "changed") == pixels(here, "changed")
    assert [each.tobytes() for each in there.images] == [each.tobytes() for each in here.images]
    assert len(there["all"].collection) == 40
    assert set(there.stats.worker) == {"0", "1"}
    assert there.stats.groupby("source", observed=True).size().to_dict() == {
        "each": 40, "pattern": 40, "changed": 40, "all": 1,
    }  # fmt: skip
    assert len(far.images.frame) == 80


def test_a_second_run_executes_only_what_is_not_cached(far: Studio):
    graph = uncached(id="changed", image=patterns(20), value=3)
    far.run(graph, progress=False)
    again = far.run(graph, progress=False)
    cached = again.stats.groupby("source", observed=True).cached.sum()
    assert (cached["pattern"], cached["changed"]) == (20, 0)
    reasons = far.explain(graph)
    assert not reasons[reasons.source == "pattern"].will_run.any()


def test_what_is_forgotten_at_the_head_runs_again_on_workers(far: Studio):
    node = pattern(id="pattern", value=5)
    far.run(node, progress=False)
    assert far.run(node, progress=False).stats.cached.all()
    far.cache.forget("pattern")
    assert not far.run(node, progress=False).stats.cached.any()
    with far.cache.off():
        assert not far.run(node, progress=False).stats.cached.any()


def test_an_image_that_a_person_brought_is_read_on_a_worker(far: Studio):
    given = far.run(pattern(id="first", value=9), progress=False)["first"]
    record = far.services.images.save(given.image)
    changed = far.run(uncached(id="changed", image={"image_name": record.image_name}, value=1), progress=False)
    assert changed["changed"].image.getpixel((0, 0)) == tuple((each + 1) % 256 for each in given.image.getpixel((0, 0)))


def test_open_seeds_are_drawn_once_and_come_back(far: Studio):
    dice = RandomInteger(id="dice")
    run = far.run(Add(id="sum", a=Iterate(id="each", collection=Range(stop=20)), b=dice), progress=False)
    drawn = run["dice"].value
    assert [result.value for result in run.outputs("sum")] == [drawn + number for number in range(20)]
    assert run.stats.set_index("node").seed["dice"] == run.session.seeds[run.session.plan.ranks["dice"]]["seed"]


def test_progress_and_events_are_seen_here(far: Studio):
    heard: list[Event] = []
    far.services.events.subscribe(heard.append)
    shown: list[Progress] = []
    run = far.submit(patient(id="patient", seconds=0.6))
    run.wait(show=shown.append)
    assert {"running"} < {each.status for each in shown}
    assert any(each.node == "patient" and each.steps == 1000 for each in shown)
    kinds = [type(event) for event in heard if event.session_id == run.id]
    assert (kinds[0], kinds[-1], NodeProgress in kinds) == (SessionStarted, SessionFinished, True)
    assert run["patient"].value != os.getpid()


def test_a_node_that_fails_is_not_tried_again(far: Studio, tmp_path: Path):
    heard: list[Event] = []
    far.services.events.subscribe(heard.append)
    notes = str(tmp_path / "notes")
    with pytest.raises(NodeError, match=r"node 'failing' \(test_cluster_failing\) failed: no 3 today"):
        far.run(failing(id="failing", notes=notes, value=3), progress=False)
    assert lines(notes) == ["tried"]
    assert [event.node for event in heard if isinstance(event, NodeFailed)] == ["failing"]
    assert far.queue.frame.status.tolist() == ["failed"]


def test_failures_of_some_items_leave_the_others(far: Studio, studio: Studio):
    node = Divide(id="divide", a=6, b=Iterate(id="each", collection=[1, 0, 2, 3] * 6))
    there, here = (each.run(node, on_error="continue", progress=False) for each in (far, studio))
    assert there.status == here.status == "failed"
    assert there.session.errors == here.session.errors
    assert [each.value for each in there.outputs("divide")] == [each.value for each in here.outputs("divide")]


def test_memory_that_ran_out_is_tried_once_more(far: Studio, tmp_path: Path):
    notes = str(tmp_path / "notes")
    run = far.run(hungry(id="hungry", notes=notes), progress=False)
    assert (run["hungry"].value, lines(notes)) == (7, ["tried", "tried"])


def test_cancel_ends_a_run_within_a_step_and_the_worker_goes_on(far: Studio):
    run = far.submit(patient(id="patient", seconds=60))
    while run.progress.step < 3:
        sleep(0.01)
    run.cancel()
    assert run.wait(10).status == "cancelled"
    assert far.run(Add(id="sum", a=1, b=2), progress=False)["sum"].value == 3


def test_waiting_runs_are_cancelled_before_they_are_sent(far: Studio):
    runs = [far.submit(patient(id="patient", seconds=60)) for _ in range(4)]
    assert far.queue.cancel_all() == 4
    assert [run.wait(10).status for run in runs] == ["cancelled"] * 4


def test_a_result_that_cannot_be_sent_is_an_error_that_says_so(far: Studio):
    with pytest.raises(NodeError, match="its result cannot be sent from worker"):
        far.run(unsendable(id="odd"), progress=False)


@pytest.mark.parametrize("length", [100, 100_000, 2_000_000])
def test_results_of_any_size_come_back_whole(far: Studio, length: int):
    run = far.run([text(id="text", length=length), noise(id="noise", side=int((length / 3) ** 0.5))], progress=False)
    assert sum(map(len, run["text"].collection)) == length
    assert run["noise"].image.width == int((length / 3) ** 0.5)
    assert len(far.images.frame) == 1
    assert run.stats.source.tolist() == ["text", "noise"]


def test_a_slow_worker_does_not_hold_up_the_other(open_studio: Callable[..., Studio]):
    studio = open_studio()
    slow = studio.submit(patient(id="patient", seconds=20))
    while slow.progress.step < 3:
        sleep(0.01)
    quick = [studio.submit(pattern(id="pattern", value=number)) for number in range(6)]
    assert [run.wait(15).status for run in quick] == ["completed"] * 6
    assert not slow.is_done
    slow.cancel()
    assert slow.wait(10).status == "cancelled"


def test_a_studio_that_is_closed_says_so(open_studio: Callable[..., Studio]):
    studio = open_studio()
    studio.close()
    with pytest.raises(ClusterError, match="this studio is closed"):
        studio.run(Add(id="sum"), progress=False)


def test_results_that_cannot_be_stored_end_the_run_and_only_that_one(
    open_studio: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch
):
    studio = open_studio()

    def refuse(*_: object) -> None:
        raise StoreFullError("no room")

    monkeypatch.setattr(cluster_results, "from_png", refuse)
    with pytest.raises(NodeError, match="no room"):
        studio.run(pattern(id="pattern"), progress=False)
    monkeypatch.undo()
    assert studio.run(pattern(id="pattern", value=2), progress=False)["pattern"].image.size == (8, 8)
