"""Pictures drawn together are the pictures drawn one by one, to one level of 255 at most."""

import numpy as np
import pytest
import torch
from PIL import Image

from nbgraph.diffusion.batching import (
    DenoiseInput,
    decode_many,
    denoise_many,
    encode_many,
    join_conditioning,
    join_latents,
    run_in_batches,
    split_latents,
)
from nbgraph.diffusion.denoising import DenoiseSettings, denoise
from nbgraph.diffusion.families import family
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.prompt import encode_prompts, encodes_alike
from nbgraph.diffusion.refs import ModelRef
from nbgraph.diffusion.vae import encode_image
from nbgraph.diffusion.values import Latents
from nbgraph.errors import ModelError
from tests.diffusion.drawing import decode, encode, noise, pixels
from tests.diffusion.models import TinyModels
from tests.diffusion.table import TINY, able

TEXTS = ["a red cat", "a blue dog"]
ALIKE = [name for name, key in TINY.items() if encodes_alike(family(key))]
"""The tiny models whose texts all become the same number of tokens."""


def inputs_of(cache: ModelCache, ref: ModelRef) -> list[DenoiseInput]:
    negative = encode(cache, ref, "a car")
    return [
        DenoiseInput(encode(cache, ref, text), negative, noise(ref, seed, side=32)) for seed, text in enumerate(TEXTS)
    ]


def one_by_one(
    cache: ModelCache, ref: ModelRef, inputs: list[DenoiseInput], settings: DenoiseSettings
) -> list[Latents]:
    with cache.use(ref, "denoiser") as components:
        return [denoise(components, one.positive, one.negative, one.noise, one.latents, settings) for one in inputs]


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [("sd15", "euler_a"), ("sd15", "dpmpp_2m"), ("flux", "default"), ("pixart", "default")],
)
def test_a_batch_draws_what_singles_draw(name: str, scheduler: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    ref, settings = tiny[name], DenoiseSettings(steps=4, cfg=3.0, scheduler=scheduler)
    inputs = inputs_of(shared_cache, ref)
    singles = one_by_one(shared_cache, ref, inputs, settings)
    with shared_cache.use(ref, "denoiser") as components:
        batched = denoise_many(components, inputs, settings, size=3)
    with shared_cache.use(ref, "vae") as components:
        together = decode_many(components, batched)
    for single, latents, pictures in zip(singles, batched, together):
        assert (latents.seeds, latents.window) == (single.seeds, single.window)
        assert torch.equal(latents.rng_states, single.rng_states)
        assert np.abs(pixels(pictures[0]) - pixels(decode(shared_cache, ref, single)[0])).max() <= 1


@pytest.mark.parametrize("scheduler", ["dpmpp_2m", "unipc", "heun", "pndm"])
def test_a_batch_that_stopped_part_way_goes_on_alone_and_together(
    scheduler: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    ref, inputs = tiny["sd15"], inputs_of(shared_cache, tiny["sd15"])
    options = {"steps": 6, "cfg": 3.0, "scheduler": scheduler}
    whole = one_by_one(shared_cache, ref, inputs, DenoiseSettings(**options))
    with shared_cache.use(ref, "denoiser") as components:
        first = denoise_many(components, inputs, DenoiseSettings(**options, end=3))
        rest = [DenoiseInput(one.positive, one.negative, latents=half) for one, half in zip(inputs, first)]
        together = denoise_many(components, rest, DenoiseSettings(**options, start=3))
    alone = one_by_one(shared_cache, ref, rest, DenoiseSettings(**options, start=3))
    for expected, *found in zip(whole, together, alone):
        assert all((one.tensor - expected.tensor).abs().max() < 1e-3 for one in found)


def test_inputs_of_different_shapes_are_drawn_apart_and_in_order(tiny: TinyModels, shared_cache: ModelCache) -> None:
    ref, settings = tiny["sd15"], DenoiseSettings(steps=2, cfg=3.0)
    inputs = inputs_of(shared_cache, ref)
    large = [DenoiseInput(one.positive, one.negative, noise(ref, 9)) for one in inputs[:1]]
    with shared_cache.use(ref, "denoiser") as components:
        found = denoise_many(components, [inputs[0], *large, inputs[1]], settings)
    assert [(one.width, one.seeds) for one in found] == [(32, (0,)), (64, (9,)), (32, (1,))]


def test_inputs_of_several_pictures_come_back_as_several(tiny: TinyModels, shared_cache: ModelCache) -> None:
    ref, settings = tiny["sd15"], DenoiseSettings(steps=2, cfg=3.0)
    one = inputs_of(shared_cache, ref)[0]
    inputs = [DenoiseInput(one.positive, one.negative, noise(ref, seeds)) for seeds in ((1, 2), 3)]
    with shared_cache.use(ref, "denoiser") as components:
        found = denoise_many(components, inputs, settings)
    assert [latents.seeds for latents in found] == [(1, 2), (3,)]
    assert [len(latents) for latents in found] == [2, 1]


@pytest.mark.parametrize("name", ALIKE)
def test_texts_encoded_together_are_as_if_each_were_alone(
    name: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    texts = ["a red cat", "", "a dog in a house by a tree"]
    with shared_cache.use(tiny[name], "text") as components:
        together = encode_prompts(components, texts)
    for one, text in zip(together, texts, strict=True):
        alone = encode(shared_cache, tiny[name], text)
        assert (one.text, one.tokens, one.unknown) == (alone.text, alone.tokens, alone.unknown)
        assert one.tensors.keys() == alone.tensors.keys()
        assert all((one.tensors[key] - alone.tensors[key]).abs().max() < 1e-5 for key in alone.tensors)


@pytest.mark.parametrize("name", [name for name in TINY if name not in ALIKE])
def test_texts_that_differ_in_length_are_not_encoded_together(
    name: str, tiny: TinyModels, shared_cache: ModelCache
) -> None:
    with (
        shared_cache.use(tiny[name], "text") as components,
        pytest.raises(ModelError, match="differ in length; encode them one by one"),
    ):
        encode_prompts(components, ["a", "a red cat"])


@pytest.mark.parametrize("name", able("image_to_image"))
def test_encoding_together_is_encoding_apart(name: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green")] + [
        Image.new("RGB", (32, 64), "blue")
    ]
    with shared_cache.use(tiny[name], "vae") as components:
        together = encode_many(components, pictures)
        apart = [encode_image(components, picture) for picture in pictures]
    assert [one.width for one in together] == [64, 64, 32]
    assert max(float((a.tensor - b.tensor).abs().max()) for a, b in zip(together, apart)) < 1e-5


def test_a_batch_is_halved_when_memory_runs_out() -> None:
    tried: list[int] = []

    def run(batch: list[int]) -> list[int]:
        tried.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError
        return [item * 10 for item in batch]

    assert run_in_batches(range(7), lambda item: 0, run, size=8) == [0, 10, 20, 30, 40, 50, 60]
    assert tried == [7, 3, 1, 1, 1, 1, 1, 1, 1]


def test_one_picture_that_does_not_fit_says_so() -> None:
    def run(batch: list[int]) -> list[int]:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        run_in_batches([1, 2], lambda item: 0, run, size=2)


def test_joined_latents_split_into_what_they_were(tiny: TinyModels) -> None:
    first, second = noise(tiny["sd15"], 1), noise(tiny["sd15"], (2, 3))
    back = split_latents(join_latents([first, second]), [1, 2])
    assert [one.seeds for one in back] == [(1,), (2, 3)]
    assert all(torch.equal(one.tensor, other.tensor) for one, other in zip(back, (first, second)))


def test_values_that_do_not_fit_together(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with pytest.raises(ModelError, match="2 latents cannot be joined"):
        join_latents([noise(tiny["sd15"]), noise(tiny["sd15"], side=32)])
    with pytest.raises(ModelError, match="2 conditionings cannot be joined"):
        join_conditioning([encode(shared_cache, tiny["qwen-image"], text) for text in ("a", "a long one")])
