"""Between pictures and latents: decode and encode, by the scaling that the VAE's own configuration tells."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.finite import check_finite, vae_remedy
from nbgraph.diffusion.values import Latents
from nbgraph.errors import ModelError
from nbgraph.image_modes import on_white


@torch.no_grad()
def decode_latents(components: Components, latents: Latents, tiled: bool = False) -> list[Image.Image]:
    """One RGB picture for each latent; needs the component `vae`. `tiled` takes less memory and leaves faint seams.

    `ModelError` for latents of another family of models, or of a shape that the model does not have.
    """
    family = components.model.family
    if family is not None and latents.family and latents.family != family.key:
        raise ModelError(
            f"these latents are of a model of the family {latents.family!r}, and the VAE is of {family.key!r}; decode "
            "them with the model that made them, or with the folder of a VAE alone"
        )
    check_shape(components.model, latents)
    vae = _tiled(components["vae"]) if tiled else components["vae"]
    scaled = unscale(vae, latents.tensor.to(components.device, vae.dtype))
    decoded = vae.decode(scaled, return_dict=False)[0]
    pictures = decoded[:, :, 0] if decoded.ndim == 5 else decoded
    check_finite(latents.tensor, "the latents to decode have")
    check_finite(pictures, f"decoding by the VAE of {str(components.model.folder)!r}", vae.dtype, vae_remedy(vae))
    return VaeImageProcessor().postprocess(pictures.float(), output_type="pil")  # type: ignore[return-value]


@torch.no_grad()
def encode_image(
    components: Components, images: Image.Image | Sequence[Image.Image], seed: int | None = None, tiled: bool = False
) -> Latents:
    """Latents of pictures of one size; needs the component `vae`.

    `seed` None takes the mean of the VAE's distribution, which gives the same latents every time; a seed draws from it,
    for each picture as if it were alone. Pictures are read as RGB, what is transparent as white. `ModelError` unless
    their sides are multiples of what the model draws in.
    """
    return encode_pixels(components, image_pixels(components, images), seed, tiled)


def image_pixels(components: Components, images: Image.Image | Sequence[Image.Image]) -> Tensor:
    """Return (B, 3, height, width) in [-1, 1] of pictures of one size, transparent parts as white."""
    pictures = [images] if isinstance(images, Image.Image) else list(images)
    components.model.check_size(*_one_size(pictures))
    return VaeImageProcessor(vae_scale_factor=1).preprocess([on_white(picture) for picture in pictures])


@torch.no_grad()
def encode_pixels(components: Components, pixels: Tensor, seed: int | None = None, tiled: bool = False) -> Latents:
    """Return latents of `pixels`, as `encode_image` does of pictures."""
    height, width = pixels.shape[-2:]
    vae = _tiled(components["vae"]) if tiled else components["vae"]
    pixels = pixels.to(components.device, vae.dtype)
    latents = _sample(vae.encode(pixels.unsqueeze(2) if _has_time(vae) else pixels), seed)
    check_finite(latents, f"encoding by the VAE of {str(components.model.folder)!r}", vae.dtype, vae_remedy(vae))
    tensor = scale(vae, latents).float().to("cpu", copy=True)
    family = components.model.family
    return Latents(tensor, family.key if family else "", width, height)


def check_shape(model: ModelDescription, latents: Latents) -> None:
    """`ModelError` unless the latents have the channels and the size of that model's for a picture of their size."""
    scale = model.vae_scale_factor
    expected = (model.latent_channels, latents.height // scale, latents.width // scale)
    given = tuple(latents.tensor.shape[1:])
    if given != expected:
        raise ModelError(
            f"these latents for {latents.width}x{latents.height} pixels are {given}, (channels, height, width), and "
            f"{str(model.folder)!r} has {expected}: they are of another model; decode them there and encode again"
        )


def unscale(vae: Any, latents: Tensor) -> Tensor:
    """(B, C, h, w) as the denoiser sees it -> as the VAE sees it; with a time axis for the VAEs that have one."""
    config = vae.config
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
    """The inverse of `unscale`, without the time axis."""
    config = vae.config
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


def _tiled(vae: Any) -> Any:
    """The same VAE with tiling on: a shallow copy, so that no other picture that shares the weights is tiled too."""
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
