"""How many reference images of which sizes the models of a family take, and what is wrong with those that are given."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.families import Family


@dataclass(frozen=True)
class ReferenceLimits:
    """How many reference images of which sizes, in pixels, the pipeline of a family takes."""

    least: int = 0
    most: int | None = None
    """None where the pipeline has no limit."""
    shortest_side: int = 1
    widest_ratio: float | None = None


_LIMITS = {
    "flux-kontext": ReferenceLimits(most=1),
    "flux2": ReferenceLimits(shortest_side=64, widest_ratio=8),
    "flux2-klein": ReferenceLimits(shortest_side=64, widest_ratio=8),
    "qwenimage-edit": ReferenceLimits(least=1, most=1),
    "qwenimage-edit-plus": ReferenceLimits(least=1),
}
"""The families that take reference images. What their pipelines accept and would pass over in silence, such as the
second image of Kontext, is refused here."""

_SCALING = (
    "latent_channels", "z_dim", "scaling_factor", "shift_factor", "latents_mean", "latents_std", "batch_norm_eps",
)  # fmt: skip
"""What a VAE's configuration says of how its latents are scaled."""


def limits_of(family: Family) -> ReferenceLimits | None:
    """Return how many reference images models of a family take; None if they take none."""
    return _LIMITS.get(family.key)


def reads_images(family: Family) -> bool:
    """Return whether the text encoder of a family reads the reference images together with the instruction."""
    pipeline: Any = family.pipeline()
    return family.key in _LIMITS and "image" in inspect.signature(pipeline.encode_prompt).parameters


def needs_images(family: Family) -> bool:
    """Return whether models of a family draw nothing without a reference image."""
    return family.key in _LIMITS and _LIMITS[family.key].least > 0


def reference_problem(family: Family, sizes: Sequence[tuple[int, int]] | None) -> str:
    """Return what is wrong with reference images of those (width, height) for a family; "" if nothing is.

    `sizes` None are some images, whose number and sizes are not known yet.
    """
    limits = limits_of(family)
    if sizes == [] and limits is None:
        return ""
    if limits is None:
        return (
            f"models of the family {family.key!r} take no reference images (those of {', '.join(sorted(_LIMITS))} do); "
            "leave them out, or give the image as latents"
        )
    if sizes is None:
        return ""
    count = len(sizes)
    if count < limits.least:
        return (
            f"models of the family {family.key!r} edit an image and need it as a reference; link "
            "Reference(image=..., vae=...)"
        )
    if limits.most is not None and count > limits.most:
        return (
            f"there are {count} reference images, and models of the family {family.key!r} take {limits.most}; put them "
            "into one by ImageGrid, or choose one"
        )
    for number, (width, height) in enumerate(sizes, start=1):
        if min(width, height) < limits.shortest_side:
            return (
                f"reference image {number} is {width}x{height}, and models of the family {family.key!r} need at least "
                f"{limits.shortest_side} pixels on each side; enlarge it by ResizeImage"
            )
        if limits.widest_ratio is not None and max(width / height, height / width) > limits.widest_ratio:
            return (
                f"reference image {number} is {width}x{height}, and models of the family {family.key!r} take sides of "
                f"at most {limits.widest_ratio:g} to 1; crop it by CropImage"
            )
    return ""


def vae_problem(model: ModelDescription, other: ModelDescription) -> str:
    """Return what is wrong with encoding the images for a model by the VAE of another, "" if they scale alike.

    The VAE of a model of the same kind, or one alone, is as good as the model's own.
    """
    if model.vae is None or other.vae is None:
        return ""
    differing = [name for name in _SCALING if model.vae.config.get(name) != other.vae.config.get(name)]
    if not differing:
        return ""
    return (
        f"is encoded by the VAE of {str(other.folder)!r}, whose {' and '.join(differing)} "
        f"{'is' if len(differing) == 1 else 'are'} not that of {str(model.folder)!r}; use the VAE of the same model"
    )


def processor_problem(model: ModelDescription) -> str:
    """Return what is missing to read images by the processor of a model, "" if nothing is.

    Processors of vision-language models bring one for videos, which transformers only loads with torchvision.
    """
    processor: Any = model.classes.get("processor")
    attributes = processor.get_attributes() if hasattr(processor, "get_attributes") else ()
    if "video_processor" not in attributes or find_spec("torchvision") is not None:
        return ""
    return (
        f"{str(model.folder)!r} reads images by a {processor.__name__}, which needs the package torchvision; install "
        "the version that belongs to your torch"
    )
