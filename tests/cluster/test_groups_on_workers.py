"""Cells of a sweep are sent in groups that share calls of a model, each group to one worker."""

from collections.abc import Callable
from pathlib import Path
from time import sleep

import numpy as np

from nbgraph import Graph, GraphExecutionState, Studio
from nbgraph.run import Run
from tests.cluster.cluster_nodes import Joined
from tests.pictures import apple


def joined(studio: Studio, cells: int, **inputs: object) -> list[Run]:
    """Run a sweep over so many values; its runs, whatever their ends."""
    node = Joined(id="joined", value=0, **inputs)
    return studio.sweep(node, {"joined.value": list(range(cells))}, progress=False).runs


def test_cells_share_calls_and_each_worker_gets_as_many(far: Studio):
    runs = joined(far, 12, seconds=0.2)
    assert [run["joined"].value for run in runs] == [100 * cell + 6 for cell in range(12)]
    assert far.stats.groupby("worker", observed=True).size().to_dict() == {"0": 6, "1": 6}
    assert set(far.stats.batch) == {6}
    assert sorted(far.queue.frame.status) == ["completed"] * 12


def test_images_of_a_sweep_are_those_of_one_process_within_a_level(far: Studio, studio: Studio):
    seeds = {"noise.seed": list(range(8))}
    # else two workers that share a folder may both encode the prompt, and one goes on with the result of the other
    far.run(apple(steps=1, seed=99), progress=False)
    there, here = (each.sweep(apple(steps=1), seeds, progress=False) for each in (far, studio))
    for one, other in zip(there.images, here.images, strict=True):
        assert np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max() <= 1
    assert len(far.images.frame) == 1 + 8
    rows = far.stats[(far.stats.source == "denoise") & far.stats.session.isin([run.id for run in there.runs])]
    assert rows.groupby("worker", observed=True).batch.agg(["size", "max"]).to_numpy().tolist() == [[4, 4], [4, 4]]
    again = far.sweep(apple(steps=1), seeds, progress=False)
    assert all(run.stats.cached.all() for run in again.runs)


def test_a_cell_that_fails_is_named_and_leaves_the_others(far: Studio):
    cells = {("joined.value", "joined.fails"): [(1, False), (2, True), (3, False), (4, False)]}
    sweep = far.sweep(Joined(id="joined", value=0), cells, progress=False)
    assert [run.status for run in sweep.runs] == ["completed", "failed", "completed", "completed"]
    assert "no 2 in a call of 1" in sweep.runs[1].session.errors["joined"]


def test_a_worker_that_is_killed_in_a_call_of_several_loses_and_doubles_nothing(far: Studio, tmp_path: Path):
    notes = str(tmp_path / "notes")
    runs = joined(far, 6, kills=notes)
    assert [run["joined"].value // 100 for run in runs] == list(range(6))
    assert len(far.stats) == 6


def test_one_cell_of_a_group_is_cancelled_and_the_others_go_on(open_studio: Callable[..., Studio]):
    studio = open_studio()
    graphs = [Graph.of(Joined(id="joined", value=value, seconds=1.0)) for value in range(4)]
    sessions = [GraphExecutionState(graph) for graph in graphs]
    with studio.services.processor.group() as group:
        handles = [studio.invoker.queue(session, is_checked=True, group=group) for session in sessions]
    while not any(row.run for row in studio.cluster.frame.itertuples()):
        sleep(0.02)
    studio.services.processor.cancel(sessions[0].id)
    assert all(handle.wait(20) for handle in handles)
    assert [handle.status for handle in handles] == ["cancelled", *["completed"] * 3]
