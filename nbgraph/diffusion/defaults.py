"""Default steps and guidance by family, for nodes where a person gives none."""

import inspect
from dataclasses import dataclass

from nbgraph.diffusion.arguments import makes_negative
from nbgraph.diffusion.description import ModelDescription


@dataclass(frozen=True)
class Defaults:
    """Number of steps, scale of classifier-free guidance, and of distilled guidance (None is the pipeline's own)."""

    steps: int
    cfg: float
    guidance: float | None = None


_BY_FAMILY = {
    "stable-diffusion": Defaults(20, 7.5),
    "stable-diffusion-xl": Defaults(30, 5.0),
    "stable-diffusion-3": Defaults(28, 7.0),
    "flux": Defaults(28, 1.0),
    "flux-kontext": Defaults(28, 1.0, 2.5),
    "flux2": Defaults(50, 1.0, 4.0),
    "flux2-klein": Defaults(50, 4.0),
    "chroma": Defaults(35, 5.0),
    "qwenimage": Defaults(50, 4.0),
    "qwenimage-edit": Defaults(50, 4.0),
    "qwenimage-edit-plus": Defaults(40, 4.0),
    "z-image": Defaults(50, 5.0),
    "cogview4": Defaults(50, 5.0),
    "pixart-alpha": Defaults(20, 4.5),
    "pixart-sigma": Defaults(20, 4.5),
    "sana": Defaults(20, 4.5),
    "auraflow": Defaults(50, 3.5),
}
_FEW_STEPS = {"LCMScheduler": 4, "TCDScheduler": 4}
"""Steps of models that were distilled for few of them, by the scheduler they name; they need no guidance."""
_SCHNELL_STEPS, _TURBO_STEPS = 4, 9
_TURBO_SHIFT = 3.0
"""The shift that the scheduler of Z-Image Turbo names; that of the base model is twice as high."""
_FILL_GUIDANCE = 30.0


def default_cfg(model: ModelDescription, has_negative: bool) -> float:
    """Return the scale of guidance for a model: switched off where there is nothing to guide away from."""
    if has_negative or makes_negative(model):
        return defaults_of(model).cfg
    return model.need_family().cfg_off


def defaults_of(model: ModelDescription) -> Defaults:
    """Return the steps and guidance that suit a model; for a family without a row, the defaults of its pipeline."""
    family = model.need_family()
    scheduler = model.classes["scheduler"].__name__
    if scheduler in _FEW_STEPS:
        return Defaults(_FEW_STEPS[scheduler], family.cfg_off)
    if family.key == "flux" and not model.config("transformer").get("guidance_embeds"):
        return Defaults(_SCHNELL_STEPS, 1.0)
    if family.key == "flux" and model.inpaints:
        return Defaults(28, 1.0, _FILL_GUIDANCE)
    if family.key == "z-image" and float(model.config("scheduler").get("shift", 0)) == _TURBO_SHIFT:
        return Defaults(_TURBO_STEPS, family.cfg_off)
    if family.key == "flux2-klein" and model.options.get("is_distilled"):
        return Defaults(_SCHNELL_STEPS, family.cfg_off)
    if family.key in _BY_FAMILY:
        return _BY_FAMILY[family.key]
    own = inspect.signature(family.pipeline().__call__).parameters
    steps = own["num_inference_steps"].default if "num_inference_steps" in own else 20
    return Defaults(int(steps), float(own[family.cfg].default) if family.cfg else family.cfg_off)
