"""A picture or tensors that are named in what was typed, and cannot be had, are told before anything runs."""

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.errors import GraphError
from nbgraph.invocations import Collect, If, Image, ImageCollection, Iterate
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ConditioningField, DenoiseMaskField, ImageField, LatentsField
from nbgraph.invocations.outputs import IntegerOutput

RAN: list[str] = []


@invocation("test_long_work", category="test", use_cache=False)
class LongWork(BaseInvocation):
    """Notes that it ran."""

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        RAN.append(context.prepared_id)
        return IntegerOutput(value=1)


@invocation("test_takes_resources", category="test")
class Takes(BaseInvocation):
    """Takes what a person may name a resource by."""

    work: int
    latents: LatentsField | None = None
    conditioning: ConditioningField | None = None
    mask: DenoiseMaskField | None = None
    images: list[ImageField] = []
    anything: Any = None
    named: dict[str, ImageField] = {}

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.work)


@nb.node(type="test_takes_a_picture")
def takes_a_picture(picture: nb.Image, work: int) -> nb.Image:
    return picture


@pytest.fixture(params=["memory", "folder"])
def studio(request, tmp_path):
    RAN.clear()
    with nb.Studio(None if request.param == "memory" else tmp_path / "studio") as made:
        yield made


@pytest.fixture
def gone(studio) -> ImageField:
    kept = studio.images.add(PillowImage.new("RGB", (4, 4)))
    studio.images.delete(kept.image_name)
    return kept


MAKE: dict[str, Callable[[ImageField], BaseInvocation]] = {
    "picture of a function": lambda gone: takes_a_picture(picture=gone, work=LongWork()),
    "in a list": lambda gone: Takes(id="last", work=LongWork(), images=[gone]),
    "in a list of anything": lambda gone: Takes(id="last", work=LongWork(), anything=[1, [{"a": gone}]]),
    "in a dictionary": lambda gone: Takes(id="last", work=LongWork(), named={"a": gone}),
    "in a field of a field": lambda gone: Takes(id="last", work=LongWork(), mask=DenoiseMaskField(mask=gone)),
    "latents": lambda gone: Takes(id="last", work=LongWork(), latents=LatentsField(latents_name=gone.image_name)),
    "conditioning": lambda gone: Takes(
        id="last", work=LongWork(), conditioning=ConditioningField(conditioning_name=gone.image_name)
    ),
    "a collection": lambda gone: Collect(item=[Takes(work=LongWork()), Takes(work=LongWork(), images=[gone])]),
    "an iteration": lambda gone: takes_a_picture(picture=Iterate(collection=[gone]), work=LongWork()),
    "a name that none can be": lambda gone: takes_a_picture(picture=ImageField(image_name="../x"), work=LongWork()),
}


@pytest.mark.parametrize("way", MAKE)
def test_it_is_told_before_the_run_with_its_place(studio, gone, way):
    node = MAKE[way](gone)
    with pytest.raises(GraphError, match=r"\w+\.\w+: .*(deleted|hexadecimal)"):
        studio.run(node, progress=False)
    assert RAN == []


def test_everything_that_is_gone_is_told_at_once(studio, gone):
    with pytest.raises(GraphError) as told:
        studio.run(Takes(id="last", work=LongWork(), images=[gone, gone], anything=gone), progress=False)
    assert [problem.field for problem in told.value.problems] == ["images", "images", "anything"]


def test_what_is_there_runs(studio):
    kept = studio.images.add(PillowImage.new("RGB", (4, 4)))
    tensors = studio.services.latents.save({"latents": torch.zeros(1)}, kind="latents", metadata={}).name
    latents = LatentsField(latents_name=tensors)
    node = Takes(work=LongWork(), images=[kept], anything={"a": [kept]}, latents=latents)
    assert studio.run(node, progress=False)[node].value == 1


def test_a_value_set_for_one_run_counts_and_the_one_it_replaces_does_not(studio, gone):
    kept = studio.images.add(PillowImage.new("RGB", (4, 4)))
    node = Takes(id="last", work=LongWork(), images=[gone])
    assert studio.run(node, {"last.images": [kept]}, progress=False)[node].value == 1
    with pytest.raises(GraphError, match="deleted"):
        studio.run(Takes(id="last", work=LongWork(), images=[kept]), {"last.images": [gone]}, progress=False)


def test_a_damaged_file_is_told_before_the_run(tmp_path):
    with nb.Studio(tmp_path / "studio") as studio:
        kept = studio.images.add(PillowImage.new("RGB", (4, 4)))
        path = studio.services.images.path(kept.image_name)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(GraphError, match="missing or damaged"):
            studio.run(takes_a_picture(picture=kept, work=LongWork()), progress=False)


def test_a_resumed_run_needs_no_picture_of_what_it_has_finished(studio):
    kept = studio.images.add(PillowImage.new("RGB", (4, 4)))

    @nb.node(type="test_fails_before_it_is_resumed")
    def fails_once(picture: nb.Image) -> int:
        if not RAN:
            RAN.append("failed")
            raise ValueError("the first time")
        return 1

    copied = takes_a_picture(id="copied", picture=kept, work=1)
    last = fails_once(id="last", picture=copied)
    run = studio.run(last, progress=False, on_error="continue")
    assert run.status == "failed"
    studio.images.delete(kept.image_name)
    assert studio.resume(run).wait()["last"].value == 1


def test_a_list_of_pictures_and_a_branch_are_looked_at(studio, gone):
    kept = studio.images.add(PillowImage.new("RGB", (4, 4)))
    with pytest.raises(GraphError, match=r"image_collection\.collection: there is no image"):
        studio.run(ImageCollection(collection=[kept, gone]), progress=False)
    branch = If(condition=True, true_input=Image(image=kept), false_input=Image(image=gone))
    with pytest.raises(GraphError, match="there is no image"):
        studio.run(branch, progress=False)


def test_a_resume_that_is_refused_leaves_the_run_as_it_was_and_holds_nothing(studio):
    kept = studio.images.add(PillowImage.new("RGB", (4, 4)))

    @nb.node(type="test_fails_always")
    def fails() -> int:
        raise ValueError("each time")

    run = studio.run(
        takes_a_picture(id="last", picture=kept, work=fails(id="first")), progress=False, on_error="continue"
    )
    run_id = run.id
    studio.images.delete(kept.image_name)
    del run
    gc.collect()
    with pytest.raises(GraphError, match="deleted"):
        studio.resume(run_id)
    sessions = studio.services.graph_execution_manager
    gc.collect()
    assert (sessions.live(), len(sessions)) == ([], 1)
    assert sessions.get(run_id).status == "failed"
    assert studio.queue.frame.status.tolist() == ["failed"]
