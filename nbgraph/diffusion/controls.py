"""ControlNets: control images, each with its own network, weight and range of steps."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from PIL import Image
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.families import Family, family
from nbgraph.diffusion.finite import check_finite
from nbgraph.diffusion.latent_controls import NETS, TAKES_OVER, encoding_means, latent_control_arguments
from nbgraph.diffusion.loop import Loop
from nbgraph.diffusion.patches import share_weights
from nbgraph.diffusion.spans import check_span
from nbgraph.errors import ModelError
from nbgraph.image_modes import on_white

FAMILIES = ("stable-diffusion", "stable-diffusion-xl", *NETS)
_UNION = "ControlNetUnionModel"
_SHAPE = ("in_channels", "block_out_channels", "cross_attention_dim", "addition_embed_type")
"""What the configurations of a ControlNet and of the UNet it was made for have in common."""


@dataclass(frozen=True)
class Control:
    """One ControlNet in use: its module, its image, its weight and its range of steps.

    The image is resized to the size of the result. `start` and `end` are shares of all steps, 0 to 1. `mode` is the
    task of a ControlNet for several (union).
    """

    module: Any
    image: Image.Image
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mode: int | None = None


def controlled_family(components: Components, controls: Sequence[Control]) -> Family:
    """Return the family of pipelines that takes these ControlNets for this model.

    Raises
    ------
    ModelError
        There is none, or ControlNets of one task and of several are given together.
    """
    plain = components.model.need_family()
    if plain.key not in FAMILIES:
        raise ModelError(f"ControlNets work with models of {', '.join(FAMILIES)}, and this model is of {plain.key!r}")
    of_several = [type(control.module).__name__ == _UNION for control in controls]
    if not any(of_several):
        return family(f"{plain.key}-controlnet")
    if plain.key != "stable-diffusion-xl" or not all(of_several):
        raise ModelError(
            "a ControlNetUnionModel, for several tasks, works with Stable Diffusion XL, and beside others of its kind "
            f"alone; this model is of {plain.key!r}, and there are {len(of_several) - sum(of_several)} others"
        )
    return family("stable-diffusion-xl-controlnet-union")


def control_arguments(components: Components, controls: Sequence[Control]) -> dict[str, Any]:
    """Return the keyword arguments of a ControlNet pipeline; {} without any.

    Raises
    ------
    ModelError
        A ControlNet of another model, or a range that ends before it starts.
    """
    if not controls:
        return {}
    of = controlled_family(components, controls)
    for control in controls:
        check_span("a ControlNet cannot steer", control.start, control.end)
        _check_mode(control)
    weights = [float(control.weight) for control in controls]
    call = {**_image_arguments(components, controls), "controlnet_conditioning_scale": weights}
    if any(control.mode is not None for control in controls):
        call["control_mode"] = [control.mode for control in controls]
        if of.key == "flux-controlnet" and len(controls) == 1:
            call["control_mode"] = controls[0].mode
    if "control_guidance_start" not in of.parameters:
        return {**call, "controlnet_conditioning_scale": weights[0]}  # it takes one, and `checked_net` keeps its span
    return {
        **call,
        "control_guidance_start": [control.start for control in controls],
        "control_guidance_end": [control.end for control in controls],
    }


def _check_mode(control: Control) -> None:
    """Raise `ModelError` for a ControlNet of several tasks without its task, or of one with a task."""
    config = control.module.config
    tasks = config.get("num_control_type") if type(control.module).__name__ == _UNION else config.get("num_mode")
    if tasks is None and control.mode is not None:
        raise ModelError(f"the ControlNet is for one task, and is given the task {control.mode}; leave it out")
    if tasks is not None and (control.mode is None or not 0 <= control.mode < tasks):
        raise ModelError(
            f"the ControlNet is for {tasks} tasks (union), and mode is {control.mode}; give the number of the task, 0 "
            f"to {tasks - 1}, as the description of the ControlNet lists them"
        )


def _image_arguments(components: Components, controls: Sequence[Control]) -> dict[str, Any]:
    if components.model.need_family().key in NETS:
        images = [control.image for control in controls]
        return latent_control_arguments(components, [control.module for control in controls], images)
    for control in controls:
        _check_fits(components, control)
    name = "control_image" if type(controls[0].module).__name__ == _UNION else "image"
    return {name: [on_white(control.image) for control in controls]}


def control_modules(components: Components, controls: Sequence[Control], loop: Loop | None) -> dict[str, Any]:
    """Return what a ControlNet pipeline has beside the modules of the plain one: the nets, and the VAE they share."""
    nets = [checked_net(control, number, loop) for number, control in enumerate(controls, start=1)]
    if components.model.need_family().key not in NETS:
        # for one net of several tasks the pipeline takes no list
        single = len(nets) == 1 and type(controls[0].module).__name__ == _UNION
        return {"controlnet": nets[0] if single else nets}
    return {"controlnet": nets if len(nets) > 1 else nets[0], "vae": encoding_means(components["vae"])}


def checked_net(control: Control, number: int, loop: Loop | None = None) -> Any:
    """Return the ControlNet for one run, which raises `ModelError` where it gives values that are not finite.

    One whose pipeline steers over all steps gives nothing outside of its span.
    """
    # a copy of the object over the same weights: other runs use the module too
    checked = copy.copy(control.module)
    whole = type(control.module).__name__ in TAKES_OVER
    if whole:
        checked = share_weights(control.module)  # its pipeline puts parts of the transformer into it
    plain = cast(Any, type(control.module)).forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        given = plain(checked, *args, **kwargs)
        for residual in _tensors(given):
            check_finite(residual, f"ControlNet {number}", control.module.dtype)
        if whole and loop is not None and not loop.within(control.start, control.end):
            return {place: residual * 0 for place, residual in given.items()}
        return given

    checked.forward = forward
    return checked


def _tensors(given: Any) -> Iterator[Tensor]:
    """Yield the tensors of what a ControlNet gives: one, or a tuple, list or mapping of what holds some."""
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, Mapping):
        yield from _tensors(list(cast(Mapping[str, Any], given).values()))
    elif given is not None:
        for each in given:
            yield from _tensors(each)


def _check_fits(components: Components, control: Control) -> None:
    # A model for inpainting is given more than its ControlNet, which sees the latents alone.
    ours = {**components["unet"].config, "in_channels": components.model.latent_channels}
    theirs = control.module.config
    different = [
        f"{name} {theirs.get(name)} instead of {ours.get(name)}"
        for name in _SHAPE
        if _plain(theirs.get(name)) != _plain(ours.get(name))
    ]
    if different:
        raise ModelError(
            f"the ControlNet was made for another model than {str(components.model.folder)!r}: "
            f"{', '.join(different)}; use one for {components.model.need_family().key!r} models of that kind"
        )


def _plain(value: Any) -> Any:
    return tuple(cast(list[Any], value)) if isinstance(value, list) else value
