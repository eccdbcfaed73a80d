"""Convert spatial latents (B, C, h, w) to the packed sequences that some pipelines denoise, and back."""

import functools
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from nbgraph.diffusion.components import Components


def pack(components: Components, tensor: Tensor) -> Tensor:
    """Return (B, C, h, w) in the layout of the family's pipeline, with the device and precision of the denoiser."""
    family = components.model.need_family()
    moved = tensor.to(components.device, torch.float32 if family.float_latents else components.dtype)
    if not family.packed:
        return moved
    batch, channels, height, width = moved.shape
    return _method(components, "_pack_latents")(moved, batch, channels, height, width)


def unpack(components: Components, tensor: Tensor, width: int, height: int) -> Tensor:
    """Return the inverse of `pack`: always (B, C, h, w). `width` and `height` are pixels."""
    model = components.model
    if tensor.ndim == 3 and not model.need_family().packed:
        scale = model.vae_scale_factor
        return tensor.transpose(1, 2).reshape(len(tensor), -1, height // scale, width // scale)
    if tensor.ndim == 3:
        tensor = _method(components, "_unpack_latents")(tensor, height, width)
    return tensor[:, :, 0] if tensor.ndim == 5 else tensor


def _method(components: Components, name: str) -> Callable[..., Tensor]:
    """Return a method of the family's pipeline, bound to the numbers of the model that it takes or reads of `self`."""
    model = components.model
    pipeline: Any = model.need_family().pipeline()
    patch = model.options.get("patch_size") or model.config("transformer").get("patch_size")
    numbers = {"vae_scale_factor": model.vae_scale_factor, "patch_size": patch}
    found = getattr(pipeline, name)
    taken = inspect.signature(found).parameters
    if "self" in taken:
        return functools.partial(found, SimpleNamespace(**{**numbers, "patch_size": patch or 2}))
    return functools.partial(found, **{key: value for key, value in numbers.items() if key in taken})


def pack_like(components: Components, tensor: Tensor, other: Tensor) -> Tensor:
    """Return (B, C, h, w) as the pipeline holds `other` while it denoises.

    The pipelines of FLUX.2 are given spatial latents and flatten them by themselves.
    """
    packed = pack(components, tensor)
    if other.ndim == 3 and packed.ndim == 4:
        packed = packed.flatten(2).transpose(1, 2)
    return packed.to(other.dtype)
