"""Drawing with the operations one by one, as nodes do, for tests to compare."""

from typing import Any

import numpy as np
from PIL import Image

from nbgraph.diffusion.denoising import DenoiseSettings, denoise
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.noise import draw_noise
from nbgraph.diffusion.prompt import encode_prompt
from nbgraph.diffusion.refs import ModelRef
from nbgraph.diffusion.vae import decode_latents
from nbgraph.diffusion.values import Conditioning, Latents

TEXT, AVOID, SEED, SIDE = "a red cat", "a dog", 7, 64


def encode(cache: ModelCache, ref: ModelRef, text: str) -> Conditioning:
    with cache.use(ref, "text") as components:
        return encode_prompt(components, text)


def noise(ref: ModelRef, seeds: int | tuple[int, ...] = SEED, side: int = SIDE) -> Latents:
    return draw_noise(describe_model(ref), seeds, side, side)


def sample(cache: ModelCache, ref: ModelRef, settings: DenoiseSettings, **given: Any) -> Latents:
    """Latents of `TEXT` without `AVOID`, from noise of `SEED` unless latents or noise are given."""
    positive, negative = encode(cache, ref, TEXT), encode(cache, ref, AVOID)
    if "noise" not in given and "latents" not in given:
        given["noise"] = noise(ref)
    parts = ("denoiser", "vae") if {"controls", "control_image"} & given.keys() else ("denoiser",)
    with cache.use(ref, *parts) as components:
        return denoise(components, positive, negative, settings=settings, **given)


def decode(cache: ModelCache, ref: ModelRef, latents: Latents) -> list[Image.Image]:
    with cache.use(ref, "vae") as components:
        return decode_latents(components, latents)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)
