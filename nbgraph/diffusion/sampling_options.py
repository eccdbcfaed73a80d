"""Changes to a scheduler's schedule: shift of flow-matching models, spacing of timesteps, explicit sigmas."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from nbgraph.errors import ModelError

Spacing = Literal["leading", "linspace", "trailing"]
_SPACINGS = get_args(Spacing)


@dataclass(frozen=True)
class SamplingOptions:
    """What changes a schedule; None leaves what the model's scheduler has.

    `shift` moves the steps of a flow-matching model towards noise, in place of one that depends on the size.
    `spacing` is diffusers' `timestep_spacing`. `sigmas` are the noise levels of the steps, falling, without the last 0;
    flow-matching schedulers shift them too, unless `shift` is 1.
    """

    shift: float | None = None
    spacing: Spacing | None = None
    sigmas: tuple[float, ...] | None = None

    def __str__(self) -> str:
        given = {"shift": self.shift, "spacing": self.spacing, "sigmas": self.sigmas}
        return ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)


def changed_config(scheduler: Any, config: Mapping[str, Any], flows: bool, options: SamplingOptions) -> dict[str, Any]:
    """Return the configuration of a scheduler class with what `options` change.

    Raises
    ------
    ModelError
        The scheduler does not take one of them; the message says which schedulers do.
    """
    for _, problem in option_problems(scheduler, flows, options):
        raise ModelError(problem)
    changed = dict(config)
    if options.shift is not None and "shift" in _parameters(scheduler):
        changed |= {"shift": options.shift, "use_dynamic_shifting": False}
    elif options.shift is not None:
        changed["flow_shift"] = options.shift
    if options.spacing is not None:
        changed["timestep_spacing"] = options.spacing
    return changed


def option_problems(scheduler: Any, flows: bool, options: SamplingOptions) -> Iterator[tuple[str, str]]:
    """Yield (option, problem) for each of `options` that a scheduler class does not take."""
    name, taken = scheduler.__name__, _parameters(scheduler)
    if options.shift is not None and not flows:
        yield "shift", "shift is for flow-matching models, such as Stable Diffusion 3 and Flux, and this is none"
    elif options.shift is not None and not {"shift", "flow_shift"} & taken:
        yield "shift", f"{name} takes no shift; use the scheduler 'default' or 'flow_euler'"
    if options.spacing is not None and options.spacing not in _SPACINGS:
        yield "spacing", f"the spacing {options.spacing!r} is none of {', '.join(_SPACINGS)}"
    elif options.spacing is not None and ("timestep_spacing" not in taken or flows):
        yield "spacing", f"{name} takes no timestep spacing with this model; leave it out, or choose another scheduler"
    if options.sigmas is not None:
        if problem := _sigmas_problem(options.sigmas, flows):
            yield "sigmas", problem
        elif "sigmas" not in inspect.signature(scheduler.set_timesteps).parameters:
            yield "sigmas", f"{name} takes no sigmas; use 'euler', 'unipc' or 'flow_euler'"


def _sigmas_problem(sigmas: tuple[float, ...], flows: bool) -> str:
    if not sigmas or any(later >= earlier for earlier, later in zip(sigmas, sigmas[1:])) or sigmas[-1] <= 0:
        return "sigmas must fall from step to step and be above 0; the last 0 is added"
    return "sigmas of a flow-matching model are at most 1" if flows and sigmas[0] > 1 else ""


@lru_cache(maxsize=64)
def _parameters(scheduler: Any) -> frozenset[str]:
    return frozenset(scheduler._get_init_keys(scheduler))
