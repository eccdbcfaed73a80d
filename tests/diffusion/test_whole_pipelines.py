"""Pipelines of diffusers that run as a whole: they give what diffusers gives, and are cached like any node."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from PIL import Image

import nbgraph as nb
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.whole_families import text_to_image_families, whole_reason
from nbgraph.errors import GraphError, ModelError, NodeError
from nbgraph.invocations import ModelLoader, PipelineLoader, WholePipeline
from nbgraph.invocations.fields import ImageField

SIDE, SEED, STEPS = 32, 7, 2


@pytest.fixture(scope="module")
def cached() -> Iterator[nb.Studio]:
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        yield studio


@pytest.fixture(scope="module")
def pix2pix(tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """InstructPix2Pix, whose UNet takes the latents of an image beside those that it denoises; no family has it."""
    folder = Path(shutil.copytree(tiny["sd15"].path, tmp_path_factory.mktemp("whole") / "pix2pix"))
    index = json.loads((folder / "model_index.json").read_text())
    name = StableDiffusionInstructPix2PixPipeline.__name__
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": name}))
    torch.manual_seed(0)
    config = json.loads((folder / "unet" / "config.json").read_text())
    unet: Any = UNet2DConditionModel.from_config({**config, "in_channels": 8})
    unet.save_pretrained(folder / "unet")
    return folder


def saved(studio: nb.Studio) -> tuple[Image.Image, ImageField]:
    picture = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
    return picture, ImageField(image_name=studio.services.images.save(picture).image_name)


def differs(first: Image.Image, second: Image.Image) -> int:
    return int(abs(np.asarray(first).astype(int) - np.asarray(second)).max())


def test_a_pipeline_as_a_whole_draws_what_diffusers_draws_and_is_cached(tiny, cached):
    node = WholePipeline(
        id="whole", pipeline=PipelineLoader(model=tiny["sd15"].path), prompt="a red cat", negative_prompt="a dog",
        width=SIDE, height=SIDE, num_inference_steps=STEPS, guidance_scale=4.0, seed=SEED,
        arguments={"num_images_per_prompt": 2},
    )  # fmt: skip
    steps: list[int] = []
    run = cached.run(node, progress=lambda progress: steps.append(progress.step or 0))
    expected = tiny.pipeline("sd15")(
        "a red cat", negative_prompt="a dog", width=SIDE, height=SIDE, num_inference_steps=STEPS, guidance_scale=4.0,
        num_images_per_prompt=2, generator=torch.Generator().manual_seed(SEED),
    ).images  # fmt: skip
    made = run["whole"]
    assert differs(made.image, expected[0]) == 0
    assert [differs(*pair) for pair in zip(made.images, expected, strict=True)] == [0, 0]
    assert (made.width, made.height, made.seed) == (SIDE, SIDE, SEED)
    again = cached.run(node, progress=False)
    assert bool(again.stats.set_index("node").cached["whole"])


def test_a_pipeline_that_no_family_has_runs_with_an_image(cached, pix2pix):
    picture, field = saved(cached)
    node = WholePipeline(
        id="whole", pipeline=PipelineLoader(model=str(pix2pix)), prompt="make it red", image=field, seed=SEED,
        num_inference_steps=STEPS, arguments={"image_guidance_scale": 1.2},
    )  # fmt: skip
    pipeline: Any = StableDiffusionInstructPix2PixPipeline.from_pretrained(pix2pix, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        "make it red", image=picture, num_inference_steps=STEPS, image_guidance_scale=1.2,
        generator=torch.Generator().manual_seed(SEED),
    ).images[0]  # fmt: skip
    assert differs(cached.run(node, progress=False)["whole"].image, expected) == 0


def test_a_family_whose_steps_would_draw_another_image_runs_as_a_whole(tiny, cached):
    with pytest.raises(GraphError, match="'lumina2' are not run step by step.*an instruction before.*PipelineLoader"):
        cached.run(ModelLoader(model=tiny["lumina2"].path), progress=False)
    node = WholePipeline(
        id="whole", pipeline=PipelineLoader(model=tiny["lumina2"].path), prompt="a red cat", width=SIDE, height=SIDE,
        num_inference_steps=STEPS, seed=SEED,
    )  # fmt: skip
    expected = tiny.pipeline("lumina2")(
        "a red cat", width=SIDE, height=SIDE, num_inference_steps=STEPS, generator=torch.Generator().manual_seed(SEED)
    ).images[0]
    assert differs(cached.run(node, progress=False)["whole"].image, expected) == 0


WHOLE = {of.key: of.pipeline().__name__ for of in text_to_image_families() if whole_reason(of)}


@pytest.mark.parametrize("key", WHOLE)
def test_a_family_that_is_not_run_in_steps_says_why_and_what_to_use(tmp_path, key):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": WHOLE[key]}))
    with pytest.raises(ModelError, match=f"'{key}' are not run step by step: .* by WholePipeline"):
        describe_model(tmp_path)


def refused(studio: nb.Studio, match: str, **inputs: Any) -> None:
    with pytest.raises(GraphError, match=match):
        studio.run(WholePipeline(prompt="a", **inputs), progress=False)


def test_parameters_that_a_pipeline_does_not_have_are_refused_before_a_node_runs(tiny, cached):
    pipeline = PipelineLoader(model=tiny["sd15"].path)
    refused(cached, "'guidance_scal' is no parameter of StableDiffusionPipeline; did you mean 'guidance_scale'",
            pipeline=pipeline, arguments={"guidance_scal": 2})  # fmt: skip
    refused(cached, "image: is no parameter of StableDiffusionPipeline", pipeline=pipeline, image=saved(cached)[1])
    refused(cached, "'output_type' is no parameter", pipeline=pipeline, arguments={"output_type": "np"})
    refused(cached, "has 'prompt', which is an input already", pipeline=pipeline, arguments={"prompt": "b"})


def test_what_a_pipeline_refuses_is_told_in_its_words(tiny, cached):
    node = WholePipeline(pipeline=PipelineLoader(model=tiny["sd15"].path), seed=SEED)
    with pytest.raises(NodeError, match="StableDiffusionPipeline refuses these inputs: Provide either `prompt`"):
        cached.run(node, progress=False)


def test_a_run_as_a_whole_is_cancelled_at_a_step(tiny, cached):
    node = WholePipeline(
        id="whole", pipeline=PipelineLoader(model=tiny["sd15"].path), prompt="a", width=SIDE, height=SIDE,
        num_inference_steps=50, seed=1,
    )  # fmt: skip
    run = cached.submit(node)
    end = cached.services.events.subscribe(
        lambda event: getattr(event, "step", 0) == 2 and cached.services.processor.cancel(event.session_id)
    )
    assert run.wait().status == "cancelled"
    end()


@pytest.mark.parametrize(
    ("name", "problem"),
    [("os", "wants the pipeline 'os'"), ("UNet2DConditionModel", "which the installed diffusers does not have")],
)
def test_a_folder_that_names_no_pipeline_is_refused(tmp_path, cached, name, problem):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    with pytest.raises(GraphError, match=problem):
        cached.run(PipelineLoader(model=str(tmp_path)), progress=False)
