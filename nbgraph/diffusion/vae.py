"""Encode and decode between images and latents, with the scaling of the VAE's own configuration."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.description import ModelDescription, latent_patch
from nbgraph.diffusion.device_memory import free_bytes
from nbgraph.diffusion.finite import check_finite, vae_remedy
from nbgraph.diffusion.values import Latents
from nbgraph.diffusion.working_sets import DECODE, ENCODE
from nbgraph.errors import ModelError
from nbgraph.image_modes import on_white

_DECODED_VALUES = 1300
"""Numbers that an autoencoder of Stable Diffusion holds at once for each pixel: some layers of 128 to 512 channels."""


def decode_needs_tiles(components: Components, pixels: int) -> bool:
    """Return whether decoding so many pixels at once would take more memory of the device than is free.

    What it takes is learnt from earlier images of the model, and estimated before the first. Needs the component `vae`.
    Where the device's memory is RAM it never does, and always where it ran out before.
    """
    free = free_bytes(components.device)
    if components.tiled or free is None:
        return components.tiled
    learnt = components.working.estimate(DECODE, pixels) if components.working else None
    needed = pixels * components["vae"].dtype.itemsize * _DECODED_VALUES if learnt is None else learnt
    return needed > free


@torch.no_grad()
def decode_latents(components: Components, latents: Latents, tiled: bool = False) -> list[Image.Image]:
    """Decode latents to one RGB image each; needs the component `vae`.

    Parameters
    ----------
    tiled
        Use less memory, with faint seams.

    Raises
    ------
    ModelError
        Latents of another family, or of a shape that the model does not have.
    """
    family = components.model.family
    if family is not None and latents.family and latents.family != family.key:
        raise ModelError(
            f"these latents are of a model of the family {latents.family!r}, and the VAE is of {family.key!r}; decode "
            "them with the model that made them, or with the folder of a VAE alone"
        )
    check_shape(components.model, latents)
    vae = _chosen(components, tiled)
    scaled = unscale(vae, latents.tensor.to(components.device, vae.dtype))
    with components.watch(_task(DECODE, vae), latents.width * latents.height * len(latents)):
        decoded = vae.decode(scaled, return_dict=False)[0]
    pictures = decoded[:, :, 0] if decoded.ndim == 5 else decoded
    check_finite(latents.tensor, "the latents to decode have")
    check_finite(pictures, f"decoding by the VAE of {str(components.model.folder)!r}", vae.dtype, vae_remedy(vae))
    return VaeImageProcessor().postprocess(pictures.float(), output_type="pil")  # type: ignore[return-value]


@torch.no_grad()
def encode_image(
    components: Components, images: Image.Image | Sequence[Image.Image], seed: int | None = None, tiled: bool = False
) -> Latents:
    """Encode images of one size to latents; needs the component `vae`.

    Parameters
    ----------
    images
        Read as RGB, transparent parts as white.
    seed
        None takes the mean of the VAE's distribution, which gives the same latents every time; a seed draws from it,
        for each image as if it were alone.

    Raises
    ------
    ModelError
        The sides are no multiples of `multiple_of` of the model.
    """
    return encode_pixels(components, image_pixels(components, images), seed, tiled)


def image_pixels(components: Components, images: Image.Image | Sequence[Image.Image]) -> Tensor:
    """Return (B, 3, height, width) in [-1, 1] of images of one size, transparent parts as white."""
    pictures = [images] if isinstance(images, Image.Image) else list(images)
    components.model.check_size(*_one_size(pictures))
    return VaeImageProcessor(vae_scale_factor=1).preprocess([on_white(picture) for picture in pictures])


@torch.no_grad()
def encode_pixels(components: Components, pixels: Tensor, seed: int | None = None, tiled: bool = False) -> Latents:
    """Return latents of `pixels`, as `encode_image` does of images."""
    height, width = pixels.shape[-2:]
    vae = _chosen(components, tiled)
    pixels = pixels.to(components.device, vae.dtype)
    with components.watch(_task(ENCODE, vae), width * height * len(pixels)):
        latents = _sample(vae.encode(pixels.unsqueeze(2) if _has_time(vae) else pixels), seed)
    check_finite(latents, f"encoding by the VAE of {str(components.model.folder)!r}", vae.dtype, vae_remedy(vae))
    tensor = scale(vae, latents).float().to("cpu", copy=True)
    family = components.model.family
    return Latents(tensor, family.key if family else "", width, height)


def check_shape(model: ModelDescription, latents: Latents) -> None:
    """Raise `ModelError` unless the latents have the channels and the size that the model has for their image."""
    scale = model.vae_scale_factor
    expected = (model.latent_channels, latents.height // scale, latents.width // scale)
    given = tuple(latents.tensor.shape[1:])
    if given != expected:
        raise ModelError(
            f"these latents for {latents.width}x{latents.height} pixels are {given}, (channels, height, width), and "
            f"{str(model.folder)!r} has {expected}: they are of another model; decode them there and encode again"
        )


def unscale(vae: Any, latents: Tensor) -> Tensor:
    """Return latents (B, C, h, w) of the denoiser in the scale of the VAE; with a time axis for VAEs that have one."""
    config = vae.config
    if latent_patch(vae) > 1:
        mean, std = _patch_moments(vae, latents)
        return torch.nn.functional.pixel_shuffle(latents * std + mean, latent_patch(vae))
    mean, std = _moments(vae, latents)
    latents = latents.unsqueeze(2) if _has_time(vae) else latents
    if mean is None or std is None:
        unscaled = latents / config.scaling_factor
        shift = config.get("shift_factor")
        return unscaled + shift if shift else unscaled
    if "scaling_factor" in config:
        return latents * std / config.scaling_factor + mean
    return latents / (1.0 / std) + mean


def scale(vae: Any, latents: Tensor) -> Tensor:
    """Return the inverse of `unscale`, without the time axis."""
    config = vae.config
    if latent_patch(vae) > 1:
        mean, std = _patch_moments(vae, latents)
        return (torch.nn.functional.pixel_unshuffle(latents, latent_patch(vae)) - mean) / std
    latents = latents[:, :, 0] if latents.ndim == 5 else latents
    mean, std = _moments(vae, latents, with_time=False)
    if mean is None or std is None:
        shift = config.get("shift_factor")
        return (latents - shift if shift else latents) * config.scaling_factor
    if "scaling_factor" in config:
        return (latents - mean) * config.scaling_factor / std
    return (latents - mean) * (1.0 / std)


def _moments(vae: Any, latents: Tensor, with_time: bool = True) -> tuple[Tensor | None, Tensor | None]:
    shape = (1, -1, 1, 1, 1) if with_time and _has_time(vae) else (1, -1, 1, 1)
    values = (vae.config.get("latents_mean"), vae.config.get("latents_std"))
    if values[0] is None or values[1] is None:
        return None, None
    mean, std = (torch.tensor(value).view(shape).to(latents.device, latents.dtype) for value in values)
    return mean, std


def _patch_moments(vae: Any, latents: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of a VAE that has statistics of patches of its latents: (1, C, 1, 1)."""
    mean, variance = (value.view(1, -1, 1, 1).to(latents) for value in (vae.bn.running_mean, vae.bn.running_var))
    return mean, torch.sqrt(variance + vae.config.batch_norm_eps)


def _has_time(vae: Any) -> bool:
    return "z_dim" in vae.config


def _sample(encoded: Any, seed: int | None) -> Tensor:
    for name in ("latents", "latent"):
        if hasattr(encoded, name):
            return getattr(encoded, name)
    if seed is None:
        return encoded.latent_dist.mode()
    pictures = len(encoded.latent_dist.mean)
    return encoded.latent_dist.sample([torch.Generator("cpu").manual_seed(seed) for _ in range(pictures)])


def _chosen(components: Components, tiled: bool) -> Any:
    """Return the VAE, in tiles if requested, or if it ran out of memory before."""
    return _tiled(components["vae"]) if tiled or components.tiled else components["vae"]


def _task(name: str, vae: Any) -> str:
    return f"{name}, tiled" if getattr(vae, "use_tiling", False) else name


def _tiled(vae: Any) -> Any:
    """Return a shallow copy of a VAE with tiling on, so that no other image that shares the weights is tiled too."""
    if not hasattr(vae, "enable_tiling"):
        raise ModelError(f"a {type(vae).__name__} cannot decode or encode in tiles; leave `tiled` off")
    other = copy.copy(vae)
    other.enable_tiling()
    return other


def _one_size(pictures: list[Image.Image]) -> tuple[int, int]:
    sizes = {picture.size for picture in pictures}
    if len(sizes) != 1:
        raise ModelError(f"pictures encoded together must have one size, and these have: {sorted(sizes) or 'none'}")
    return sizes.pop()
