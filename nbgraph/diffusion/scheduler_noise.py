"""The noise of schedulers, drawn from the generators of the images and from nothing else.

Some pipelines (SD3, Flux) pass no generator to their scheduler, which then draws from torch's global state; schedulers
over a Brownian motion draw from one seed for the whole batch. Here each image has its own generator in every pipeline
and scheduler, so it is the same alone and in a batch, whatever the global state is.
"""

import inspect
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor

_SEEDS = 2**63 - 1
_MARGIN = 1.001
"""Sigmas that a scheduler computes from its own by log and exp can be above the largest by rounding."""


def noise_arguments(scheduler: Any, given: dict[str, Any], generators: Sequence[torch.Generator]) -> dict[str, Any]:
    """Return `given`, the keyword arguments of a step, with the generators if the step takes them and has none."""
    if not _takes_generator(cast(Any, type(scheduler))) or given.get("generator") is not None:
        return given
    return {**given, "generator": list(generators)}


@lru_cache(maxsize=128)
def _takes_generator(scheduler_class: type) -> bool:
    step: Any = getattr(scheduler_class, "step")  # noqa: B009
    return "generator" in inspect.signature(step).parameters


def set_noise_sampler(scheduler: Any, sample: Tensor, generators: Sequence[torch.Generator]) -> None:
    """Give a scheduler over a Brownian motion one motion for each image, if it has none yet.

    Each motion has a seed drawn from the generator of its image. The scheduler keeps them as `noise_seeds`, (B, 1, 1)
    int64, from which a later piece of the same denoising makes the same motions.
    """
    if getattr(scheduler, "noise_sampler", scheduler) is not None:
        return
    if getattr(scheduler, "noise_seeds", None) is None:
        drawn = [torch.randint(_SEEDS, (1, 1, 1), generator=generator) for generator in generators]
        scheduler.noise_seeds = torch.cat(drawn)
    scheduler.noise_sampler = _BrownianNoise(sample, float(scheduler.sigmas.max()), scheduler.noise_seeds)


class _BrownianNoise:
    """Called with two sigmas: returns the noise of (B, ...) images between them, drawn on the CPU in float32.

    So it is the same on every device and in every precision.
    """

    def __init__(self, sample: Tensor, largest: float, seeds: Tensor) -> None:
        module = import_module("diffusers.schedulers.scheduling_dpmsolver_sde")  # imports torchsde
        self._device, self._dtype = sample.device, sample.dtype
        shape = torch.zeros(sample.shape, dtype=torch.float32)
        listed = [int(seed) for seed in seeds.flatten()]
        self._noise = module.BrownianTreeNoiseSampler(shape, 0.0, largest * _MARGIN, listed)

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        return self._noise(sigma.cpu(), sigma_next.cpu()).to(self._device, self._dtype)
