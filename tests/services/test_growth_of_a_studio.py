"""A studio that is used for a long time does not grow: memory, threads, descriptors and files of many runs."""

import gc
import os
import threading
import tracemalloc

import pytest
from descriptors import open_descriptors, opened_since
from pictures import apple

import nbgraph as nb
from nbgraph.invocations import Add

PART = 1 if os.environ.get("NBGRAPH_SOAK") else 10
SMALL_RUNS, PICTURE_RUNS = 3000 // PART, 300 if PART == 1 else 15
WARM_UP = 400
MOST_BYTES = 1024
SETTINGS = nb.Settings(memory_runs=5, cache_entries=10, session_bytes=20_000, stats_bytes=20_000)


@pytest.fixture(params=["memory", "folder"])
def studio(request, tmp_path):
    with nb.Studio(tmp_path / "studio" if request.param == "folder" else None, SETTINGS) as studio:
        yield studio


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


def there_is(studio) -> dict[str, int]:
    """What is left after cleaning up, by what it is."""
    gc.collect()
    studio.clean()
    files = [] if studio.folder is None else [path for path in studio.folder.rglob("*") if path.is_file()]
    return {
        "files": len(files),
        "tensors": len(studio.services.latents.records()),
        "results": len(studio.cache),
        "sessions": len(studio.services.graph_execution_manager),
    }


def test_small_runs_leave_nothing(studio, traced):
    def run(numbers):
        for number in numbers:
            studio.run(Add(id="sum", a=number, b=2), progress=False)

    run(range(-150, 0))
    before, bytes_before, threads, opened = there_is(studio), allocated(), threading.enumerate(), open_descriptors()
    run(range(SMALL_RUNS))
    after = there_is(studio)
    assert (allocated() - bytes_before) / SMALL_RUNS <= MOST_BYTES
    assert after["sessions"] - before["sessions"] <= 5, "as many as the bytes allow"
    assert {**after, "sessions": 0} == {**before, "sessions": 0}
    assert opened_since(opened) == {}
    assert len(started_since(threads)) <= 1, "a worker may have begun anew"


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_a_run_whose_result_is_kept_costs_its_result_and_little_else(kind, tmp_path, traced):
    """What a person holds is the cached results, as many as `cache_entries` and `cache_bytes` allow."""
    settings = nb.Settings(**{**SETTINGS.model_dump(), "cache_entries": 10**6})
    with nb.Studio(tmp_path / "studio" if kind == "folder" else None, settings) as studio:
        # until what is bounded (remembered graphs, buffers of the database) is full
        for number in range(-WARM_UP, 0):
            studio.run(Add(id="sum", a=number, b=2), progress=False)
        studio.clean()
        before = allocated()
        for number in range(SMALL_RUNS):
            studio.run(Add(id="sum", a=number, b=2), progress=False)
        studio.clean()
        assert (allocated() - before) / SMALL_RUNS <= MOST_BYTES
        assert studio.cache.clear() == SMALL_RUNS + WARM_UP
        assert (allocated() - before) / SMALL_RUNS <= MOST_BYTES / 2


def test_picture_runs_leave_nothing_but_their_pictures(studio):
    def run(seeds):
        for seed in seeds:
            session = studio.run(apple(seed=seed, steps=1), progress=False).session
            (made,) = session.outputs_of("image").values()
            studio.images.delete(made.image.image_name)

    run(range(8))
    before, threads, opened = there_is(studio), threading.enumerate(), open_descriptors()
    run(range(8, 8 + PICTURE_RUNS))
    after = there_is(studio)
    assert {**after, "sessions": 0} == {**before, "sessions": 0}
    assert opened_since(opened) == {}
    assert len(started_since(threads)) <= 1, "a worker may have begun anew"


def allocated() -> int:
    """Bytes that Python has allocated since it is traced."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def started_since(before: list[threading.Thread]) -> list[str]:
    """Names of the threads that run now and did not."""
    return [thread.name for thread in threading.enumerate() if thread not in before]
