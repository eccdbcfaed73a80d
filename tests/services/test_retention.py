"""What nobody names any more goes, what somebody needs stays: tensors and intermediate pictures."""

import gc

import pytest
from PIL import Image
from services.retained_nodes import SIZE, Gate, Makes, Torch, Uses, aged, counts, is_cleaned_to, run_and_drop

import nbgraph as nb
from nbgraph.errors import NodeError
from nbgraph.invocations import Add


@pytest.fixture(autouse=True)
def gate():
    Gate.reached.clear()
    Gate.go.clear()
    Gate.fails = False
    yield Gate
    Gate.go.set()


def uses(number: int = 1) -> Uses:
    makes = Makes(id="makes", number=number)
    return Uses(id="uses", latents=makes.output("latents"), image=makes.output("image"))


@pytest.fixture(params=["memory", "folder"])
def make_studio(request, tmp_path):
    """Makes studios of one kind; those in a folder share it, each as a kernel of its own."""
    made = []

    def make(**settings) -> nb.Studio:
        folder = tmp_path / "studio" if request.param == "folder" else None
        made.append(nb.Studio(folder, nb.Settings(**settings)))
        return made[-1]

    yield make
    Gate.go.set()
    for studio in made:
        studio.close()


@pytest.fixture
def kept(make_studio) -> nb.Studio:
    return make_studio()


def tensor_files(studio) -> int:
    return len([path for path in (studio.services.database.folder.root / "tensors").rglob("*") if path.is_file()])


CLEARS = {
    "clear": lambda studio: studio.cache.clear(),
    "forget": lambda studio: studio.cache.forget("makes"),
    "limit entries": lambda studio: studio.cache.limit(max_entries=0),
    "limit bytes": lambda studio: studio.cache.limit(max_bytes=0),
}


@pytest.mark.parametrize("how", CLEARS)
def test_tensors_and_intermediates_go_with_the_cached_result_that_names_them(kept, how):
    for number in range(3):
        run_and_drop(kept, number)
    assert counts(kept) == (3, 3)
    CLEARS[how](kept)
    assert is_cleaned_to(kept, (0, 0), seconds=0) or counts(kept) == (1, 1), "the worker may hold the last run"
    assert is_cleaned_to(kept, (0, 0))
    if kept.folder is not None:
        assert tensor_files(kept) == 0


def test_what_the_limit_of_the_cache_drops_takes_its_tensors_along(make_studio):
    studio = make_studio(cache_bytes=4 * SIZE + 50_000)
    for number in range(12):
        run_and_drop(studio, number)
    assert counts(studio)[0] <= 5
    assert len(studio.cache) <= 4


def test_what_was_never_cached_goes_after_its_run(kept):
    with kept.cache.off():
        for number in range(4):
            run_and_drop(kept, number)
    gc.collect()
    kept.run(Add(id="sum", a=1, b=1), progress=False)
    assert counts(kept) == (0, 0)


def test_what_a_run_that_is_held_names_stays(kept):
    run = kept.run(Makes(id="makes", number=3), progress=False)
    kept.cache.clear()
    assert run["makes"].latents.metadata == {"number": 3}
    assert run["makes"].image.size == (64, 64)
    del run
    assert is_cleaned_to(kept, (0, 0))


@pytest.mark.parametrize("hold", [lambda result: result, lambda result: result.latents], ids=["result", "tensors"])
def test_what_a_result_of_a_run_names_stays_as_long_as_that_is_held(kept, hold):
    held = hold(kept.run(Makes(id="makes", number=3), progress=False)["makes"])
    kept.cache.clear()
    assert counts(kept) == (1, 1)
    del held
    assert is_cleaned_to(kept, (0, 0))


def test_what_another_cached_result_names_too_stays(kept):
    first = Makes(id="makes", number=1)
    from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry

    output = kept.run(first, progress=False).session.outputs[0]
    cache = kept.services.invocation_cache
    cache.save(CacheEntry(b"o" * 16, "other", "test_makes", "{}", b"", output=output))
    assert cache.forget(key=b"o" * 16) == 1
    assert counts(kept) == (1, 1)


def test_pictures_that_are_no_intermediates_stay(kept):
    name = kept.images.add(Image.new("L", (8, 8))).image_name
    starred = kept.services.images.save(Image.new("L", (9, 9)), is_intermediate=True).image_name
    kept.images.star(starred)
    kept.cache.clear()
    kept.clean()
    assert kept.images.delete_intermediates() == 0
    assert kept.images.get(name).size == (8, 8)
    assert kept.images.get(starred).size == (9, 9)


def test_what_a_person_saved_stays_as_long_as_the_studio_is_open(kept):
    tensors, metadata = Torch(4).to_tensors()
    name = kept.services.latents.save(tensors, metadata=metadata).name
    kept.clean()
    assert kept.services.latents.exists(name)


def test_intermediates_that_a_run_needs_are_deleted_after_it(kept, gate):
    run = kept.submit(uses(5))
    assert gate.reached.wait(20)
    assert kept.images.delete_intermediates() == 0
    kept.cache.clear()
    kept.clean()
    gate.go.set()
    assert run.wait(20)["uses"].value == 5
    kept.run(Add(id="sum", a=1, b=1), progress=False)
    assert kept.images.delete_intermediates() + counts(kept)[1] in (0, 1)


@pytest.mark.parametrize("how", ["intermediates", "cache", "clean", "free"])
def test_another_kernel_deletes_nothing_that_a_run_needs(make_studio, gate, how):
    here, there = make_studio(), make_studio()
    if here.folder is None:
        pytest.skip("a studio in memory has one kernel")
    run = here.submit(uses(5))
    assert gate.reached.wait(20)
    act = {
        "intermediates": lambda: there.images.delete_intermediates(),
        "cache": lambda: there.cache.clear(),
        "clean": lambda: there.clean(),
        "free": lambda: [there.services.retention.free(part) for part in ("cache", "intermediates", "runs")],
    }
    act[how]()
    gate.go.set()
    assert run.wait(20)["uses"].value == 5


def test_what_a_run_in_another_kernel_left_is_collected_by_it_or_by_the_next_to_open(make_studio):
    here, there = make_studio(), make_studio()
    if here.folder is None:
        pytest.skip("a studio in memory has one kernel")
    run_and_drop(here, 1)
    here.close()
    there.cache.clear()
    assert counts(there) == (0, 0)


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_session_that_may_go_on_keeps_what_it_has(make_studio, gate, how):
    studio = make_studio()
    gate.fails = how == "failed"
    run = studio.submit(uses(6))
    assert gate.reached.wait(20)
    if how == "cancelled":
        run.cancel()
        gate.fails = True
    gate.go.set()
    run.wait(20)
    session_id = run.id
    del run
    studio.cache.clear()
    assert studio.images.delete_intermediates() == 0
    studio.clean()
    assert counts(studio) == (1, 1)
    gate.fails = False
    assert studio.resume(session_id).wait(20)["uses"].value == 6
    gate.fails = True
    with pytest.raises(NodeError):
        studio.run(uses(7), progress=False)
    gc.collect()
    studio.cache.clear()
    studio.queue.clear()
    assert is_cleaned_to(studio, (0, 0))


def test_resuming_makes_anew_what_is_gone(make_studio, gate):
    studio = make_studio()
    gate.fails = True
    gate.go.set()
    run = studio.submit(uses(8)).wait(20)
    assert run.status == "failed"
    studio.services.latents.delete(*[record.name for record in studio.services.latents.records()])
    gate.fails = False
    assert studio.resume(run).wait(20)["uses"].value == 8


def test_what_nobody_names_is_collected_when_a_folder_is_opened(tmp_path):
    folder = tmp_path / "studio"
    with nb.Studio(folder) as studio:
        run_and_drop(studio, 1)
        with studio.services.database.transaction() as connection:
            connection.execute("DELETE FROM cache_entries")
    with nb.Studio(folder) as studio:
        assert counts(studio) == (1, 1), "a kernel that died may have saved it just now"
        aged(studio, 2)
    with nb.Studio(folder) as studio:
        assert counts(studio) == (0, 0)
        assert tensor_files(studio) == 0


def test_what_a_dead_kernel_left_half_way_is_kept_for_going_on(tmp_path, gate):
    folder = tmp_path / "studio"
    with nb.Studio(folder) as studio:
        gate.fails = True
        gate.go.set()
        session_id = studio.submit(uses(9)).wait(20).id
        studio.cache.clear()
    with nb.Studio(folder) as studio:
        studio.clean()
        assert counts(studio) == (1, 1)
        gate.fails = False
        assert studio.resume(session_id).wait(20)["uses"].value == 9
