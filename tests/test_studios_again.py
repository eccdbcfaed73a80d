"""Running the first cell again, and dropping a studio without closing it: models, threads and files go with it."""

import gc
import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from descriptors import open_descriptors, opened_since
from pictures import apple
from waiting import comes_true

import nbgraph as nb
from nbgraph.invocations import Add
from nbgraph.services.invoker import Invoker

TIMES = 50 if os.environ.get("NBGRAPH_SOAK") else 3


MakeStudio = Callable[..., nb.Studio]


@pytest.fixture
def make_studio() -> Iterator[MakeStudio]:
    """Opens studios that a test drops. Those that a failed test still holds are closed, with the models that they hold.

    Else a later test would be told of these.
    """
    invokers = weakref.WeakSet[Invoker]()

    def make(folder: Path | None = None, **settings: int) -> nb.Studio:
        studio = nb.Studio(folder, nb.Settings(**settings))
        invokers.add(studio.invoker)
        return studio

    yield make
    for invoker in list(invokers):
        invoker.stop()


def unets() -> int:
    gc.collect()
    return sum(type(each).__name__ == "UNet2DConditionModel" for each in gc.get_objects())


def workers() -> int:
    return sum(thread.name == "nbgraph worker" for thread in threading.enumerate())


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_the_first_cell_run_again_keeps_one_model_and_no_thread_or_file(kind, tmp_path, make_studio):
    others, threads, opened = unets(), workers(), Counter[str]()
    for number in range(TIMES):
        studio = make_studio(tmp_path / "studio" if kind == "folder" else None)
        run = studio.run(apple(), progress=False)
        assert run.status == "completed"
        assert unets() == others + 1
        if number < 2:  # SQLite keeps a descriptor of the first studio for the next one
            opened = open_descriptors()
    assert opened_since(opened) == {}
    del run, studio
    assert comes_true(lambda: workers() == threads)
    assert unets() == others
    if kind == "folder":
        locks = tmp_path / "studio" / "locks"  # a thread of its own may hold the last studio for a moment
        assert comes_true(lambda: gc.collect() >= 0 and [path.name for path in locks.glob("*.lock")] == ["write.lock"])


def test_models_stay_until_the_last_studio_of_equal_settings_is_closed(make_studio):
    first, second = make_studio(), make_studio()
    other = make_studio(model_ram_bytes=2**30)
    for studio in (first, second):
        studio.run(apple(), progress=False)
    loaded = weakref.ref(second.services.model_manager)
    assert set(second.loaded_models.component) == set(first.loaded_models.component)
    assert second.stats.model_loads.sum() == 0
    assert first.stats.model_loads.sum() > 0
    assert other.loaded_models.empty
    first.close()
    assert not second.loaded_models.empty
    second.close()
    assert loaded().loaded() == []
    other.close()


def test_loads_of_a_shared_model_are_events_of_the_studio_that_asked():
    with nb.Studio() as asks, nb.Studio() as sits:
        heard = {studio: [] for studio in (asks, sits)}
        for studio, events in heard.items():
            studio.services.events.subscribe(events.append)
        asks.run(apple(), progress=False)
        assert any(type(event).__name__ == "ModelLoaded" for event in heard[asks])
        assert heard[sits] == []


def test_a_run_that_is_held_keeps_its_pictures_and_no_thread(make_studio):
    studio = make_studio()
    run = studio.run(apple(), progress=False)
    before = workers()
    del studio
    assert comes_true(lambda: workers() < before)
    assert len(run.images) == 1


def test_an_idle_worker_ends_and_the_next_session_starts_another(studio):
    assert studio.run(Add(id="sum", a=1, b=2), progress=False)["sum"].value == 3
    processor = studio.services.processor
    assert comes_true(lambda: processor._thread is None)
    assert studio.run(Add(id="sum", a=2, b=2), progress=False)["sum"].value == 4


def test_a_studio_that_is_dropped_while_it_runs_finishes_the_run(make_studio):
    studio = make_studio()
    run = studio.submit(Add(id="sum", a=1, b=2))
    del studio
    gc.collect()
    assert run.wait(60)["sum"].value == 3
    services = weakref.ref(run.services)
    del run
    assert comes_true(lambda: gc.collect() is not None and services() is None)


def test_a_dropped_studio_is_collected_without_asking(make_studio):
    studio = make_studio()
    services = weakref.ref(studio.services)
    del studio
    assert comes_true(lambda: services() is None)
