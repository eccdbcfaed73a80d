"""A UNet for one run, steered at each step by adapters; the one it is made from learns nothing of it."""

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nbgraph.diffusion.image_prompts import ImagePrompt
from nbgraph.diffusion.loop import Loop
from nbgraph.diffusion.patches import share_weights
from nbgraph.diffusion.t2i_adapters import Residuals

Steer = Callable[[Any, Loop], Any]
"""Given the UNet and the loop of a run, gives the UNet for that run."""


def steering(residuals: Sequence[Residuals], prompts: Sequence[ImagePrompt]) -> Steer | None:
    """What makes a UNet add the residuals and see the image prompts, each within its span; None without any."""
    if not residuals and not prompts:
        return None

    def steer(unet: Any, loop: Loop) -> Any:
        steered = share_weights(unet) if prompts else copy.copy(unet)
        plain = type(unet).forward
        processors = [processor for processor in steered.attn_processors.values() if hasattr(processor, "to_k_ip")]

        def forward(sample: Tensor, *args: Any, **kwargs: Any) -> Any:
            scales = [prompt.weight if loop.within(prompt.start, prompt.end) else 0.0 for prompt in prompts]
            for processor in processors:
                processor.scale = scales
            added = _sum([each.features for each in residuals if loop.within(each.start, each.end)])
            if added:
                repeated = [torch.cat([feature] * len(sample)) for feature in added]
                kwargs["down_intrablock_additional_residuals"] = repeated
            return plain(steered, sample, *args, **kwargs)

        steered.forward = forward
        return steered

    return steer


def _sum(features: list[list[Tensor]]) -> list[Tensor]:
    if not features:
        return []
    return [functools.reduce(torch.add, level) for level in zip(*features, strict=True)]
