"""Schedulers in a script of diffusers: with all their options, or why one cannot be exported."""

import math
from typing import Any

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.schedulers import make_scheduler, own_scheduler

DRAWING = ("DPMSolverSDEScheduler",)
"""Schedulers that draw noise from a generator of their own, which nbgraph replaces by that of the image."""
WARMING_UP = ("PNDMScheduler", "LMSDiscreteScheduler")
"""Schedulers whose beginning part-way is mended in nbgraph, see `diffusion/warm_up.py`."""


def scheduler_code(description: ModelDescription, name: str, steps: int, is_part: bool) -> tuple[str, str, str]:
    """Return (class, code, problem) of a scheduler by its name in nbgraph; `is_part` says that it begins part-way.

    The code has every option, since `from_config` would take defaults of the new class for some of the old one.
    """
    scheduler: Any = make_scheduler(description, name)
    class_name = type(scheduler).__name__
    options = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    problem = ""
    if class_name in DRAWING:
        problem = f"{name!r} draws its noise from a generator of its own in diffusers; choose dpmpp_2m_sde"
    elif class_name in WARMING_UP and is_part:
        problem = f"{name!r} begins part-way otherwise in diffusers; choose euler or dpmpp_2m"
    elif class_name == "PNDMScheduler" and steps <= 3 and not options.get("skip_prk_steps"):
        problem = f"{name!r} warms up in more steps than {steps}; take at least 4"
    elif own_scheduler(description)[0].startswith("FlowMatch") and class_name != "FlowMatchEulerDiscreteScheduler":
        problem = f"{name!r} is given its levels otherwise by diffusers' pipelines; choose flow_euler or default"
    elif options.get("stochastic_sampling"):
        problem = "it draws noise from torch's global state in diffusers; choose another one"
    written = ", ".join(f"{key}={_code(value)}" for key, value in options.items())
    return class_name, f"{class_name}({written})", problem


def _code(value: Any) -> str:
    """A value as Python; infinity has no literal."""
    return f'float("{value}")' if isinstance(value, float) and math.isinf(value) else repr(value)
