"""Differential masks: grey is how much of the steps a latent is denoised for."""

import pytest
import torch

from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.values import Latents
from tests.diffusion.drawing import SIDE, noise, sample
from tests.diffusion.models import TinyModels

STEPS = 4


def kept(tiny: TinyModels, name: str) -> Latents:
    given = noise(tiny[name])
    line = torch.linspace(-1, 1, given.tensor.shape[-1])
    return Latents((line[:, None] * line).expand_as(given.tensor).contiguous(), given.family, SIDE, SIDE)


@pytest.mark.parametrize("name", ["sd15", "sdxl", "sd3", "flux"])
def test_a_latent_is_denoised_for_the_last_steps_of_its_share(name, tiny, shared_cache: ModelCache) -> None:
    image = kept(tiny, name)
    side = image.tensor.shape[-1]
    given = {"noise": noise(tiny[name]), "latents": image, "differential": True}
    settings = DenoiseSettings(steps=STEPS, cfg=4.0, scheduler="default" if name in ("sd3", "flux") else "euler")
    ramp = torch.linspace(0, 1, side).expand(1, 1, side, side).clone()
    ramp[..., :3] = 0
    drawn = sample(shared_cache, tiny[name], settings, mask=ramp, **given).tensor
    assert (drawn - image.tensor)[..., :3].abs().max() == 0
    assert (drawn - image.tensor)[..., -1].abs().max() > 1e-2
    # one grey everywhere is an image that is begun at its share
    grey = torch.full((1, 1, side, side), 0.5)
    half = sample(shared_cache, tiny[name], settings, mask=grey, **given).tensor
    late = DenoiseSettings(steps=STEPS, cfg=4.0, scheduler=settings.scheduler, start=STEPS // 2)
    begun = sample(shared_cache, tiny[name], late, noise=given["noise"], latents=image).tensor
    assert (half - begun).abs().max() < 1e-4
    white = sample(shared_cache, tiny[name], settings, mask=torch.ones(1, 1, side, side), **given).tensor
    hard = sample(
        shared_cache, tiny[name], settings, mask=torch.ones(1, 1, side, side), noise=given["noise"], latents=image
    ).tensor
    assert (white - hard).abs().max() == 0
