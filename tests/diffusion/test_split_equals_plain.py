"""The operations one by one give exactly what the pipeline of diffusers gives in one call."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

import nbgraph
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelRef
from tests.diffusion.drawing import AVOID, SEED, SIDE, TEXT, decode, noise, pixels, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.table import able

STEPS, CFG = 4, 4.0
EMOJI = Path(nbgraph.__file__).parent / "models" / "emoji"
EXTRA: dict[str, dict[str, Any]] = {
    "pixart": {"use_resolution_binning": False, "clean_caption": False},
    "pixart-alpha": {"use_resolution_binning": False, "clean_caption": False},
    "sana": {"use_resolution_binning": False, "complex_human_instruction": None},
    "flux": {"true_cfg_scale": CFG},
    "qwen-image": {"true_cfg_scale": CFG},
}


def plain(pipeline: Any, name: str, output: str, side: int = SIDE, steps: int = STEPS) -> Any:
    """What a pipeline gives for `TEXT` without `AVOID`."""
    options = EXTRA.get(name, {})
    if "true_cfg_scale" not in options:
        options = {**options, "guidance_scale": CFG}
    return pipeline(
        TEXT, negative_prompt=AVOID, height=side, width=side, num_inference_steps=steps, output_type=output,
        generator=torch.Generator("cpu").manual_seed(SEED), **options,
    ).images  # fmt: skip


@pytest.mark.parametrize("name", able("text_to_image"))
def test_picture_equals_the_plain_pipelines(name: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    latents = sample(shared_cache, tiny[name], DenoiseSettings(steps=STEPS, cfg=CFG))
    expected = pixels(plain(tiny.pipeline(name), name, "pil")[0])
    assert expected.std() > 5, "the pictures compared are flat"
    assert np.abs(pixels(decode(shared_cache, tiny[name], latents)[0]) - expected).max() == 0


@pytest.mark.parametrize("scheduler", ["default", "ddim", "euler_a", "ddpm"])
@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_latents_equal_the_plain_pipelines_bit_for_bit(
    name: str, scheduler: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    classes = {"ddim": "DDIMScheduler", "euler_a": "EulerAncestralDiscreteScheduler", "ddpm": "DDPMScheduler"}
    own = getattr(diffusers, classes[scheduler]) if scheduler in classes else None
    expected = plain(tiny.pipeline(name, own), name, "latent")
    found = sample(shared_cache, tiny[name], DenoiseSettings(steps=STEPS, cfg=CFG, scheduler=scheduler))
    assert (found.tensor - expected).abs().max() == 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["sd15", "sd3"])
def test_latents_in_half_precision_equal_those_of_a_pipeline_loaded_so(name: str, dtype: str, tiny: TinyModels) -> None:
    """Loaded, not cast: `pipeline.to(float16)` casts the layers of T5 that transformers keeps in float32, too."""
    found = sample(ModelCache(device="cpu", dtype=dtype), tiny[name], DenoiseSettings(steps=STEPS, cfg=CFG))
    expected = plain(tiny.pipeline(name, dtype=getattr(torch, dtype)), name, "latent")
    assert (found.tensor - expected).abs().max() == 0


def test_pictures_of_a_batch_are_those_of_their_seeds(tiny: TinyModels, shared_cache: ModelCache) -> None:
    settings = DenoiseSettings(steps=STEPS, cfg=CFG, scheduler="euler_a")
    both = sample(shared_cache, tiny["sd15"], settings, noise=noise(tiny["sd15"], (3, 4)))
    single = sample(shared_cache, tiny["sd15"], settings, noise=noise(tiny["sd15"], 4))
    pictures = decode(shared_cache, tiny["sd15"], both)
    assert np.abs(pixels(pictures[1]) - pixels(decode(shared_cache, tiny["sd15"], single)[0])).max() <= 1


@pytest.mark.skipif(not (EMOJI / "model_index.json").is_file(), reason="the emoji model is not there")
@pytest.mark.parametrize("scheduler", ["default", "euler_a"])
def test_the_emoji_model_draws_what_its_plain_pipeline_draws(scheduler: str, shared_cache: ModelCache) -> None:
    ref = ModelRef.from_path(str(EMOJI))
    pipeline = diffusers.DiffusionPipeline.from_pretrained(str(EMOJI), local_files_only=True, dtype=torch.float32)
    if scheduler == "euler_a":
        pipeline.scheduler = diffusers.EulerAncestralDiscreteScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    found = sample(shared_cache, ref, DenoiseSettings(steps=STEPS, cfg=CFG, scheduler=scheduler))
    assert (found.tensor - plain(pipeline, "emoji", "latent")).abs().max() == 0
