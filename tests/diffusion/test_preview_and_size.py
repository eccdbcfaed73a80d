"""Previews show what is coming; latents change size; conditioning and cfg fit the model or say so."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from nbgraph.diffusion.denoising import DenoiseSettings, denoise
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.device import choose_device, choose_dtype
from nbgraph.diffusion.meters import DeviceMeter
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.noise import blend_latents, draw_noise, resize_latents, scale_latents
from nbgraph.diffusion.preview import PreviewFactors, fit_factors, preview_image
from nbgraph.errors import ModelError
from tests.diffusion.drawing import decode, encode, noise, pixels, sample
from tests.diffusion.models import TinyModels


@pytest.mark.parametrize("name", ["sd15", "flux"])
def test_factors_fitted_to_the_vae_are_near_its_pictures(name: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    with shared_cache.use(tiny[name], "vae") as components:
        factors = fit_factors(components)
    coarse = torch.randn((1, factors.shape[0] - 1, 4, 4), generator=torch.Generator().manual_seed(5))
    latents = replace(noise(tiny[name]), tensor=torch.nn.functional.interpolate(coarse, size=(32, 32)))
    picture = decode(shared_cache, tiny[name], latents)[0].resize((32, 32), Image.Resampling.BOX)
    near = np.abs(pixels(preview_image(latents.tensor[0], factors)) - pixels(picture)).mean()
    flat = np.abs(pixels(picture) - pixels(picture).mean(axis=(0, 1))).mean()
    assert near < flat


def test_factors_are_fitted_once_for_a_vae(tiny: TinyModels, shared_cache: ModelCache) -> None:
    known = PreviewFactors()
    assert known.find("a") is None
    with shared_cache.use(tiny["sd15"], "vae") as components:
        first = known.get("a", components)
        assert known.get("a", components) is first is known.find("a")


@pytest.mark.parametrize(("name", "scheduler"), [
    ("sd15", "ddim"), ("sd15", "euler"), ("sd15", "dpmpp_2m"), ("sd15", "unipc"), ("sd3", "default"),
    ("flux", "default"),
])  # fmt: skip
def test_the_last_preview_is_of_the_finished_latents(
    name: str, scheduler: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    previews: list[Image.Image] = []
    latents = sample(shared_cache, tiny[name], DenoiseSettings(steps=5, cfg=2.0, scheduler=scheduler),
                     on_step=lambda step, steps, preview: previews.append(preview()))  # fmt: skip
    scale = describe_model(tiny[name]).vae_scale_factor
    finished = preview_image(latents.tensor[0], None, scale)
    assert previews[0].size == (64, 64)
    distances = [np.abs(pixels(preview) - pixels(finished)).mean() for preview in previews]
    assert distances[-1] < 2
    assert distances[-1] == min(distances)


def test_resized_latents_have_the_size_and_keep_the_dice(tiny: TinyModels) -> None:
    model, drawn = describe_model(tiny["sd15"]), noise(tiny["sd15"])
    resized = resize_latents(model, drawn, 128, 96)
    assert (resized.width, resized.height, resized.tensor.shape) == (128, 96, (1, 4, 48, 64))
    assert torch.equal(resized.rng_states, drawn.rng_states)
    scaled = scale_latents(model, drawn, 1.6, mode="nearest")
    assert (scaled.width, scaled.tensor.shape[-1]) == (104, 52)
    with pytest.raises(ModelError, match="height is 30"):
        resize_latents(model, drawn, 64, 30)
    with pytest.raises(ModelError, match="must be above 0"):
        scale_latents(model, drawn, 0)


def test_blended_noise_has_the_length_of_noise(tiny: TinyModels) -> None:
    first, second = noise(tiny["sd15"], 1), noise(tiny["sd15"], 2)
    half = blend_latents(first, second, 0.5)
    assert abs(float(half.tensor.std()) - 1) < 0.05
    assert torch.allclose(blend_latents(first, second, 0.0).tensor, first.tensor, atol=1e-6)
    assert torch.allclose(blend_latents(first, first, 0.3).tensor, first.tensor)


def test_noise_is_the_same_in_every_batch_and_needs_a_size_that_fits(tiny: TinyModels) -> None:
    model = describe_model(tiny["sd15"])
    assert torch.equal(draw_noise(model, (5, 6)).tensor[1:], draw_noise(model, 6).tensor)
    with pytest.raises(ModelError, match="width is 100, but this model draws in multiples"):
        draw_noise(model, 1, 100, 64)
    with pytest.raises(ModelError, match="at least one seed"):
        draw_noise(model, ())


def test_conditioning_of_another_family_is_refused(tiny: TinyModels, shared_cache: ModelCache) -> None:
    wrong = encode(shared_cache, tiny["sdxl"], "a")
    with (
        shared_cache.use(tiny["sd15"], "denoiser") as components,
        pytest.raises(ModelError, match="encode the text with"),
    ):
        denoise(components, wrong, wrong, noise(tiny["sd15"]))


def test_guidance_without_a_negative_says_what_to_do(tiny: TinyModels, shared_cache: ModelCache) -> None:
    text = encode(shared_cache, tiny["sd15"], "a")
    with shared_cache.use(tiny["sd15"], "denoiser") as components:
        with pytest.raises(ModelError, match="encode an empty text for it, or set cfg_scale to 1"):
            denoise(components, text, None, noise(tiny["sd15"]), settings=DenoiseSettings(steps=2, cfg=5.0))
        alone = denoise(components, text, None, noise(tiny["sd15"]), settings=DenoiseSettings(steps=2, cfg=1.0))
        same = denoise(components, text, text, noise(tiny["sd15"]), settings=DenoiseSettings(steps=2, cfg=1.0))
    assert torch.equal(alone.tensor, same.tensor)


def test_sdxl_without_a_negative_takes_zeros_as_its_pipeline_does(tiny: TinyModels, shared_cache: ModelCache) -> None:
    settings = DenoiseSettings(steps=3, cfg=5.0)
    text = encode(shared_cache, tiny["sdxl"], "a cat")
    with shared_cache.use(tiny["sdxl"], "denoiser") as components:
        found = denoise(components, text, None, noise(tiny["sdxl"], 7), settings=settings)
    expected = tiny.pipeline("sdxl")(
        "a cat", num_inference_steps=3, guidance_scale=5.0, height=64, width=64, output_type="latent",
        generator=torch.Generator().manual_seed(7),
    ).images  # fmt: skip
    assert torch.equal(found.tensor, expected)


def test_the_cpu_has_no_memory_counters() -> None:
    meter = DeviceMeter(torch.device("cpu"))
    meter.reset_peak()
    meter.synchronize()
    assert meter.read() is None


def test_devices_and_precisions_that_are_not_there_name_those_that_are() -> None:
    with pytest.raises(ModelError, match="no device of torch; did you mean 'cpu'"):
        choose_device("tpu")
    with pytest.raises(ModelError, match="did you mean 'float16'"):
        choose_dtype("float61", torch.device("cpu"))
    assert choose_dtype(None, torch.device("cuda"), "transformer") == torch.bfloat16
    assert choose_dtype(None, torch.device("cuda"), "unet") == torch.float16
