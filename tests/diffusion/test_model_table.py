"""docs/models.md is what the code can do: its page, its empty cells, and cells with no pipeline to compare with."""

from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from PIL import Image

from nbgraph.diffusion.abilities import DRAWN, TESTED, page
from nbgraph.diffusion.assembly import describe_known
from nbgraph.diffusion.controls import Control
from nbgraph.diffusion.denoising import DenoiseSettings, denoise
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.image_prompts import ImagePrompt
from nbgraph.diffusion.known_models import known_model
from nbgraph.diffusion.masks import latent_mask
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.noise import draw_noise
from nbgraph.diffusion.prompt import encode_prompt
from nbgraph.diffusion.refs import ClipSkipPatch, IpAdapterPatch, LoraPatch
from nbgraph.diffusion.t2i_adapters import T2iAdapter
from nbgraph.diffusion.vae import encode_image
from nbgraph.diffusion.values import SizeConditioning
from nbgraph.diffusion.weighted_prompt import encode_weighted_prompt
from nbgraph.errors import ModelError
from tests.diffusion.drawing import SIDE, TEXT, encode, noise, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.table import TINY, able, compared, lacking

PICTURE = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
SETTINGS = DenoiseSettings(steps=2, cfg=4.0)


def test_the_page_is_what_the_code_says_and_every_row_has_a_tiny_model() -> None:
    text = "the page is old; make it anew with `python -m nbgraph.diffusion.abilities`"
    assert (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8") == page(), text
    assert set(TINY.values()) == set(TESTED)


def test_a_size_that_is_left_out_is_that_of_the_family() -> None:
    sizes = {name: describe_known(Path(name), known_model(name)) for name in DRAWN}
    small = {"sd1": 512, "sd1-inpainting": 512, "sd2": 768, "sd2-inpainting": 512}
    assert {name: (each.width, each.height) for name, each in sizes.items()} == {
        name: (small.get(name, 1024),) * 2 for name in DRAWN
    }
    drawn = draw_noise(sizes["sdxl"], 1)
    assert (drawn.width, drawn.height, tuple(drawn.tensor.shape)) == (1024, 1024, (1, 4, 128, 128))


@pytest.mark.parametrize("name", [name for name in able("inpaint") if name not in compared("inpaint")])
def test_without_a_pipeline_to_compare_a_picture_still_leads_and_a_mask_still_keeps(
    name: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    with shared_cache.use(tiny[name], "vae") as components:
        encoded = encode_image(components, PICTURE)
    given = {"noise": noise(tiny[name]), "latents": encoded}
    late, early = (
        sample(shared_cache, tiny[name], DenoiseSettings(steps=8, cfg=4.0, start=start), **given).tensor
        for start in (7, 1)
    )
    assert 0 < (late - encoded.tensor).abs().mean() < (early - encoded.tensor).abs().mean()
    half = Image.new("L", (SIDE, SIDE))
    half.paste(255, (SIDE // 2, 0, SIDE, SIDE))
    mask = latent_mask(describe_model(tiny[name]), half, SIDE, SIDE)
    kept = sample(shared_cache, tiny[name], DenoiseSettings(steps=4, cfg=4.0, start=2), mask=mask, **given).tensor
    middle = kept.shape[-1] // 2
    assert torch.allclose(kept[..., :middle], encoded.tensor[..., :middle], atol=1e-5)
    assert (kept - encoded.tensor)[..., middle:].abs().max() > 1e-3


def lora(tiny: TinyModels, name: str) -> Any:
    return tiny[name].with_patch(LoraPatch(path="lora.safetensors", fingerprint="0"))


def adapter(tiny: TinyModels, name: str) -> Any:
    return tiny[name].with_patch(IpAdapterPatch(path="ip.safetensors", fingerprint="0"))


def attempt(ability: str, name: str, tiny: TinyModels, cache: ModelCache) -> None:
    """Do what the ability is about, with a step callback that fails."""

    def step(*done: Any) -> NoReturn:
        raise AssertionError("a step was done")

    if ability == "pieces":
        sample(cache, tiny[name], DenoiseSettings(steps=4, end=2), on_step=step)
    elif ability in ("image_to_image", "inpaint"):
        given = {"noise": noise(tiny[name]), "latents": noise(tiny[name])}
        mask = {"mask": torch.ones(1, 1, SIDE // 2, SIDE // 2)} if ability == "inpaint" else {}
        sample(cache, tiny[name], DenoiseSettings(steps=4, start=2), on_step=step, **given, **mask)
    elif ability == "controlnet":
        sample(cache, tiny[name], SETTINGS, on_step=step, controls=[Control(None, PICTURE)])
    elif ability == "t2i_adapter":
        sample(cache, tiny[name], SETTINGS, on_step=step, adapters=[T2iAdapter(None, PICTURE)])
    elif ability == "ip_adapter":
        sample(cache, adapter(tiny, name), SETTINGS, on_step=step, image_prompts=[ImagePrompt(None, [PICTURE])])
    elif ability == "lora":
        sample(cache, lora(tiny, name), SETTINGS, on_step=step)
    elif ability == "clip_skip":
        encode(cache, tiny[name].with_patch(ClipSkipPatch(layers=1)), TEXT)
    else:
        with cache.use(tiny[name], "text") as components:
            if ability == "weights":
                encode_weighted_prompt(components, TEXT)
            sized = encode_prompt(components, TEXT, size=SizeConditioning(crop=(8, 8)))
        with cache.use(tiny[name], "denoiser") as components:
            denoise(components, sized, sized, noise(tiny[name]), settings=SETTINGS, on_step=step)


REFUSALS = {
    "pieces": "cannot start or stop part-way",
    "image_to_image": "cannot start or stop part-way",
    "inpaint": "cannot start or stop part-way",
    "controlnet": "ControlNets work with",
    "t2i_adapter": "work on models with a UNet",
    "ip_adapter": "IP-Adapters work with",
    "lora": "take no LoRA",
    "clip_skip": "cannot skip layers",
    "weights": "weights in prompts work with",
    "sizes": "take no original size",
}


@pytest.mark.parametrize("ability", REFUSALS)
def test_every_empty_cell_is_refused_before_a_step(ability: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    assert lacking(ability)
    for name in lacking(ability):
        with pytest.raises(ModelError, match=REFUSALS[ability]):
            attempt(ability, name, tiny, shared_cache)
