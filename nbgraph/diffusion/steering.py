"""A denoiser for one run, steered at each step by adapters; the one it is made from is not changed."""

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from nbgraph.diffusion.batch_parts import in_parts
from nbgraph.diffusion.image_prompts import ImagePrompt
from nbgraph.diffusion.inpainting import Shown
from nbgraph.diffusion.loop import Loop
from nbgraph.diffusion.patches import share_weights
from nbgraph.diffusion.t2i_adapters import Residuals

Steer = Callable[[Any, Loop], Any]
"""Called with the UNet and the loop of a run; returns the UNet for that run."""


def steering(
    residuals: Sequence[Residuals],
    prompts: Sequence[ImagePrompt],
    shown: Shown | None = None,
    at_once: int | None = None,
) -> Steer | None:
    """Return a function that makes a denoiser use the residuals and image prompts, each within its range.

    None without any.

    `shown` adds the further channels of a model for inpainting to the latents. `at_once` is the number of rows of a
    batch that the denoiser computes at once.
    """
    if not residuals and not prompts and shown is None and at_once is None:
        return None

    def steer(unet: Any, loop: Loop) -> Any:
        # What is streamed is a copy for this use already, and its own forward brings the weights to the device.
        is_streamed = "forward" in vars(unet)
        steered = share_weights(unet) if prompts and not is_streamed else copy.copy(unet)
        plain: Callable[..., Any] = (
            unet.forward if is_streamed else functools.partial(cast(Any, type(unet)).forward, steered)
        )
        if at_once is not None:
            plain = in_parts(plain, at_once)
        processors = [p for p in steered.attn_processors.values() if hasattr(p, "to_k_ip")] if prompts else []

        def forward(*given: Any, **kwargs: Any) -> Any:
            # UNets are given the latents by place, transformers by name.
            sample, *args = given or (kwargs.pop("hidden_states"),)
            scales = [prompt.weight if loop.within(prompt.start, prompt.end) else 0.0 for prompt in prompts]
            for processor in processors:
                # Stable Diffusion 3 takes one adapter
                processor.scale = scales if isinstance(processor.scale, list) else scales[0]
            added = _sum([each.features for each in residuals if loop.within(each.start, each.end)])
            if added:
                repeated = [torch.cat([feature] * len(sample)) for feature in added]
                kwargs["down_intrablock_additional_residuals"] = repeated
            return plain(sample if shown is None else shown(sample), *args, **kwargs)

        steered.forward = forward
        return steered

    return steer


def _sum(features: list[list[Tensor]]) -> list[Tensor]:
    if not features:
        return []
    return [functools.reduce(torch.add, level) for level in zip(*features, strict=True)]
