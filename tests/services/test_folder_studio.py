"""A studio in a folder: what the next kernel finds, and what several kernels see of each other."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

from nbgraph import Studio
from nbgraph.errors import StoreError
from nbgraph.invocations import Add, BlankImage, Collect, Iterate, MultiplyImages
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


class PairOutput(BaseInvocationOutput):
    """Something JSON does not give back as it was."""

    pair: object


@invocation("test_pair", title="Pair", category="test")
class Pair(BaseInvocation):
    """Gives a tuple."""

    def invoke(self, context: InvocationContext) -> PairOutput:
        return PairOutput(pair=(1, 2))


def picture() -> MultiplyImages:
    solid, clear = (BlankImage(id=mode, width=16, height=16, mode=mode) for mode in ("RGB", "RGBA"))
    return MultiplyImages(id="product", image1=solid, image2=clear)


def sums() -> Collect:
    item = Iterate(id="each", collection=list(range(300)))
    return Collect(id="all", item=Add(id="sum", a=item.output("item"), b=1))


def cached(studio: Studio, node: BaseInvocation) -> dict[str, bool]:
    stats = studio.run(node, progress=False).stats
    return dict(zip(stats.node, stats.cached))


def test_the_next_kernel_finds_pictures_stats_and_results(folder):
    with Studio(folder) as studio:
        first = studio.run(picture(), progress=False)
        pixels = first["product"].image.tobytes()
        assert not first.stats.cached.any()
    with Studio(folder) as studio:
        again = studio.run(picture(), progress=False)
        assert again.stats.cached.all()
        assert again["product"].image.tobytes() == pixels
        assert studio.stats.groupby("session", sort=False).cached.all().tolist() == [False, True]
        assert len(studio.images) == 3
        assert (studio.explain(picture()).will_run == False).all()  # noqa: E712
        assert studio.queue.frame.status.tolist() == ["completed", "completed"]


def test_results_that_json_does_not_give_back_as_they_were_are_not_kept(folder):
    for _ in range(2):
        with Studio(folder) as studio:
            run = studio.run(Pair(id="pair"), progress=False)
            assert run["pair"].pair == (1, 2)
            assert not run.stats.cached.any()


def test_a_finished_session_is_read_back_whole(folder):
    with Studio(folder) as studio:
        run = studio.run(sums(), progress=False)
        before = run.session.to_dict()
    with Studio(folder) as studio:
        session = studio.services.graph_execution_manager.get(run.id)
        assert (session.status, len(session)) == ("completed", 601)
        assert session.outputs_of("all")[()].collection == list(range(1, 301))
        after = session.to_dict()
        assert sorted(map(str, after.pop("outputs"))) == sorted(map(str, before.pop("outputs")))
        assert after == before


class LimitsOutput(BaseInvocationOutput):
    """Numbers that JSON does not have."""

    greatest: float
    undefined: list[float]


@invocation("test_limits", title="Limits", category="test")
class Limits(BaseInvocation):
    """Gives numbers that JSON does not have."""

    def invoke(self, context: InvocationContext) -> LimitsOutput:
        return LimitsOutput(greatest=float("inf"), undefined=[float("nan"), float("-inf")])


def test_infinite_results_come_back_and_cost_neither_the_session_nor_its_stats(folder):
    with Studio(folder) as studio:
        first = studio.run(Limits(id="limits"), progress=False)
    with Studio(folder) as studio:
        assert studio.stats.session.tolist() == [first.id]
        session = studio.services.graph_execution_manager.get(first.id)
        assert session.outputs_of("limits")[()].greatest == float("inf")
        run = studio.run(Limits(id="limits"), progress=False)
        assert run.stats.cached.tolist() == [True]
        assert str(run["limits"].undefined) == "[nan, -inf]"


def test_a_half_finished_session_goes_on_in_the_next_kernel_without_running_anything_again(folder, open_folder):
    with Studio(folder) as studio:
        services = studio.services
        session = GraphExecutionState(Graph.of(sums()))
        services.graph_execution_manager.set(session)
        services.queue.put(session.id)
        services.queue.take()
        journal = services.graph_execution_manager.journal(session)
        for _ in range(400):
            prepared = session.next()
            node = prepared.planned.node
            output = session.iterate_output(prepared) if node.type == "iterate" else None
            output = output or type(node)(**{**node.literals(), **session.arriving(prepared)}).invoke(None)
            session.complete(prepared, output)
            journal.completed(prepared, output)
        journal.flush()
    with Studio(folder) as studio:
        assert studio.queue.frame.status.tolist() == ["interrupted"]
        run = studio.resume(session.id).wait()
        assert (run.status, len(run.stats)) == ("completed", 201)
        assert run["all"].collection == list(range(1, 301))


def test_two_studios_in_one_process_may_have_the_same_folder(folder):
    with Studio(folder) as one, Studio(folder) as other:
        first = one.run(picture(), progress=False)
        assert other.run(picture(), progress=False).stats.cached.all()
        name = other.images.frame.image_name[0]
        other.images.delete(name)
        assert not one.services.images.exists(name)
        assert [item.owner for item in one.services.queue.rows()] == [
            one.services.database.kernel,
            other.services.database.kernel,
        ]
        assert first.status == "completed"


def test_a_kernel_cancels_and_clears_only_what_is_its_own(open_folder):
    one, other = open_folder().services.queue, open_folder().services.queue
    one.put("mine")
    other.put("yours")
    assert not one.cancel("yours")
    assert one.cancel_all() == ["mine"]
    assert one.take() is None
    assert other.take().session_id == "yours"


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
@pytest.mark.parametrize("restart", [False, True])
def test_what_names_a_damaged_file_is_computed_anew(folder, damage, restart):
    studio = Studio(folder)
    studio.run(picture(), progress=False)
    if restart:
        studio.close()
    for path in folder.glob("images/*/*.png"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.unlink()
        if damage != "missing":
            path.write_bytes(bytes(data) if damage == "flipped" else bytes(data[:-7]))
    if restart:
        studio = Studio(folder)
    run = studio.run(picture(), progress=False)
    assert not run.stats.cached.any()
    assert run["product"].image.size == (16, 16)
    assert studio.run(picture(), progress=False).stats.cached.all()
    studio.close()


def test_tensors_and_conditioning_outlive_the_kernel(folder, open_folder):
    name = open_folder().services.latents.save({"latents": torch.arange(6.0)}, kind="conditioning").name
    tensors, _ = open_folder().services.latents.get(name)
    assert tensors["latents"].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_thumbnail_is_made_anew_if_its_file_is_gone(folder, open_folder):
    images = open_folder().services.images
    name = images.save(Image.new("RGB", (600, 300), "blue")).image_name
    first = images.thumbnail(name)
    (path,) = folder.glob("thumbnails/*/*.webp")
    path.unlink()
    assert images.thumbnail(name) == first
    images.delete(name)
    assert list(folder.glob("thumbnails/*/*.webp")) == []


def test_threads_of_one_kernel_may_save_at_once(open_folder):
    images = open_folder().services.images
    names: list[str] = []

    def save() -> None:
        for shade in range(10):
            names.append(images.save(Image.new("L", (4, 4), shade)).image_name)

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {record.image_name for record in images.list(per_page=100).items} == set(names)
    assert len(set(names)) == 40


def test_a_folder_is_opened_without_loading_torch(folder: Path):
    code = (
        "import sys; from nbgraph.services.invocation_services import InvocationServices;"
        f"InvocationServices.sqlite({str(folder)!r}).close(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_empty_name_of_a_folder_is_refused_and_the_current_folder_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="folder is empty; give one, or none for a studio in memory"):
        Studio("")
    assert list(tmp_path.iterdir()) == []
