"""Limits in bytes, days and runs: what is old goes first, and what is kept keeps what it needs."""

import gc
import os

import pytest
from pictures import apple
from PIL import Image
from services.retained_nodes import SIZE, aged, counts, is_cleaned_to, run_and_drop

import nbgraph as nb
from nbgraph.invocations import Add


@pytest.fixture(params=["memory", "folder"])
def make_studio(request, tmp_path):
    """Makes studios of one kind."""
    made = []

    def make(**settings) -> nb.Studio:
        made.append(nb.Studio(tmp_path / "studio" if request.param == "folder" else None, nb.Settings(**settings)))
        return made[-1]

    yield make
    for studio in made:
        studio.close()


def test_intermediates_are_limited_by_bytes_oldest_first(make_studio):
    studio = make_studio(intermediate_bytes=3 * SIZE + 30_000)
    for number in range(6):
        run_and_drop(studio, number)
    gc.collect()
    studio.clean()
    numbers = [record.metadata["number"] for record in studio.services.latents.records()]
    assert numbers == [5, 4, 3]
    assert len(studio.cache) == 3


def test_limits_by_days_take_what_is_old(tmp_path):
    settings = nb.Settings(intermediate_days=5, session_days=5, stats_days=5, picture_days=5)
    with nb.Studio(tmp_path / "studio", settings) as studio:
        run_and_drop(studio, 1)
        old = studio.images.add(Image.new("L", (8, 8))).image_name
        starred = studio.images.add(Image.new("L", (8, 9))).image_name
        studio.images.star(starred)
        aged(studio, 6)
        run_and_drop(studio, 2)
        gc.collect()
        studio.clean()
        assert counts(studio) == (1, 1)
        assert [studio.services.images.exists(name) for name in (old, starred)] == [False, True]
        assert len(studio.queue) == len(set(studio.stats.session)) == 1


def test_sessions_and_stats_are_limited_by_bytes(tmp_path):
    with nb.Studio(tmp_path / "studio", nb.Settings(session_bytes=4000, stats_bytes=3000)) as studio:
        for number in range(20):
            studio.run(Add(id="sum", a=number, b=1), progress=False)
        gc.collect()
        studio.clean()
        assert 0 < len(studio.queue) < 15
        assert sum(studio.services.graph_execution_manager.sizes().values()) <= 4000
        assert sum(studio.services.performance_statistics.sizes().values()) <= 3000
        assert studio.stats.iloc[-1].node == "sum"


def test_a_session_that_made_a_picture_which_is_kept_stays_with_it(make_studio):
    studio = make_studio(session_bytes=0, memory_runs=0)
    studio.run(apple(), progress=False)
    for number in range(40):
        studio.run(Add(id="sum", a=number, b=1), progress=False)
    gc.collect()
    studio.clean()
    (record,) = studio.services.images.list().items
    assert studio.services.graph_execution_manager.get(record.session_id).graph.nodes.keys() >= {"denoise", "image"}
    studio.images.delete(record.image_name)
    studio.clean()
    assert len(studio.services.graph_execution_manager) == 0


def test_a_studio_in_memory_keeps_the_runs_that_are_held_and_some_more():
    with nb.Studio(settings=nb.Settings(memory_runs=5)) as studio:
        first = studio.run(Add(id="sum", a=-1, b=1), progress=False)
        for number in range(100):
            studio.run(Add(id="sum", a=number, b=1), progress=False)
        assert len(studio.services.graph_execution_manager) < 5 + 40
        assert len(studio.queue) < 5 + 40
        assert len(first.stats) == 1
        assert first["sum"].value == 0


def test_clearing_everything_leaves_a_folder_as_it_was_new(tmp_path):
    def size(folder):
        return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))

    with nb.Studio(tmp_path / "new"):
        pass
    folder = tmp_path / "studio"
    with nb.Studio(folder) as studio:
        for number in range(20):
            run_and_drop(studio, number)
            studio.images.add(Image.effect_noise((128, 128), 60))
        assert studio.disk.free_all() > 20 * SIZE
        assert is_cleaned_to(studio, (0, 0))
    assert size(folder) <= size(tmp_path / "new") + 2**20
    assert os.listdir(folder / "tensors") == []
