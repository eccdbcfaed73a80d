"""ControlNets: pictures that steer the denoising, each with its own network, weight and span of steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.families import Family, family
from nbgraph.errors import ModelError


@dataclass(frozen=True)
class Control:
    """One ControlNet at work: its module, its picture, how strongly and over which share of the steps it steers.

    The picture is resized to the size of what is drawn. `start` and `end` are shares of all steps, 0 to 1.
    """

    module: Any
    image: Image.Image
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0


def controlled_family(components: Components) -> Family:
    """The family of pipelines that takes ControlNets for this model; `ModelError` when none is supported."""
    plain = components.model.need_family()
    if plain.key not in ("stable-diffusion", "stable-diffusion-xl"):
        raise ModelError(f"ControlNets work with Stable Diffusion 1.5 and XL, and this model is of {plain.key!r}")
    return family(f"{plain.key}-controlnet")


def control_arguments(controls: Sequence[Control]) -> dict[str, Any]:
    """The keyword arguments of a ControlNet pipeline; `ModelError` for a span that ends before it starts."""
    for control in controls:
        if not 0 <= control.start < control.end <= 1:
            raise ModelError(
                f"a ControlNet cannot steer from {control.start} to {control.end}: both are shares of the "
                "steps between 0 and 1, and the start comes first"
            )
    return {
        "image": [control.image.convert("RGB") for control in controls],
        "controlnet_conditioning_scale": [float(control.weight) for control in controls],
        "control_guidance_start": [control.start for control in controls],
        "control_guidance_end": [control.end for control in controls],
    }
