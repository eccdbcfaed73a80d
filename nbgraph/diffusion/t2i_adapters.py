"""T2I-Adapters: small networks that read an image once and add to the features of the UNet at each step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.finite import check_finite
from nbgraph.diffusion.spans import check_span
from nbgraph.errors import ModelError
from nbgraph.image_modes import on_white


@dataclass(frozen=True)
class T2iAdapter:
    """One T2I-Adapter in use: its module, its image, its weight and its range of steps.

    The image is resized to the size of the result. `start` and `end` are shares of all steps, 0 to 1.
    """

    module: Any
    image: Image.Image
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True)
class Residuals:
    """What an adapter adds to the UNet's blocks, from one share of the steps to another."""

    features: list[Tensor]
    start: float
    end: float


def adapter_residuals(
    components: Components, adapters: Sequence[T2iAdapter], width: int, height: int
) -> list[Residuals]:
    """Return the features of each adapter's image; raise `ModelError` for a model or a size it does not fit."""
    return [_residuals(components, adapter, width, height) for adapter in adapters]


def _residuals(components: Components, adapter: T2iAdapter, width: int, height: int) -> Residuals:
    family = components.model.need_family().key
    if "unet" not in components:
        raise ModelError(f"T2I-Adapters work on models with a UNet, and this model is of {family!r}")
    check_span("a T2I-Adapter cannot steer", adapter.start, adapter.end)
    factor = adapter.module.total_downscale_factor
    if width % factor or height % factor:
        raise ModelError(f"the T2I-Adapter needs sides that are multiples of {factor} pixels, not {width}x{height}")
    picture = on_white(adapter.image).convert("L" if adapter.module.config.in_channels == 1 else "RGB")
    values = np.atleast_3d(np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32))
    pixels = torch.tensor(values[None] / 255).permute(0, 3, 1, 2)
    features = adapter.module(pixels.to(components.device, adapter.module.dtype))
    expected, given = _block_shapes(components, width, height), [tuple(feature.shape[1:]) for feature in features]
    if given[: len(expected)] != expected:
        raise ModelError(
            f"the T2I-Adapter was made for a UNet with other blocks: it gives {given} "
            f"(channels, height, width), and this model takes {expected}; use one that was made for {family!r} models"
        )
    for feature in features:
        check_finite(feature, "the T2I-Adapter", adapter.module.dtype)
    weighted = [feature.to(components.dtype) * adapter.weight for feature in features]
    return Residuals(weighted, adapter.start, adapter.end)


def _block_shapes(components: Components, width: int, height: int) -> list[tuple[int, int, int]]:
    """Return (channels, height, width) of each UNet block's residual: before it halves, else after it."""
    config, scale = components["unet"].config, components.model.vae_scale_factor
    shapes: list[tuple[int, int, int]] = []
    last = len(config.block_out_channels) - 1
    for level, (kind, channels) in enumerate(zip(config.down_block_types, config.block_out_channels)):
        halved = level if "CrossAttn" in kind else min(level + 1, last)
        shapes.append((channels, height // scale >> halved, width // scale >> halved))
    return shapes
