"""Noise, and changes of size: latents before and between denoising."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.values import Latents, generator_states
from nbgraph.errors import ModelError

Interpolation = Literal["nearest", "bilinear", "bicubic", "area", "nearest-exact"]


def draw_noise(
    model: ModelDescription, seeds: int | Sequence[int], width: int | None = None, height: int | None = None
) -> Latents:
    """Draw Gaussian noise, one image for each seed.

    It is drawn on the CPU by one generator for each image, so a seed gives the same noise on every device and in every
    batch. It depends on the size: the same seed at another size is another image. Needs no component.

    Parameters
    ----------
    width, height
        Size of the images in pixels; None is the model's own.
    """
    family = model.need_family()
    width, height = width or model.width, height or model.height
    model.check_size(width, height)
    numbers = (seeds,) if isinstance(seeds, int) else tuple(seeds)
    if not numbers:
        raise ModelError("noise needs at least one seed, and was given an empty list")
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in numbers]
    shape = (1, model.latent_channels, height // model.vae_scale_factor, width // model.vae_scale_factor)
    drawn = [torch.randn(shape, generator=generator) for generator in generators]
    return Latents(torch.cat(drawn), family.key, width, height, numbers, generator_states(generators))


def empty_latents(model: ModelDescription, width: int | None = None, height: int | None = None) -> Latents:
    """Return zeros for one image of `width` x `height` pixels; None is the model's own size."""
    family = model.need_family()
    width, height = width or model.width, height or model.height
    model.check_size(width, height)
    shape = (1, model.latent_channels, height // model.vae_scale_factor, width // model.vae_scale_factor)
    return Latents(torch.zeros(shape), family.key, width, height)


def with_seed(latents: Latents, seed: int) -> Latents:
    """Return the latents with generators for further random steps that begin with a seed."""
    return replace(latents, seeds=(seed,) * len(latents), rng_states=None)


def resize_latents(
    model: ModelDescription,
    latents: Latents,
    width: int,
    height: int,
    mode: Interpolation = "bilinear",
    antialias: bool = False,
) -> Latents:
    """Interpolate latents to another size, in pixels of the image. They no longer are unfinished.

    Generators are kept.
    """
    model.check_size(width, height)
    size = (height // model.vae_scale_factor, width // model.vae_scale_factor)
    # torch refuses the argument for the other modes, even if it is False
    smooth = {"antialias": antialias} if mode in ("bilinear", "bicubic") else {}
    tensor = torch.nn.functional.interpolate(latents.tensor, size=size, mode=mode, **smooth)
    return replace(latents, tensor=tensor, width=width, height=height, window=None, solver=None)


def scale_latents(
    model: ModelDescription, latents: Latents, factor: float, mode: Interpolation = "bilinear", antialias: bool = False
) -> Latents:
    """Call `resize_latents` with a factor, for the nearest size that the model can generate."""
    if factor <= 0:
        raise ModelError(f"the scale factor must be above 0, and is {factor}")
    step = model.multiple_of
    width, height = (max(step, round(side * factor / step) * step) for side in (latents.width, latents.height))
    return resize_latents(model, latents, width, height, mode, antialias)


def blend_latents(first: Latents, second: Latents, alpha: float = 0.5) -> Latents:
    """Interpolate from `first` (alpha 0) to `second` (alpha 1) spherically, which keeps the length of noise.

    Near-parallel latents are interpolated linearly.

    Raises
    ------
    ModelError
        They differ in shape.
    """
    if first.tensor.shape != second.tensor.shape:
        raise ModelError(
            f"latents of {first.width}x{first.height} ({len(first)}) and {second.width}x{second.height} "
            f"({len(second)}) cannot be blended; resize one to the other first"
        )
    a, b = first.tensor, second.tensor
    flat_a, flat_b = a.flatten(1), b.flatten(1)
    cosine = (torch.nn.functional.normalize(flat_a) * torch.nn.functional.normalize(flat_b)).sum(1).clamp(-1, 1)
    angle = torch.arccos(cosine)[:, None, None, None]
    spherical = (torch.sin((1 - alpha) * angle) * a + torch.sin(alpha * angle) * b) / torch.sin(angle)
    linear = torch.lerp(a, b, alpha)
    # the sine of a small angle is lost in float32, and dividing by it would give NaN
    parallel = (cosine.abs() > 0.9995)[:, None, None, None]
    return replace(first, tensor=torch.where(parallel, linear, spherical), window=None, solver=None)
