"""Models that edit by an instruction: what diffusers' pipelines for them draw, and refusals before a step is done."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from diffusers.pipelines.flux import pipeline_flux_kontext
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from PIL import Image, ImageDraw
from transformers import Qwen2VLProcessor

import nbgraph as nb
from nbgraph.errors import GraphError, NodeError
from nbgraph.invocations import (
    BlurImage,
    Collect,
    CreateDenoiseMask,
    DenoiseLatents,
    EditPrompt,
    ImageToLatents,
    Iterate,
    LatentsToImage,
    ModelLoader,
    Noise,
    Prompt,
    Reference,
)
from nbgraph.invocations import Image as ImageNode
from nbgraph.invocations.fields import ImageField
from nbgraph.services.events.events_common import Event, NodeProgress
from tests.diffusion.models import TinyModels

WIDTH, HEIGHT, STEPS, SEED = 32, 48, 3, 7
EDITING = ["flux-kontext", "flux2", "flux2-klein", "qwen-edit", "qwen-edit-plus"]
SEVERAL = ["flux2", "flux2-klein", "qwen-edit-plus"]
READING = ["qwen-edit", "qwen-edit-plus"]
SCALES: dict[str, dict[str, float]] = {
    "flux-kontext": {"guidance_scale": 2.5},
    "flux2": {"guidance_scale": 3.0},
    "flux2-klein": {"guidance_scale": 1.0},
    "qwen-edit": {"true_cfg_scale": 4.0},
    "qwen-edit-plus": {"true_cfg_scale": 4.0},
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pipelines bring references to small sizes, for speed, and read images without torchvision."""
    monkeypatch.setattr(pipeline_flux_kontext, "PREFERRED_KONTEXT_RESOLUTIONS", [(32, 32), (48, 32)])
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "CONDITION_IMAGE_SIZE", 64 * 64)
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "VAE_IMAGE_SIZE", 32 * 32)
    plain = pipeline_qwenimage_edit.calculate_dimensions
    monkeypatch.setattr(pipeline_qwenimage_edit, "calculate_dimensions", lambda area, ratio: plain(64 * 64, ratio))
    monkeypatch.setattr(Qwen2VLProcessor, "get_attributes", classmethod(lambda cls: ["image_processor", "tokenizer"]))


@pytest.fixture(scope="module")
def uncached() -> Iterator[nb.Studio]:
    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0)) as studio:
        yield studio


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """A disc on a gradient, and a box on another: 96 by 64 and 64 by 64 pixels."""
    first, second = Image.linear_gradient("L").resize((96, 64)), Image.radial_gradient("L").resize((64, 64))
    first, second = first.convert("RGB"), second.convert("RGB")
    ImageDraw.Draw(first).ellipse((10, 20, 50, 60), fill=(220, 40, 90))
    ImageDraw.Draw(second).rectangle((10, 20, 50, 60), fill=(20, 140, 90))
    return [first, second]


def saved(studio: nb.Studio, picture: Image.Image) -> ImageField:
    return ImageField(image_name=studio.services.images.save(picture).image_name)


def edit(studio: nb.Studio, name: str, tiny: TinyModels, shown: list[Image.Image], **more: Any) -> DenoiseLatents:
    """The denoise node of an edit of images, with a negative instruction where the model takes one by default."""
    model = ModelLoader(model=tiny[name].path)
    images = [saved(studio, picture) for picture in shown]
    reference = Reference(image=images if len(images) > 1 else images[0], vae=model) if images else None
    inputs: dict[str, Any] = {
        "unet": model,
        "positive": EditPrompt(text="a red cat", clip=model, reference=reference),
        "noise": Noise(unet=model, seed=SEED, width=WIDTH, height=HEIGHT),
        "reference": reference,
        "steps": STEPS,
        "cfg_scale": 1.0,
    }
    if name in READING:
        inputs["negative"] = EditPrompt(text="a dog", clip=model, reference=reference)
        inputs["cfg_scale"] = 4.0
    elif name != "flux2-klein":
        inputs["guidance"] = SCALES[name]["guidance_scale"]
    return DenoiseLatents(id="denoise", **inputs | more)


def drawn(studio: nb.Studio, node: DenoiseLatents) -> torch.Tensor:
    return studio.run(node, progress=False)[node].latents.tensor()


def plain(name: str, tiny: TinyModels, shown: list[Image.Image], **more: Any) -> Any:
    pipeline = tiny.pipeline(name)
    given: dict[str, Any] = {"image": shown if name in SEVERAL else shown[0]} if shown else {}
    if name in READING:
        given["negative_prompt"] = "a dog"
    if name == "flux-kontext":
        given["max_area"] = WIDTH * HEIGHT
    return pipeline(
        prompt="a red cat", width=WIDTH, height=HEIGHT, num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(SEED), output_type="pil", **SCALES[name] | given | more,
    ).images[0]  # fmt: skip


def differs(first: Image.Image, second: Image.Image) -> int:
    pair = [torch.frombuffer(bytearray(each.tobytes()), dtype=torch.uint8).int() for each in (first, second)]
    return int((pair[0] - pair[1]).abs().max())


@pytest.mark.parametrize("name", EDITING)
def test_an_edit_is_the_picture_that_the_pipeline_draws(name, tiny, pictures, uncached):
    shown = pictures if name in SEVERAL else pictures[:1]
    node = edit(uncached, name, tiny, shown)
    picture = LatentsToImage(id="picture", latents=node, vae=ModelLoader(model=tiny[name].path))
    run = uncached.run(picture, progress=False)
    assert differs(run["picture"].image, plain(name, tiny, shown)) == 0
    other = drawn(uncached, edit(uncached, name, tiny, pictures[1:]))
    assert (other - run["denoise"].latents.tensor()).abs().max() > 1e-3


def test_klein_is_guided_away_from_a_negative_prompt_as_its_pipeline_is(tiny, pictures, uncached):
    model = ModelLoader(model=tiny["flux2-klein"].path)
    node = edit(uncached, "flux2-klein", tiny, pictures, negative=EditPrompt(text="", clip=model), cfg_scale=3.0)
    picture = LatentsToImage(id="picture", latents=node, vae=model)
    expected = plain("flux2-klein", tiny, pictures, guidance_scale=3.0)
    assert differs(uncached.run(picture, progress=False)["picture"].image, expected) == 0


@pytest.mark.parametrize("name", ["flux-kontext", "flux2"])
def test_a_model_for_editing_draws_from_text_alone_as_its_pipeline_does(name, tiny, uncached):
    node = edit(uncached, name, tiny, [])
    picture = LatentsToImage(id="picture", latents=node, vae=ModelLoader(model=tiny[name].path))
    assert differs(uncached.run(picture, progress=False)["picture"].image, plain(name, tiny, [])) == 0


@pytest.mark.parametrize("name", ["flux-kontext", "flux2", "qwen-edit-plus"])
def test_an_edit_in_two_pieces_is_the_whole(name, tiny, pictures, uncached):
    first = edit(uncached, name, tiny, pictures[:1], denoising_end=1 / 3)
    first.id = "first"
    rest = edit(uncached, name, tiny, pictures[:1], noise=None, latents=first, denoising_start=1 / 3)
    assert (drawn(uncached, rest) - drawn(uncached, edit(uncached, name, tiny, pictures[:1]))).abs().max() == 0


def test_the_order_of_the_images_counts(tiny, pictures, uncached):
    one, other = (drawn(uncached, edit(uncached, "flux2", tiny, shown)) for shown in (pictures, pictures[::-1]))
    assert (one - other).abs().max() > 1e-3


def test_an_edit_within_a_mask_keeps_the_rest(tiny, pictures, uncached):
    mask = Image.new("L", (96, 64))
    mask.paste(255, (0, 0, 48, 64))
    model = ModelLoader(model=tiny["flux2"].path)
    kept = ImageToLatents(id="kept", image=saved(uncached, pictures[0]), vae=model)
    node = edit(
        uncached, "flux2", tiny, pictures, latents=kept, noise=Noise(unet=model, seed=SEED, width=96, height=64),
        denoise_mask=CreateDenoiseMask(mask=saved(uncached, mask)), denoising_start=1 / 3,
    )  # fmt: skip
    run = uncached.run(node, progress=False)
    before, after = (run[name].latents.tensor() for name in ("kept", "denoise"))
    half = before.shape[-1] // 2
    assert (after - before)[..., half:].abs().max() == 0
    assert (after - before)[..., :half].abs().max() > 1e-2


def test_latents_of_flux2_are_those_that_its_pipeline_makes_of_an_image(tiny, pictures, uncached):
    pipeline = tiny.pipeline("flux2")
    pixels = pipeline.image_processor.preprocess(pictures[1])
    with torch.no_grad():
        expected = pipeline._encode_vae_image(pixels, torch.Generator())
    model = ModelLoader(model=tiny["flux2"].path)
    run = uncached.run(ImageToLatents(id="own", image=saved(uncached, pictures[1]), vae=model), progress=False)
    assert (run["own"].latents.tensor() - expected).abs().max() == 0


def refused(studio: nb.Studio, node: Any, match: str) -> None:
    """Assert that a graph is refused by its check, so before any node runs."""
    with pytest.raises(GraphError, match=match):
        studio.submit(node).wait()


def test_more_images_than_a_model_takes_are_refused_before_a_node_runs(tiny, pictures, uncached):
    refused(uncached, edit(uncached, "flux-kontext", tiny, pictures), "there are 2 reference images.*take 1; put them")


def test_images_that_are_collected_are_counted_before_a_node_runs_as_far_as_they_are_known(tiny, pictures, uncached):
    model = ModelLoader(model=tiny["flux-kontext"].path)
    images = [ImageNode(image=saved(uncached, picture)) for picture in pictures]
    refusal = "there are 2 reference images.*take 1; put them"
    for image in (Collect(item=images), Collect(item=images[0], collection=[images[1].image])):
        refused(
            uncached, edit(uncached, "flux-kontext", tiny, [], reference=Reference(image=image, vae=model)), refusal
        )
    one = Reference(image=Collect(item=images[:1]), vae=model)
    assert uncached.run(edit(uncached, "flux-kontext", tiny, [], reference=one), progress=False).status == "completed"


def test_images_whose_number_only_the_run_knows_are_refused_before_a_step(tiny, pictures, uncached):
    model = ModelLoader(model=tiny["flux-kontext"].path)
    each = Iterate(collection=[saved(uncached, picture) for picture in pictures])
    made = Collect(item=BlurImage(image=each))
    node = edit(uncached, "flux-kontext", tiny, [], reference=Reference(image=made, vae=model))
    steps: list[Event] = []
    end = uncached.services.events.subscribe(lambda event: isinstance(event, NodeProgress) and steps.append(event))
    with pytest.raises(NodeError, match="there are 2 reference images.*take 1; put them"):
        uncached.run(node, progress=False)
    end()
    assert not steps


def test_an_image_that_is_too_small_or_too_wide_is_refused_before_a_node_runs(tiny, uncached):
    for size, problem in (((40, 80), "is 40x80.*at least 64 pixels"), ((900, 100), "is 900x100.*at most 8 to 1")):
        model = ModelLoader(model=tiny["flux2"].path)
        node = edit(
            uncached, "flux2", tiny, [], reference=Reference(image=saved(uncached, Image.new("RGB", size)), vae=model)
        )
        refused(uncached, node, problem)


def test_a_model_that_needs_an_image_is_refused_without(tiny, pictures, uncached):
    refused(uncached, edit(uncached, "qwen-edit", tiny, []), "edit an image and need it as a reference")
    model = ModelLoader(model=tiny["qwen-edit"].path)
    node = edit(uncached, "qwen-edit", tiny, pictures[:1], positive=Prompt(text="a red cat", clip=model))
    refused(uncached, node, "read an instruction together with the image.*EditPrompt")


def test_a_model_that_takes_no_images_is_refused_with_some(tiny, pictures, uncached):
    model = ModelLoader(model=tiny["flux"].path)
    reference = Reference(image=saved(uncached, pictures[0]), vae=model)
    node = DenoiseLatents(
        unet=model, positive=Prompt(text="a", clip=model), noise=Noise(unet=model, width=32, height=32),
        reference=reference,
    )  # fmt: skip
    refused(uncached, node, "'flux' take no reference images")
    linked = Reference(image=BlurImage(image=saved(uncached, pictures[0])), vae=model)
    node.reference = linked
    refused(uncached, node, "'flux' take no reference images")


def test_the_vae_of_another_kind_of_model_is_refused_and_that_of_the_same_kind_is_taken(tiny, pictures, uncached):
    image = saved(uncached, pictures[0])
    for name, problem in (("sd3", "whose scaling_factor and shift_factor are not"), ("flux", "")):
        reference = Reference(image=image, vae=ModelLoader(model=tiny[name].path))
        node = edit(uncached, "flux-kontext", tiny, [], reference=reference)
        if problem:
            refused(uncached, node, problem)
        else:
            assert uncached.run(node, progress=False).status == "completed"


def test_a_negative_prompt_that_a_model_cannot_use_is_refused(tiny, pictures, uncached):
    model = ModelLoader(model=tiny["flux2"].path)
    refused(
        uncached,
        edit(uncached, "flux2", tiny, pictures, negative=Prompt(text="a", clip=model)),
        "take no negative prompt",
    )


def test_a_processor_that_cannot_be_loaded_names_the_package(tiny, pictures, uncached, monkeypatch):
    everything = ["image_processor", "tokenizer", "video_processor"]
    monkeypatch.setattr(Qwen2VLProcessor, "get_attributes", classmethod(lambda cls: everything))
    refused(uncached, edit(uncached, "qwen-edit", tiny, pictures[:1]), "needs the package torchvision")


def test_an_empty_list_of_images_is_refused(tiny, uncached):
    model = ModelLoader(model=tiny["flux2"].path)
    refused(uncached, Reference(image=[], vae=model), "is an empty list")
