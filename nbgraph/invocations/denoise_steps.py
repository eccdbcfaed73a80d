"""The steps that a denoise node runs, and the problems that can be found before."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from nbgraph import diffusion
from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import InvocationContext
from nbgraph.invocations.fields import ModelField

Item = TypeVar("Item")
MOST_STEPS = 1000
_SAME_SHAPE = 0.02
"""Relative difference of two ratios of width to height up to which they are one shape, cut to whole latents."""


def sampling_options(shift: float | None, spacing: Any, sigmas: list[float] | None) -> Any:
    return diffusion.SamplingOptions(shift, spacing, None if sigmas is None else tuple(sigmas))


def mask_problem(inpaints: bool, known: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return (field, problem) if a mask lacks an input that the model needs; unknown inputs are not judged."""
    if "denoise_mask" not in known:
        return None
    mask = known["denoise_mask"]
    remedy = "CreateDenoiseMask(mask=..., image=..., vae=...)"
    if inpaints and mask is None:
        return "denoise_mask", f"is left out, and the model is one for inpainting, which needs it; link {remedy}"
    if inpaints and mask.image is None:
        return "denoise_mask", f"has no image, which a model for inpainting needs; make it by {remedy}"
    if not inpaints and mask is not None and any(known.get(name, mask) is None for name in ("latents", "noise")):
        return "denoise_mask", "needs latents, which it keeps where it is black, and noise; link both"
    return None


def shape_problem(mask: tuple[int, int], image: tuple[int, int]) -> str:
    """Return what is wrong with a mask of that (width, height) for an image; "" if it has the shape of the image.

    A smaller or larger one is resized. One of another shape would be stretched, and paint elsewhere than it shows.
    """
    if abs(mask[0] * image[1] - mask[1] * image[0]) <= _SAME_SHAPE * mask[1] * image[0]:
        return ""
    return (
        f"is {mask[0]} x {mask[1]}, and the image {image[0]} x {image[1]}, of another shape; put ResizeImage or "
        "CropImage before one of them"
    )


def negative_problem(given: Any, model: ModelField, context: InvocationContext) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) for a negative prompt, linked or typed, that models of a family cannot be guided by."""
    try:
        family = None if given is None else context.models.describe(model).family
    except NbgraphError:
        return  # the node that names the model says so
    if family is not None and not diffusion.takes_negative(family):
        yield "negative", f"models of the family {family.key!r} take no negative prompt; leave it out, set guidance"


def step_at(steps: int, share: float) -> int:
    """Return the step at which a share of the steps ends."""
    return round(steps * share)


def no_step_problem(steps: int, start: float, end: float) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) if no step lies between two shares of the steps, so that nothing would be denoised."""
    first, last = step_at(steps, start), step_at(steps, end)
    if first < last:
        return
    enough = next((n for n in range(steps, 1001) if step_at(n, start) < step_at(n, end)), None)
    field, value, allowed = (
        ("denoising_start", start, f"at most {(last - 1) / steps:g}")
        if last
        else ("denoising_end", end, f"at least {(first + 1) / steps:g}")
    )
    more = f", or take at least {enough} steps" if enough else ""
    yield field, f"is {value:g}, and {steps} steps have none from {start:g} to {end:g}; give {allowed}{more}"


def listed(value: Item | list[Item] | None) -> list[Item]:
    """Return an input that takes one, several or none as a list."""
    if value is None:
        return []
    # Item is never a list itself, which no annotation can say
    return cast("list[Item]", value) if isinstance(value, list) else [value]
