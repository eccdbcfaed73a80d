"""Prompts combined, and prompts in regions: what the denoiser predicts with each is mixed, in every family."""

from typing import Any

import pytest
import torch
from PIL import Image

import nbgraph as nb
from nbgraph.diffusion.batching import DenoiseInput
from nbgraph.diffusion.denoising import DenoiseSettings, denoise
from nbgraph.diffusion.mixed_conditioning import average_conditioning, combine_conditioning, masked_conditioning
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.values import Conditioning, Latents
from nbgraph.errors import ModelError, NodeError
from nbgraph.invocations import (
    BlankImage,
    CombineConditioning,
    DenoiseLatents,
    MaskConditioning,
    ModelLoader,
    Noise,
    Prompt,
)
from tests.diffusion.drawing import AVOID, SEED, TEXT, encode, noise
from tests.diffusion.models import TinyModels
from tests.diffusion.table import able

SIDE, STEPS, CFG = 32, 3, 4.0
OTHER = "a blue house"
CLOSE = 2e-5
"""A batch of several rows rounds otherwise than one."""


def left_half() -> Image.Image:
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (0, 0, SIDE // 2, SIDE))
    return mask


def drawn(cache: ModelCache, ref: Any, positive: Conditioning, **given: Any) -> Latents:
    negative = encode(cache, ref, AVOID)
    settings = given.pop("settings", DenoiseSettings(steps=STEPS, cfg=CFG))
    given = given if "latents" in given else {"noise": noise(ref, side=SIDE), **given}
    with cache.use(ref, "denoiser") as components:
        return denoise(components, positive, negative, settings=settings, **given)


def difference(first: Latents, second: Latents) -> float:
    return float((first.tensor - second.tensor).abs().max() / first.tensor.abs().max())


DISTINCT = [name for name in able("text_to_image") if name not in ("sd2", "pixart-alpha", "auraflow")]
"""The tiny models but those alike others, and AuraFlow, which hardly heeds a text."""


@pytest.mark.parametrize("name", DISTINCT)
def test_a_prompt_counts_where_its_mask_is_white_and_not_where_it_is_black(name, tiny, shared_cache) -> None:
    ref = tiny[name]
    one, other = (encode(shared_cache, ref, text) for text in (TEXT, OTHER))
    white, black = (Image.new("L", (8, 8), grey) for grey in (255, 0))
    alone = drawn(shared_cache, ref, one)
    masked = [masked_conditioning(one, white, 1.0), masked_conditioning(other, black, 1.0)]
    assert difference(alone, drawn(shared_cache, ref, combine_conditioning(masked))) < CLOSE
    both = drawn(shared_cache, ref, combine_conditioning([one, other]))
    assert min(difference(alone, both), difference(drawn(shared_cache, ref, other), both)) > 10 * CLOSE


def by_hand(pipeline: Any, parts: list[Conditioning], negative: Conditioning, shares: list[Any]) -> torch.Tensor:
    """What diffusers draws when its UNet answers the positive prompt with the mean of two predictions."""
    plain = pipeline.unet.forward

    def embedded(part: Conditioning, given: dict[str, Any]) -> dict[str, Any]:
        added = given.get("added_cond_kwargs")
        more = (
            {"text_embeds": part.tensors["pooled_prompt_embeds"], "time_ids": added["time_ids"][1:]} if added else None
        )
        return {**given, "encoder_hidden_states": part.tensors["prompt_embeds"], "added_cond_kwargs": more}

    def forward(sample: torch.Tensor, step: Any, **given: Any) -> Any:
        unwanted, *_ = plain(sample, step, **given)[0].chunk(2)
        wanted = [plain(sample[1:], step, **embedded(part, given))[0] for part in parts]
        return (torch.cat([unwanted, sum(share * each for share, each in zip(shares, wanted, strict=True))]),)

    pipeline.unet.forward = forward
    call = {f"negative_{name}": tensor for name, tensor in negative.tensors.items()}
    generator = torch.Generator().manual_seed(SEED)
    return pipeline(
        **parts[0].tensors, **call, height=SIDE, width=SIDE, num_inference_steps=STEPS, guidance_scale=CFG,
        generator=generator, output_type="latent",
    ).images  # fmt: skip


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_regions_are_what_a_denoiser_gives_that_mixes_predictions_by_their_masks(name, tiny, shared_cache) -> None:
    ref = tiny[name]
    one, other = (encode(shared_cache, ref, text) for text in (TEXT, OTHER))
    given = combine_conditioning([masked_conditioning(one, left_half(), 2.0), masked_conditioning(other, None, 0.5)])
    half = SIDE // 2
    side = half if noise(ref, side=SIDE).tensor.shape[-1] == SIDE // 2 else noise(ref, side=SIDE).tensor.shape[-1]
    share = torch.zeros(1, 1, side, side)
    share[..., : side // 2] = 2.0 / 2.5
    expected = by_hand(tiny.pipeline(name), [one, other], encode(shared_cache, ref, AVOID), [share, 1 - share])
    found = drawn(shared_cache, ref, given).tensor
    assert (found - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.mark.parametrize(("name", "scheduler"), [("sd15", "euler_a"), ("sd15", "dpmpp_2m"), ("flux", "default")])
def test_pieces_and_batches_of_combined_prompts_are_the_whole_and_the_single_ones(
    name: str, scheduler: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    ref = tiny[name]
    both = combine_conditioning([encode(shared_cache, ref, text) for text in (TEXT, OTHER)])
    whole = drawn(shared_cache, ref, both, settings=DenoiseSettings(4, CFG, scheduler))
    first = drawn(shared_cache, ref, both, settings=DenoiseSettings(4, CFG, scheduler, end=2))
    rest = drawn(shared_cache, ref, both, settings=DenoiseSettings(4, CFG, scheduler, start=2), latents=first)
    assert (rest.tensor - whole.tensor).abs().max() == 0
    two = drawn(
        shared_cache, ref, both, settings=DenoiseSettings(4, CFG, scheduler), noise=noise(ref, (SEED, 9), side=SIDE)
    )
    assert len(two) == 2
    assert (two.tensor[:1] - whole.tensor).abs().max() < 1e-3 * whole.tensor.abs().max()


def test_combined_prompts_are_stored_and_read_again_and_never_share_a_batch() -> None:
    one, other = (Conditioning({"prompt_embeds": torch.rand(1, 4, 8)}, "flux", text=text) for text in (TEXT, OTHER))
    given = combine_conditioning([masked_conditioning(one, left_half(), 2.0), other])
    tensors, metadata = given.to_tensors()
    read = Conditioning.from_tensors(tensors, metadata)
    assert [part.text for part in read.prompts] == [TEXT, OTHER]
    assert read.strength == 2.0
    assert read.mask is not None
    assert torch.equal(read.mask, given.mask)  # type: ignore[arg-type]
    assert read.others[0].mask is None
    assert torch.equal(read.others[0].tensors["prompt_embeds"], other.tensors["prompt_embeds"])
    assert one.to_tensors()[1]["kind"] == "conditioning"
    with pytest.raises(ModelError, match="'combined conditioning' and not"):
        Latents.from_tensors(tensors, metadata)
    assert DenoiseInput(given).batch_key() != DenoiseInput(given).batch_key()


def test_what_has_no_meaning_is_refused_with_a_reason(tiny: TinyModels, shared_cache: ModelCache) -> None:
    ref = tiny["sd15"]
    one = encode(shared_cache, ref, TEXT)
    masked = masked_conditioning(one, left_half(), 1.0)
    with pytest.raises(ModelError, match="leave 50.0% of the image without a prompt"):
        drawn(shared_cache, ref, masked)
    with pytest.raises(ModelError, match="has no average and is not joined"):
        average_conditioning(masked, one, 0.5)
    with pytest.raises(ModelError, match="cannot be put together"):
        combine_conditioning([one, Conditioning(one.tensors, "flux")])
    with shared_cache.use(ref, "denoiser") as components, pytest.raises(ModelError, match="the negative prompt is com"):
        denoise(components, one, combine_conditioning([one, one]), noise(ref, side=SIDE))


def test_nodes_put_prompts_into_regions(tiny: TinyModels) -> None:
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        model = ModelLoader(model=tiny["sd15"].path)
        cat, house = (Prompt(text=text, clip=model) for text in (TEXT, OTHER))
        left = studio.services.images.save(left_half()).image_name
        region = MaskConditioning(conditioning=cat, mask={"image_name": left})

        def node(positive: Any) -> DenoiseLatents:
            return DenoiseLatents(
                id="drawn", unet=model, positive=positive, negative=Prompt(text="", clip=model), steps=2,
                noise=Noise(unet=model, seed=1, width=SIDE, height=SIDE),
            )  # fmt: skip

        made = studio.run(node(CombineConditioning(conditioning_1=region, conditioning_2=house)), progress=False)
        plain = studio.run(node(house), progress=False)
        tensors = [run["drawn"].latents.tensor() for run in (made, plain)]
        far = (tensors[0] - tensors[1]).abs().amax(dim=(0, 1, 2))
        assert far[0] > far[-1]
        with pytest.raises(NodeError, match="without a prompt"):
            studio.run(node(region), progress=False)
        black = MaskConditioning(conditioning=cat, mask=BlankImage(width=8, height=8, color="black"))
        assert studio.run(node(CombineConditioning(conditioning_1=black, conditioning_2=house)), progress=False)
