"""Denoising masks: keep an image where the mask is 0, denoise it where it is 1."""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.packing import pack_like, unpack
from nbgraph.diffusion.values import Latents
from nbgraph.errors import ModelError
from nbgraph.image_modes import as_mask


def latent_mask(model: ModelDescription, mask: Image.Image, width: int, height: int, soft: bool = False) -> Tensor:
    """Return a mask for latents of an image of `width` x `height` pixels: (1, 1, h, w) in [0, 1], 1 where denoised.

    White is denoised, black and transparent is kept. A hard mask is cut at half grey and sampled at the nearest pixel;
    a soft one is averaged over each latent's cell.
    """
    values = mask_values(mask, width, height)
    size = (height // model.vae_scale_factor, width // model.vae_scale_factor)
    if soft:
        return torch.nn.functional.interpolate(values, size=size, mode="area")
    return torch.nn.functional.interpolate((values >= 0.5).float(), size=size, mode="nearest")


def mask_values(mask: Image.Image, width: int, height: int) -> Tensor:
    """Return (1, 1, height, width) in [0, 1]: the brightness of a mask at each pixel, transparent as black."""
    grey = as_mask(mask).resize((width, height), Image.Resampling.NEAREST)
    return torch.frombuffer(bytearray(grey.tobytes()), dtype=torch.uint8).reshape(1, 1, height, width).float() / 255


def latents_to_keep(latents: Latents, kept: Latents | None) -> Latents:
    """Return the latents that a mask keeps: `kept`, or the latents themselves.

    Raises
    ------
    ModelError
        They stopped part-way, or differ from the latents in family or size.
    """
    kept = latents if kept is None else kept
    if kept.window is not None and kept.unfinished:
        raise ModelError(
            f"a mask cannot keep latents that stopped at step {kept.window.end} of {kept.window.steps}, which still "
            "hold noise; give the mask the latents of the picture that is kept"
        )
    if (kept.family, *kept.tensor.shape[-3:]) != (latents.family, *latents.tensor.shape[-3:]):
        raise ModelError(
            f"the mask keeps latents for {kept.width}x{kept.height} of the family {kept.family!r}, and those that are "
            f"denoised are for {latents.width}x{latents.height} of {latents.family!r}; give the mask latents like them"
        )
    return kept


def keep_outside(
    components: Components,
    mask: Tensor,
    latents: Latents | None,
    noise: Latents | None,
    differential: bool = False,
) -> Callable[[Tensor, Any, int], Tensor]:
    """Return a function that restores the image where the mask is 0, noised as at that step, after each evaluation.

    A `differential` mask restores it everywhere but where the mask is larger than the share of the evaluations that are
    left: a latent of 0.25 is denoised for the last quarter of them.

    Raises
    ------
    ModelError
        There are no latents to keep or no noise to add to them, or the mask has another size.
    """
    if latents is None or noise is None:
        raise ModelError("a mask needs latents, which it keeps, and noise, to bring them to each step; one is missing")
    size, latent_size = mask.shape[-2:], latents.tensor.shape[-2:]
    if size != latent_size:
        raise ModelError(
            f"the mask is {size[1]}x{size[0]} latents and the picture {latent_size[1]}x{latent_size[0]}; make the mask "
            "at the picture's size"
        )
    inside = mask.to(components.device, components.dtype).reshape(-1, 1, *size)
    kept, over = (value.tensor.to(components.device, components.dtype) for value in (latents, noise))

    def change(after: Tensor, scheduler: Any, evaluations: int) -> Tensor:
        spatial = unpack(components, after, noise.width, noise.height)
        free = inside
        if differential:
            free = (inside > 1 - evaluations / len(scheduler.timesteps)).to(inside)
        blended = (1 - free) * mix_noise(scheduler, kept, over, evaluations) + free * spatial
        return pack_like(components, blended, after)

    return change


def mix_noise(scheduler: Any, latents: Tensor, noise: Tensor, evaluation: int) -> Tensor:
    """Mix `latents` and `noise` as before that evaluation of a prepared scheduler; without noise after the last."""
    check_mixes_noise(scheduler)
    if evaluation >= len(scheduler.timesteps):
        return latents
    timesteps = scheduler.timesteps[evaluation : evaluation + 1].repeat(len(noise))
    if hasattr(scheduler, "scale_noise"):
        return scheduler.scale_noise(latents, timesteps, noise)
    return scheduler.add_noise(latents, noise, timesteps)


def noise_level(scheduler: Any, evaluation: int) -> tuple[float, float] | None:
    """Return the shares of image and noise in latents before that evaluation: (1, sigma), or (alpha, sigma).

    None for a scheduler that cannot mix them.
    """
    if not _mixes_noise(scheduler):
        return None
    none, all_of_it = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    parts = (mix_noise(scheduler, *pair, evaluation) for pair in ((all_of_it, none), (none, all_of_it)))
    picture, noise = (float(part) for part in parts)
    return picture, noise


def _mixes_noise(scheduler: Any) -> bool:
    return hasattr(scheduler, "scale_noise") or hasattr(scheduler, "add_noise")


def check_mixes_noise(scheduler: Any) -> None:
    """Raise `ModelError` for a scheduler that cannot mix an image with noise, and so must begin with noise alone."""
    if not _mixes_noise(scheduler):
        raise ModelError(
            f"{type(scheduler).__name__}, the scheduler of this model, cannot mix a picture with noise, which both a "
            "picture and a mask need; choose another scheduler by name"
        )
