"""Images denoised in tiles: overlapping predictions are blended at each step, with the memory of the tiles at once."""

from typing import Any

import pytest
import torch

from nbgraph.diffusion.controls import Control
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.rows import Tiles
from nbgraph.errors import ModelError
from tests.diffusion.drawing import AVOID, SEED, TEXT, encode, noise, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.table import able

SIDE, TILE, STEPS, CFG = 64, 32, 2, 4.0
SETTINGS = DenoiseSettings(steps=STEPS, cfg=CFG)


def rows_seen(cache: ModelCache, ref: Any) -> tuple[list[int], Any]:
    """The rows of each call of the denoiser, and the end of listening."""
    seen: list[int] = []
    with cache.use(ref, "denoiser") as components:
        module = components[components.model.need_family().denoiser]
    inner = next(child for name, child in module.named_modules() if name.endswith(("conv_in", "proj", "x_embedder")))
    hook = inner.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    return seen, hook.remove


DISTINCT = [name for name in able("text_to_image") if name not in ("sd2", "pixart-alpha")]
"""The tiny models but those alike others."""


@pytest.mark.parametrize("name", DISTINCT)
def test_every_family_draws_in_tiles_and_no_larger_batch_than_it_is_told(name, tiny, shared_cache) -> None:
    given = {"noise": noise(tiny[name], side=SIDE)}
    settings = DenoiseSettings(steps=1, cfg=CFG)
    tiled = [
        sample(shared_cache, tiny[name], settings, tiles=Tiles(TILE, 0, at_once=count), **given).tensor
        for count in (2, 8)
    ]
    plain = sample(shared_cache, tiny[name], settings, **given).tensor
    assert tiled[0].shape == plain.shape
    assert (tiled[0] - tiled[1]).abs().max() < 1e-4 * plain.abs().max()
    assert (tiled[0] - plain).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["sd15", "flux"])
def test_an_image_no_larger_than_a_tile_is_drawn_as_without(name, tiny, shared_cache) -> None:
    given = {"noise": noise(tiny[name], side=SIDE)}
    plain = sample(shared_cache, tiny[name], SETTINGS, **given).tensor
    fits = sample(shared_cache, tiny[name], SETTINGS, tiles=Tiles(SIDE, 16), **given).tensor
    assert (fits - plain).abs().max() == 0


def test_memory_is_that_of_the_tiles_computed_at_once(tiny: TinyModels, shared_cache: ModelCache) -> None:
    seen, end = rows_seen(shared_cache, tiny["sd15"])
    given = {"noise": noise(tiny["sd15"], side=SIDE)}
    sample(shared_cache, tiny["sd15"], SETTINGS, tiles=Tiles(TILE, 16, at_once=3), **given)
    end()
    # nine tiles, each with and without the prompt
    assert max(seen) == 3
    assert sum(seen) == STEPS * 9 * 2


def by_hand(pipeline: Any, positive: Any, negative: Any) -> torch.Tensor:
    """What diffusers draws when its UNet answers with the blend of what it gives for each tile."""
    plain = pipeline.unet.forward
    scale = pipeline.vae_scale_factor
    whole, tile, shared = SIDE // scale, TILE // scale, 16 // scale
    ramp = ((torch.arange(tile).minimum(torch.arange(tile).flip(0)) + 1) / (shared + 1)).clamp(max=1)
    window = ramp[:, None] * ramp[None, :]

    def forward(sample: torch.Tensor, step: Any, **given: Any) -> Any:
        total, weight = torch.zeros_like(sample), torch.zeros(whole, whole)
        for top in range(0, whole - tile + 1, shared):
            for left in range(0, whole - tile + 1, shared):
                box = (..., slice(top, top + tile), slice(left, left + tile))
                total[box] += plain(sample[box], step, **given)[0] * window
                weight[box[1:]] += window
        return (total / weight,)

    pipeline.unet.forward = forward
    call = {f"negative_{name}": tensor for name, tensor in negative.tensors.items()}
    return pipeline(
        **positive.tensors, **call, height=SIDE, width=SIDE, num_inference_steps=STEPS, guidance_scale=CFG,
        generator=torch.Generator().manual_seed(SEED), output_type="latent",
    ).images  # fmt: skip


def test_tiles_are_what_a_denoiser_gives_that_blends_its_tiles(tiny: TinyModels, shared_cache: ModelCache) -> None:
    positive, negative = (encode(shared_cache, tiny["sd15"], text) for text in (TEXT, AVOID))
    expected = by_hand(tiny.pipeline("sd15"), positive, negative)
    found = sample(shared_cache, tiny["sd15"], SETTINGS, noise=noise(tiny["sd15"], side=SIDE), tiles=Tiles(TILE, 16))
    assert (found.tensor - expected).abs().max() < 1e-3 * expected.abs().max()


def test_tiles_that_cannot_be_are_refused(tiny: TinyModels, shared_cache: ModelCache) -> None:
    given = {"noise": noise(tiny["sd15"], side=SIDE)}
    for tiles, problem in (
        (Tiles(36, 0), "the side of a tile is 36, but this model draws in multiples"),
        (Tiles(TILE, 24), "cannot overlap by 24; give an overlap of 0 to 16"),
    ):
        with pytest.raises(ModelError, match=problem):
            sample(shared_cache, tiny["sd15"], SETTINGS, tiles=tiles, **given)
    with pytest.raises(ModelError, match="in tiles cannot be denoised with ControlNets"):
        sample(shared_cache, tiny["sd15"], SETTINGS, tiles=Tiles(TILE, 16), controls=[Control(None, None)], **given)  # type: ignore[arg-type]
