"""On a GPU, in half precision, the operations one by one give what the pipeline of diffusers gives in one call."""

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from tests.diffusion.drawing import decode, pixels, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.test_split_equals_plain import CFG, STEPS, plain

UNPACKED = ("sd15", "sdxl")
"""Families of which latents are compared too, bit for bit."""
LARGEST = {"float16": 1, "bfloat16": 8}
"""What pixels may differ by, of 255: they are rounded from half precision there, and from float32 here."""


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [*UNPACKED, "sd3", "flux"])
def test_a_picture_in_half_precision_is_the_plain_pipelines(name: str, dtype: str, tiny: TinyModels, device: str):
    cache = ModelCache(device=device, dtype=dtype)
    latents = sample(cache, tiny[name], DenoiseSettings(steps=STEPS, cfg=CFG))
    pipeline = DiffusionPipeline.from_pretrained(tiny[name].path, local_files_only=True, dtype=getattr(torch, dtype))
    pipeline = pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    if name in UNPACKED:
        assert (latents.tensor.to(device) - plain(pipeline, name, "latent")).abs().max() == 0
    apart = pixels(decode(cache, tiny[name], latents)[0]) - pixels(plain(pipeline, name, "pil")[0])
    assert np.abs(apart).max() <= LARGEST[dtype]
