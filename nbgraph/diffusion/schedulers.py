"""Schedulers by the names people know, each made anew for each use from the model's own configuration."""

import importlib.util
from functools import lru_cache
from typing import Any, get_args

import diffusers
from diffusers import SchedulerMixin

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.sampling_options import SamplingOptions, changed_config, option_problems
from nbgraph.diffusion.scheduler_names import SchedulerName
from nbgraph.errors import ModelError, suggest

DEFAULT = "default"
_UNCHANGED = SamplingOptions()

_KARRAS = {"use_karras_sigmas": True}
_SDE = {"algorithm_type": "sde-dpmsolver++"}

_TABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "deis_k": ("DEISMultistepScheduler", _KARRAS),
    "lms": ("LMSDiscreteScheduler", {"use_karras_sigmas": False}),
    "lms_k": ("LMSDiscreteScheduler", _KARRAS),
    "pndm": ("PNDMScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {"use_karras_sigmas": False}),
    "heun_k": ("HeunDiscreteScheduler", _KARRAS),
    "euler": ("EulerDiscreteScheduler", {"use_karras_sigmas": False}),
    "euler_k": ("EulerDiscreteScheduler", _KARRAS),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "kdpm_2": ("KDPM2DiscreteScheduler", {}),
    "kdpm_2_k": ("KDPM2DiscreteScheduler", _KARRAS),
    "kdpm_2_a": ("KDPM2AncestralDiscreteScheduler", {}),
    "kdpm_2_a_k": ("KDPM2AncestralDiscreteScheduler", _KARRAS),
    "dpmpp_2s": ("DPMSolverSinglestepScheduler", {"use_karras_sigmas": False}),
    "dpmpp_2s_k": ("DPMSolverSinglestepScheduler", _KARRAS),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": False}),
    "dpmpp_2m_k": ("DPMSolverMultistepScheduler", _KARRAS),
    "dpmpp_3m": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": False, "solver_order": 3}),
    "dpmpp_3m_k": ("DPMSolverMultistepScheduler", {**_KARRAS, "solver_order": 3}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": False, **_SDE}),
    "dpmpp_2m_sde_k": ("DPMSolverMultistepScheduler", {**_KARRAS, **_SDE}),
    "dpmpp_sde": ("DPMSolverSDEScheduler", {"use_karras_sigmas": False}),
    "dpmpp_sde_k": ("DPMSolverSDEScheduler", _KARRAS),
    "unipc": ("UniPCMultistepScheduler", {}),
    "unipc_k": ("UniPCMultistepScheduler", _KARRAS),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
    "flow_euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "flow_heun": ("FlowMatchHeunDiscreteScheduler", {}),
}

SCHEDULER_NAMES: tuple[str, ...] = get_args(SchedulerName)
"""Every name that `make_scheduler` takes."""

_NEEDS = {"LMSDiscreteScheduler": "scipy", "DPMSolverSDEScheduler": "torchsde"}
_FLOW_SOLVERS = (
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
)
_FLOW_SIGMAS = {
    "use_flow_sigmas": True,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
}
"""The spacing of sigmas that a solver needs over a flow-matching model; with another one it gives NaN."""


def make_scheduler(
    model: ModelDescription, name: "str | SchedulerMixin" = DEFAULT, options: SamplingOptions = _UNCHANGED
) -> SchedulerMixin:
    """Make a scheduler of that name with the model's own noise schedule; `default` is the model's own.

    Parameters
    ----------
    name
        A name, or a scheduler, which is returned as it is.
    options
        Changes to the schedule.

    Raises
    ------
    ModelError
        An unknown name, one whose package is not installed, one that cannot follow the model's kind of noise (flow
        matching or not), and options that it does not take.
    """
    if not isinstance(name, str):
        return name
    scheduler_class, config = scheduler_of(model, name)
    changed = changed_config(scheduler_class, config, predicts_flow(model), options)
    return scheduler_class.from_config(changed) if name == DEFAULT else _build(scheduler_class, changed)


def sampling_problems(model: ModelDescription, name: str, options: SamplingOptions) -> list[tuple[str, str]]:
    """Return (option, problem) for each change of a schedule that a scheduler, or the family, does not take."""
    scheduler_class, _ = scheduler_of(model, name)
    found = list(option_problems(scheduler_class, predicts_flow(model), options))
    family = model.need_family()
    if options.sigmas is not None and "sigmas" not in family.parameters:
        found.append(("sigmas", f"the pipeline of the family {family.key!r} takes no sigmas; leave them out"))
    return found


def predicts_flow(model: ModelDescription) -> bool:
    """Return whether a model was trained by flow matching, as its scheduler says."""
    own_name, config = own_scheduler(model)
    return own_name.startswith("FlowMatch") or config.get("prediction_type") == "flow_prediction"


def scheduler_of(model: ModelDescription, name: str) -> tuple[Any, dict[str, Any]]:
    """Return the class of a scheduler by name, and its configuration for a model. Raises as `make_scheduler`."""
    own_name, config = own_scheduler(model)
    if name == DEFAULT:
        return getattr(diffusers, own_name), config
    if name not in _TABLE:
        raise ModelError(f"there is no scheduler {name!r}{suggest(name, SCHEDULER_NAMES, limit=40)}")
    class_name, options = _TABLE[name]
    needed = _NEEDS.get(class_name)
    if needed and importlib.util.find_spec(needed) is None:
        raise ModelError(
            f"the scheduler {name!r} needs the package {needed}, which is not installed: pip install {needed}"
        )
    own = {key: value for key, value in config.items() if not key.startswith("_")}
    return getattr(diffusers, class_name), {**own, **options, **_flow_options(model, name)}


def own_scheduler(model: ModelDescription) -> tuple[str, dict[str, Any]]:
    """Return the class name and the configuration of the model's own scheduler."""
    return model.classes["scheduler"].__name__, model.config("scheduler")


def _build(scheduler_class: Any, config: dict[str, Any]) -> SchedulerMixin:
    """Call `from_config` without the options of other schedulers, which would cause warnings and be kept."""
    known = _config_names(scheduler_class)
    return scheduler_class.from_config({key: value for key, value in config.items() if key in known})


@lru_cache(maxsize=64)
def _config_names(scheduler_class: Any) -> frozenset[str]:
    return frozenset(scheduler_class._get_init_keys(scheduler_class))


def _flow_options(model: ModelDescription, name: str) -> dict[str, Any]:
    """Return the options by which a scheduler follows the model's kind of noise; raise `ModelError` when it cannot."""
    own_name, config = own_scheduler(model)
    own_flow_match, flows = own_name.startswith("FlowMatch"), predicts_flow(model)
    fitting = [known for known in _TABLE if _fits(known, flows, own_flow_match)]
    if name not in fitting:
        kind = "a flow-matching model" if flows else "not a flow-matching model"
        raise ModelError(
            f"the scheduler {name!r} cannot draw with {str(model.folder)!r}, which is {kind}; "
            f"possible: {', '.join([DEFAULT, *fitting])}"
        )
    if not flows or _TABLE[name][0].startswith("FlowMatch"):
        return {}
    shift = config.get("shift" if own_flow_match else "flow_shift", 1.0)
    return {**_FLOW_SIGMAS, "prediction_type": "flow_prediction", "flow_shift": shift}


def _fits(name: str, flows: bool, own_flow_match: bool) -> bool:
    """Whether a name of the table can follow a model that is flow-matching or not, by such a scheduler or a solver."""
    class_name, options = _TABLE[name]
    if class_name.startswith("FlowMatch"):
        return own_flow_match
    return not flows or (class_name in _FLOW_SOLVERS and not options.get("use_karras_sigmas"))
