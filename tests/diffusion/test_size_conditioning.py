"""What SDXL is told of sizes: the same as the plain pipeline tells it, from the values that travel."""

from typing import Any

import pytest
import torch

from nbgraph.diffusion.batching import join_conditioning
from nbgraph.diffusion.denoising import DenoiseSettings, denoise
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.prompt import encode_prompt
from nbgraph.diffusion.refs import ModelRef
from nbgraph.diffusion.values import Conditioning, SizeConditioning
from nbgraph.errors import ModelError
from tests.diffusion.drawing import AVOID, SEED, SIDE, TEXT, noise, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.table import able

SIZE = SizeConditioning(original=(96, 48), crop=(16, 8), target=(128, 160))
OTHER = SizeConditioning(original=(24, 32), crop=(4, 2), target=(40, 56))
TOLD = {"original_size": (48, 96), "crops_coords_top_left": (8, 16), "target_size": (160, 128)}
TOLD_OTHER = {
    "negative_original_size": (32, 24), "negative_crops_coords_top_left": (2, 4), "negative_target_size": (56, 40),
}  # fmt: skip
CASES = {
    "positive": (SIZE, None, TOLD),
    "both": (SIZE, OTHER, TOLD | TOLD_OTHER),
    "negative": (None, OTHER, TOLD_OTHER),
    "crop only": (SizeConditioning(crop=(16, 8)), None, {"crops_coords_top_left": (8, 16)}),
}


def drawn(cache: ModelCache, ref: ModelRef, sizes: tuple[Any, Any], style: str | None = None) -> torch.Tensor:
    with cache.use(ref, "text") as components:
        positive, negative = (
            encode_prompt(components, TEXT, style, sizes[0]),
            encode_prompt(components, AVOID, size=sizes[1]),
        )
    positive, negative = (Conditioning.from_tensors(*value.to_tensors()) for value in (positive, negative))
    with cache.use(ref, "denoiser") as components:
        return denoise(components, positive, negative, noise(ref), settings=DenoiseSettings(steps=3, cfg=4.0)).tensor


def plain(tiny: TinyModels, name: str = "sdxl", **told: Any) -> torch.Tensor:
    return tiny.pipeline(name)(
        TEXT, negative_prompt=AVOID, height=SIDE, width=SIDE, num_inference_steps=3, guidance_scale=4.0,
        generator=torch.Generator().manual_seed(SEED), output_type="latent", **told,
    ).images  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_sizes_reach_the_unet_as_from_the_plain_pipeline(case: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    positive, negative, told = CASES[case]
    found = drawn(shared_cache, tiny["sdxl"], (positive, negative))
    assert (found - plain(tiny, **told)).abs().max() == 0
    assert (found - drawn(shared_cache, tiny["sdxl"], (None, None))).abs().max() > 1e-3


@pytest.mark.parametrize("name", [name for name in able("sizes") if name != "sdxl"])
def test_other_families_are_told_the_sizes_of_the_positive_text(
    name: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    size = SizeConditioning(original=SIZE.original, crop=SIZE.crop)
    told = {key: value for key, value in TOLD.items() if key != "target_size"}
    found = drawn(shared_cache, tiny[name], (size, None))
    assert (found - plain(tiny, name, **told)).abs().max() == 0
    assert (found - drawn(shared_cache, tiny[name], (None, None))).abs().max() > 1e-3
    with pytest.raises(ModelError, match="of a negative prompt"):
        drawn(shared_cache, tiny[name], (size, OTHER))
    with pytest.raises(ModelError, match="take no target size; leave it out"):
        drawn(shared_cache, tiny[name], (SIZE, None))


def test_sizes_left_out_are_the_size_that_is_drawn(tiny: TinyModels, shared_cache: ModelCache) -> None:
    empty = drawn(shared_cache, tiny["sdxl"], (SizeConditioning(), SizeConditioning()))
    assert torch.equal(empty, drawn(shared_cache, tiny["sdxl"], (None, None)))
    assert torch.equal(empty, plain(tiny))


def test_a_style_is_for_the_second_text_encoder(tiny: TinyModels, shared_cache: ModelCache) -> None:
    found = drawn(shared_cache, tiny["sdxl"], (None, None), style="a blue house")
    assert (found - plain(tiny, prompt_2="a blue house")).abs().max() == 0
    assert (found - plain(tiny)).abs().max() > 1e-3


def test_a_model_without_sizes_or_a_second_encoder_says_so(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with shared_cache.use(tiny["sd15"], "text") as components:
        sized = encode_prompt(components, TEXT, size=SIZE)
        with pytest.raises(ModelError, match="'stable-diffusion' have no second text encoder"):
            encode_prompt(components, TEXT, style="a blue house")
    with (
        shared_cache.use(tiny["sd15"], "denoiser") as components,
        pytest.raises(ModelError, match="take no original size"),
    ):
        denoise(components, sized, None, noise(tiny["sd15"]), settings=DenoiseSettings(steps=2, cfg=1.0))


def test_texts_of_different_sizes_are_not_drawn_together(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with shared_cache.use(tiny["sdxl"], "text") as components:
        one, other = (encode_prompt(components, TEXT, size=size) for size in (SIZE, OTHER))
    assert join_conditioning([one, one]).size == SIZE
    with pytest.raises(ModelError, match="cannot be joined"):
        join_conditioning([one, other])


def test_plain_conditioning_has_no_size(tiny: TinyModels, shared_cache: ModelCache) -> None:
    found = sample(shared_cache, tiny["sdxl"], DenoiseSettings(steps=3, cfg=4.0)).tensor
    assert torch.equal(found, drawn(shared_cache, tiny["sdxl"], (None, None)))
