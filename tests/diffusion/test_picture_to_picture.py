"""From a picture, and within a mask: what diffusers' image-to-image and inpaint pipelines draw, by separate steps."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting
from PIL import Image, ImageDraw

from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.masks import latent_mask
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelRef
from nbgraph.diffusion.schedulers import make_scheduler
from nbgraph.diffusion.vae import encode_image
from nbgraph.diffusion.values import Latents, generator_states
from nbgraph.errors import ModelError
from tests.diffusion.drawing import AVOID, SEED, SIDE, TEXT, decode, noise, pixels, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.table import able, compared

STEPS, CFG, STRENGTH, START, GUIDANCE = 5, 4.0, 0.6, 2, 3.5
FAMILIES = compared("inpaint")
CASES = [(name, "default") for name in compared("image_to_image")]
CASES += [(name, scheduler) for name in ("sd15", "sdxl") for scheduler in ("euler_a", "dpmpp_2m", "heun")]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    drawn = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
    ImageDraw.Draw(drawn).ellipse((10, 20, 50, 60), fill=(220, 40, 90))
    return drawn


@pytest.fixture(scope="module")
def mask() -> Image.Image:
    drawn = Image.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(drawn).rectangle((16, 8, 47, 39), fill=255)
    return drawn


def encoded_and_noise(cache: ModelCache, ref: ModelRef, picture: Image.Image) -> tuple[Latents, Latents]:
    """The picture's latents and the noise, drawn one after the other from one generator as the pipelines do."""
    with cache.use(ref, "vae") as components:
        encoded = encode_image(components, picture, seed=SEED)
    generator = torch.Generator("cpu").manual_seed(SEED)
    torch.randn(encoded.tensor.shape, generator=generator)
    drawn = torch.randn(encoded.tensor.shape, generator=generator)
    states = generator_states([generator])
    return encoded, Latents(drawn, encoded.family, SIDE, SIDE, (SEED,), states)


def guidance(name: str) -> float | None:
    return GUIDANCE if name == "flux" else None  # its text and picture pipelines have different ones of their own


def plain(pipeline: Any, name: str, **given: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    scales = {"flux": {"true_cfg_scale": CFG, "guidance_scale": GUIDANCE}, "qwen-image": {"true_cfg_scale": CFG}}
    generator = torch.Generator("cpu").manual_seed(SEED)
    found = pipeline(TEXT, negative_prompt=AVOID, num_inference_steps=STEPS, strength=STRENGTH, generator=generator,
                     height=SIDE, width=SIDE, **scales.get(name, {"guidance_scale": CFG}), **given)  # fmt: skip
    return found.images[0]


@pytest.mark.parametrize(("name", "scheduler"), CASES)
def test_from_a_picture(
    name: str, scheduler: str, tiny: TinyModels, shared_cache: ModelCache, picture: Image.Image
) -> None:
    pipeline = AutoPipelineForImage2Image.from_pipe(tiny.pipeline(name))
    if scheduler != "default":
        pipeline.scheduler = make_scheduler(describe_model(tiny[name]), scheduler)
    expected = pixels(plain(pipeline, name, image=picture))
    encoded, drawn = encoded_and_noise(shared_cache, tiny[name], picture)
    settings = DenoiseSettings(steps=STEPS, cfg=CFG, start=START, scheduler=scheduler, guidance=guidance(name))
    latents = sample(shared_cache, tiny[name], settings, noise=drawn, latents=encoded)
    assert np.abs(pixels(decode(shared_cache, tiny[name], latents)[0]) - expected).max() == 0


@pytest.mark.parametrize("name", FAMILIES)
def test_within_a_mask(
    name: str, tiny: TinyModels, shared_cache: ModelCache, picture: Image.Image, mask: Image.Image
) -> None:
    pipeline = AutoPipelineForInpainting.from_pipe(tiny.pipeline(name))
    output = "latent" if name == "sd3" else "pil"  # diffusers 0.42 forgets the VAE's shift when it decodes these
    expected = plain(pipeline, name, image=picture, mask_image=mask, output_type=output)
    encoded, drawn = encoded_and_noise(shared_cache, tiny[name], picture)
    inside = latent_mask(describe_model(tiny[name]), mask, SIDE, SIDE)
    settings = DenoiseSettings(steps=STEPS, cfg=CFG, start=START, guidance=guidance(name))
    latents = sample(shared_cache, tiny[name], settings, noise=drawn, latents=encoded, mask=inside)
    kept = inside.expand_as(encoded.tensor) == 0
    assert (latents.tensor - encoded.tensor)[kept].abs().max() < 1e-6
    if name == "sd3":
        assert (latents.tensor[0] - expected).abs().max() == 0
    else:
        assert np.abs(pixels(decode(shared_cache, tiny[name], latents)[0]) - pixels(expected)).max() == 0


def test_white_is_drawn_anew_and_black_is_kept(
    tiny: TinyModels, shared_cache: ModelCache, picture: Image.Image, mask: Image.Image
) -> None:
    inside = latent_mask(describe_model(tiny["sd15"]), mask, SIDE, SIDE)
    assert inside.shape == (1, 1, 32, 32)
    assert inside[0, 0, 10, 15] == 1
    assert inside[0, 0, 30, 2] == 0
    assert set(latent_mask(describe_model(tiny["sd15"]), mask, SIDE, SIDE, soft=True).unique().tolist()) == {0.0, 1.0}


def test_a_mask_needs_what_it_keeps_and_noise(tiny: TinyModels, shared_cache: ModelCache, mask: Image.Image) -> None:
    inside = latent_mask(describe_model(tiny["sd15"]), mask, SIDE, SIDE)
    with pytest.raises(ModelError, match="a mask needs latents"):
        sample(shared_cache, tiny["sd15"], DenoiseSettings(steps=4), mask=inside)
    small = latent_mask(describe_model(tiny["sd15"]), mask, 32, 32)
    drawn = noise(tiny["sd15"])
    with pytest.raises(ModelError, match="make the mask at the picture's size"):
        sample(shared_cache, tiny["sd15"], DenoiseSettings(steps=4), noise=drawn, latents=drawn, mask=small)


def test_a_mask_keeps_a_finished_picture_like_the_one_that_is_denoised(
    tiny: TinyModels, shared_cache: ModelCache, mask: Image.Image
) -> None:
    ref, rest = tiny["sd15"], DenoiseSettings(steps=4, start=2)
    drawn, two = noise(ref), noise(ref, (1, 2))
    half = sample(shared_cache, ref, DenoiseSettings(steps=4, end=2), noise=drawn)
    given = {"latents": half, "mask": latent_mask(describe_model(ref), mask, SIDE, SIDE)}
    with pytest.raises(ModelError, match="cannot keep latents that stopped at step 2 of 4"):
        sample(shared_cache, ref, rest, noise=drawn, **given)
    with pytest.raises(ModelError, match="keeps latents for 32x32 .* denoised are for 64x64"):
        sample(shared_cache, ref, rest, noise=drawn, kept=noise(ref, side=32), **given)
    with pytest.raises(ModelError, match="1 latents for 2 noises; one for each is needed"):
        sample(shared_cache, ref, rest, noise=two, kept=drawn, **given)


def test_a_picture_that_is_encoded_with_a_seed_has_the_noise_it_has_alone(
    tiny: TinyModels, shared_cache: ModelCache, picture: Image.Image
) -> None:
    with shared_cache.use(tiny["sd15"], "vae") as components:
        both = encode_image(components, [Image.new("RGB", (SIDE, SIDE)), picture], seed=3)
        alone = encode_image(components, picture, seed=3)
    assert (both.tensor[1:] - alone.tensor).abs().max() < 1e-5


@pytest.mark.parametrize("name", able("image_to_image"))
def test_a_picture_encoded_and_decoded_keeps_its_size(
    name: str, tiny: TinyModels, shared_cache: ModelCache, picture: Image.Image
) -> None:
    with shared_cache.use(tiny[name], "vae") as components:
        first, second = (encode_image(components, [picture, picture]) for _ in range(2))
    assert torch.equal(first.tensor, second.tensor)
    assert [drawn.size for drawn in decode(shared_cache, tiny[name], first)] == [(SIDE, SIDE)] * 2


def test_a_picture_of_an_odd_size_names_the_nearest(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with (
        pytest.raises(
            ModelError, match="width is 65, but this model draws in multiples of 8 pixels; the nearest is 64"
        ),
        shared_cache.use(tiny["sd15"], "vae") as components,
    ):
        encode_image(components, Image.new("RGB", (65, 64)))
