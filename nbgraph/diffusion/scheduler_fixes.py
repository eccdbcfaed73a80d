"""Corrections of diffusers' schedulers: their noise, and the begin of multistep ones part-way.

**Noise** comes from the generators of the images and from nothing else. Some pipelines (SD3, Flux) pass no generator to
their scheduler, which then draws from torch's global state; schedulers over a Brownian motion draw from one seed for
the whole batch. Here each image has its own generator in every pipeline and scheduler, so it is the same alone and in a
batch, whatever the global state is.

**Warm-up.** With an image to begin from, a multistep scheduler has no memory of earlier steps. Most of diffusers' begin
with a lower order then. Two do not: PNDM takes its first evaluations for its warm-up, which has other timesteps, and
the image explodes; LMS uses weights for four steps whatever it remembers.
"""

import inspect
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor

_RUNGE_KUTTA = 4
"""Evaluations of one step while PNDM warms up by the method of Runge and Kutta."""
_WARM_UP_STEPS = 3
_LMS_ORDER = 4
_SEEDS = 2**63 - 1
_MARGIN = 1.001
"""Sigmas that a scheduler computes from its own by log and exp can be above the largest by rounding."""


def noise_arguments(scheduler: Any, given: dict[str, Any], generators: Sequence[torch.Generator]) -> dict[str, Any]:
    """Return `given`, the keyword arguments of a step, with the generators if the step takes them and has none."""
    if not _takes(cast(Any, type(scheduler)), "generator") or given.get("generator") is not None:
        return given
    return {**given, "generator": list(generators)}


@lru_cache(maxsize=128)
def _takes(scheduler_class: type, argument: str) -> bool:
    step: Any = getattr(scheduler_class, "step")  # noqa: B009
    return argument in inspect.signature(step).parameters


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


def evaluations_before_steps(scheduler: Any, steps: int) -> list[int]:
    """Return how many evaluations a prepared scheduler does before each of the steps 0 to `steps`.

    A step of a second-order scheduler is two of them; those of a warm-up are extra.
    """
    total, order = len(scheduler.timesteps), scheduler.order
    runge_kutta = getattr(scheduler, "prk_timesteps", None)
    if runge_kutta is not None and len(runge_kutta):
        extra = (_RUNGE_KUTTA - 1) * _WARM_UP_STEPS
        return [min(_RUNGE_KUTTA * step, step + extra) for step in range(steps + 1)]
    extra = max(0, total - steps * order)
    return [0, *(min(total, step * order + extra) for step in range(1, steps + 1))]


def choose_warm_up(scheduler: Any, steps: int, start: int, solver: dict[str, Any] | None) -> None:
    """Let PNDM warm up by Runge and Kutta only where it begins at the first step. Called before the timesteps are set.

    `solver` is its state from an earlier piece, which may have stopped within that warm-up.
    """
    if "skip_prk_steps" not in scheduler.config:
        return
    within = solver is not None and solver.get("counter") == _RUNGE_KUTTA * start
    if steps <= _WARM_UP_STEPS or (start and not within):
        scheduler.register_to_config(skip_prk_steps=True)


def step_arguments(scheduler: Any) -> dict[str, Any]:
    """Return keyword arguments for the next step: for LMS no higher an order than it has a memory for."""
    if not _takes(cast(Any, type(scheduler)), "order"):
        return {}
    return {"order": min(_LMS_ORDER, len(scheduler.derivatives) + 1)}


def end_warm_up(scheduler: Any) -> None:
    """Switch a PNDM that began part-way to its second order, after its first step.

    Its first step is one of first order. At the first timestep of all, the next evaluation would correct that step;
    part-way there is none for it, and the image would be one step ahead of its noise.
    """
    if getattr(scheduler, "counter", None) == 1 and "skip_prk_steps" in scheduler.config:
        scheduler.counter = 2
