"""Step caches of diffusers: parts of a denoiser that are computed at some steps and used again at the next."""

from collections.abc import Callable
from typing import Any

from diffusers import FasterCacheConfig, FirstBlockCacheConfig, PyramidAttentionBroadcastConfig

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.patches import share_weights
from nbgraph.diffusion.refs import StepCachePatch
from nbgraph.errors import ModelError


def with_step_cache(components: Components, denoiser: Any, timestep: Callable[[], Any]) -> Any:
    """Return the denoiser of one run, with the step cache that its patches name; the same module without one.

    Parameters
    ----------
    denoiser
        Shared with other runs. What is cached is kept in a copy over the same weights, so that each run begins with an
        empty cache.
    timestep
        Returns the timestep of the step that is computed, from 1,000 to 0.

    Raises
    ------
    ModelError
        The class of the denoiser has no step caches, or more than one is asked for.
    """
    asked = [patch for patch in components.patches if isinstance(patch, StepCachePatch)]
    if not asked:
        return denoiser
    if len(asked) > 1:
        raise ModelError(f"there are {len(asked)} step caches for the model, and it takes one; leave the others out")
    if not hasattr(denoiser, "enable_cache"):
        raise ModelError(
            f"{type(denoiser).__name__}, the denoiser of {str(components.model.folder)!r}, has no step caches in "
            "diffusers; those of Flux, FLUX.2, Chroma, Qwen-Image, CogView 4 and Ovis-Image have them"
        )
    own = share_weights(denoiser)
    own.enable_cache(_configuration(asked[0], timestep))
    return own


def _configuration(patch: StepCachePatch, timestep: Callable[[], Any]) -> Any:
    if patch.method == "first_block":
        return FirstBlockCacheConfig(threshold=patch.threshold)
    if patch.method == "pyramid":
        return PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=patch.every, current_timestep_callback=timestep
        )
    # guidance away from a negative prompt is a second call in the families that have caches, not a row of the batch
    return FasterCacheConfig(
        spatial_attention_block_skip_range=patch.every,
        current_timestep_callback=timestep,
        attention_weight_callback=lambda module: 0.5,
        is_guidance_distilled=True,
    )
