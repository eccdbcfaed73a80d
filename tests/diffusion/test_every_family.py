"""Every class that diffusers registers for text to image: drawn as diffusers draws it, or refused with a reason."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.prx import pipeline_prx
from PIL import Image
from transformers import GlmImageProcessor, Qwen2VLProcessor

import nbgraph as nb
from nbgraph.diffusion.abilities import EDITING, REFUSED, TESTED, TRIED_AS_A_WHOLE, TRIED_IN_STEPS
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.families import family_of_class
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelRef
from nbgraph.diffusion.whole_families import text_to_image_families, whole_reason
from nbgraph.errors import CancelledError, GraphError, NodeError
from nbgraph.invocations import PipelineLoader, WholePipeline
from nbgraph.invocations.fields import ImageField
from tests.diffusion.drawing import AVOID, SEED, TEXT, decode, noise, pixels, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.whole_rows import AS_A_WHOLE, IN_STEPS, Row

STEPS = 2
CONTROLLED = ("flux-control", "cogview4-control")
"""Families that are given a control image."""


@pytest.fixture(scope="module")
def studio() -> Any:
    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _processor_without_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processors of vision-language models load without torchvision, which only their videos need.

    And PRX clean its text without ftfy, and GLM-Image write 2 tokens of a preview instead of 256.
    """
    monkeypatch.setattr(pipeline_prx, "ftfy", SimpleNamespace(fix_text=str), raising=False)
    shape = GlmImageProcessor._get_target_shape
    monkeypatch.setattr(
        GlmImageProcessor, "_get_target_shape", lambda *size, **named: (*shape(*size, **named)[:2], 1, 2)
    )
    monkeypatch.setattr(Qwen2VLProcessor, "get_attributes", classmethod(lambda cls: ["image_processor", "tokenizer"]))


def built(row: Row, tiny: TinyModels) -> Any:
    torch.manual_seed(0)
    pipeline = row.build(tiny)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def plain(pipeline: Any, row: Row, **more: Any) -> np.ndarray:
    """What the pipeline itself draws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)  # some draw from torch's own state, without a generator
        images = pipeline(
            prompt=TEXT, height=row.size, width=row.size, num_inference_steps=STEPS,
            generator=torch.Generator().manual_seed(SEED), **row.arguments, **more,
        ).images  # fmt: skip
    drawn = pixels(images[0])
    assert drawn.std() > 1, "the image is flat, and tells nothing"
    return drawn


@pytest.mark.parametrize("key", IN_STEPS)
def test_the_steps_one_by_one_draw_what_the_pipeline_draws(key, tiny, tmp_path, shared_cache: ModelCache) -> None:
    row = IN_STEPS[key]
    pipeline = built(row, tiny)
    expected = plain(pipeline, row, negative_prompt=AVOID, guidance_scale=4.0)
    pipeline.save_pretrained(tmp_path)
    ref = ModelRef.from_path(str(tmp_path))
    settings = DenoiseSettings(steps=STEPS, cfg=4.0)
    found = sample(shared_cache, ref, settings, noise=noise(ref, side=row.size))
    assert np.abs(pixels(decode(shared_cache, ref, found)[0]) - expected).max() == 0


@pytest.mark.parametrize("key", AS_A_WHOLE)
def test_a_family_as_a_whole_draws_what_the_pipeline_draws(key, tiny, tmp_path, studio) -> None:
    row = AS_A_WHOLE[key]
    pipeline = built(row, tiny)
    shown = Image.linear_gradient("L").resize((row.size, row.size)).convert("RGB")
    control = {"control_image": shown} if key in CONTROLLED else {}
    expected = plain(pipeline, row, **control)
    pipeline.save_pretrained(tmp_path)
    usual = {name: row.arguments[name] for name in ("guidance_scale", "negative_prompt") if name in row.arguments}
    more = {name: value for name, value in row.arguments.items() if name not in usual}
    field = ImageField(image_name=studio.services.images.save(shown).image_name)
    node = WholePipeline(
        id="whole", pipeline=PipelineLoader(model=str(tmp_path)), prompt=TEXT, width=row.size, height=row.size,
        num_inference_steps=STEPS, seed=SEED, arguments=more, **usual, **({"control_image": field} if control else {}),
    )  # fmt: skip
    assert np.abs(pixels(studio.run(node, progress=False)["whole"].image) - expected).max() == 0


def test_a_package_that_a_pipeline_does_without_until_it_draws_is_named(tiny, tmp_path, studio, monkeypatch) -> None:
    monkeypatch.delattr(pipeline_prx, "ftfy")
    built(AS_A_WHOLE["prx"], tiny).save_pretrained(tmp_path)
    node = WholePipeline(
        pipeline=PipelineLoader(model=str(tmp_path)), prompt=TEXT, width=32, height=32, num_inference_steps=1, seed=1,
        arguments={"use_resolution_binning": False},
    )  # fmt: skip
    with pytest.raises(NodeError, match="PRXPipeline needs the package ftfy; install it"):
        studio.run(node, progress=False)


@pytest.mark.parametrize("kind", ["HeliosPipeline", "HeliosPyramidPipeline"])
def test_a_pipeline_of_videos_is_refused_before_it_is_loaded(kind, tmp_path, studio) -> None:
    (tmp_path / "model_index.json").write_text(f'{{"_class_name": "{kind}"}}')
    with pytest.raises(GraphError, match=f"{kind}, which is not run: it takes 'num_frames': it makes videos or"):
        studio.run(PipelineLoader(model=str(tmp_path)), progress=False)


def test_pipelines_that_perturb_attention_leave_the_shared_denoiser_as_it_was(tiny, tmp_path, shared_cache) -> None:
    built(IN_STEPS["stable-diffusion-pag"], tiny).save_pretrained(tmp_path)
    ref, settings = ModelRef.from_path(str(tmp_path)), DenoiseSettings(steps=3, cfg=4.0)
    with shared_cache.use(ref, "denoiser") as components:
        before = dict(components["unet"].attn_processors)

    def stop(*step: Any) -> None:
        raise CancelledError("enough")

    with pytest.raises(CancelledError):
        sample(shared_cache, ref, settings, noise=noise(ref, side=32), on_step=stop)
    with shared_cache.use(ref, "denoiser") as components:
        assert dict(components["unet"].attn_processors) == before


def test_every_registered_class_is_tried_or_refused_with_a_reason() -> None:
    own = {of.key for of in text_to_image_families() if family_of_class(of.pipeline().__name__).key == of.key}
    whole = {key for of in text_to_image_families() if whole_reason(of) for key in [of.key]}
    assert own - whole <= {*TESTED, *EDITING, *IN_STEPS}
    assert whole == {*AS_A_WHOLE} - {"hidream"} | {*REFUSED}
    assert set(TRIED_IN_STEPS) == set(IN_STEPS)
    assert set(TRIED_AS_A_WHOLE) == set(AS_A_WHOLE) - {"hidream"}
