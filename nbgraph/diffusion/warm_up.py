"""Multistep schedulers that begin part-way: corrections where diffusers' own assume that earlier steps were done.

With an image to begin from, a multistep scheduler has no memory of earlier steps. Most of diffusers' begin with a lower
order then. Two do not: PNDM takes its first evaluations for its warm-up, which has other timesteps, and the image
explodes; LMS uses weights for four steps whatever it remembers.
"""

import inspect
from functools import lru_cache
from typing import Any, cast

_RUNGE_KUTTA = 4
"""Evaluations of one step while PNDM warms up by the method of Runge and Kutta."""
_WARM_UP_STEPS = 3
_LMS_ORDER = 4


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
    if not _takes_order(cast(Any, type(scheduler))):
        return {}
    return {"order": min(_LMS_ORDER, len(scheduler.derivatives) + 1)}


@lru_cache(maxsize=128)
def _takes_order(scheduler_class: type) -> bool:
    step: Any = getattr(scheduler_class, "step")  # noqa: B009
    return "order" in inspect.signature(step).parameters


def end_warm_up(scheduler: Any) -> None:
    """Switch a PNDM that began part-way to its second order, after its first step.

    Its first step is one of first order. At the first timestep of all, the next evaluation would correct that step;
    part-way there is none for it, and the image would be one step ahead of its noise.
    """
    if getattr(scheduler, "counter", None) == 1 and "skip_prk_steps" in scheduler.config:
        scheduler.counter = 2
