"""Arguments of a pipeline's call: settings, conditioning of both kinds, and the sizes of the latents."""

import inspect
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.families import Family
from nbgraph.diffusion.finite import check_finite
from nbgraph.diffusion.sampling_options import SamplingOptions
from nbgraph.diffusion.schedulers import DEFAULT
from nbgraph.diffusion.values import Conditioning, Latents
from nbgraph.errors import ModelError


@dataclass(frozen=True)
class DenoiseSettings:
    """How to denoise.

    `cfg` is the scale of classifier-free guidance, against the negative conditioning. `guidance` is the scale that
    distilled models (Flux) take as an input; None is the pipeline's own. `start` and `end` are steps out of `steps`;
    `end` None is the last. `scheduler` is a name of `schedulers.SCHEDULER_NAMES`, and `options` change its schedule:
    with explicit sigmas there are as many steps.
    """

    steps: int = 20
    cfg: float = 7.5
    scheduler: str = DEFAULT
    start: int = 0
    end: int | None = None
    guidance: float | None = None
    options: SamplingOptions = SamplingOptions()

    def check(self) -> None:
        """Raise `ModelError` unless 0 <= start < end <= steps: at least one step is done."""
        end = self.steps if self.end is None else self.end
        if self.options.sigmas is not None and len(self.options.sigmas) != self.steps:
            raise ModelError(
                f"there are {len(self.options.sigmas)} sigmas for {self.steps} steps; give one for each step"
            )
        if self.steps < 1 or not 0 <= self.start < end <= self.steps:
            raise ModelError(
                f"cannot denoise from step {self.start} to {end} of {self.steps}: start must be before end, and both "
                "within the steps"
            )


def call_arguments(
    components: Components,
    positive: Conditioning,
    negative: Conditioning | None,
    begin: Latents,
    settings: DenoiseSettings,
) -> dict[str, Any]:
    """Return the keyword arguments of the family's pipeline, without latents and generators.

    Raises
    ------
    ModelError
        Conditioning of another family or of another number of images, or a `cfg` that needs a negative conditioning
        where there is none.
    """
    family = components.model.need_family()
    check_conditioning(family, positive, negative, begin)
    guided = settings.cfg > family.cfg_off
    call: dict[str, Any] = {"height": begin.height, "width": begin.width, "num_inference_steps": settings.steps}
    if settings.options.sigmas is not None:
        call["sigmas"] = list(settings.options.sigmas)
    call |= _embeddings(components, family, positive, len(begin), "")
    if negative is not None and guided:
        call |= _embeddings(components, family, negative, len(begin), "negative_")
    call |= _size_arguments(family, positive, negative, begin)
    if family.cfg:
        call[family.cfg] = settings.cfg if negative is not None or makes_negative(components.model) else family.cfg_off
    if guided and negative is None and family.cfg == "guidance_scale" and not makes_negative(components.model):
        raise ModelError(
            f"cfg_scale is {settings.cfg}, which guides away from a negative conditioning, and there is none; "
            f"encode an empty text for it, or set cfg_scale to {family.cfg_off:g}"
        )
    if family.guidance:
        # written out, so that a ControlNet does not bring the default of its own pipeline
        call[family.guidance] = family.usual_guidance if settings.guidance is None else settings.guidance
    if "negative_prompt" in family.parameters:
        call["negative_prompt"] = None
    if "use_resolution_binning" in family.parameters:
        call["use_resolution_binning"] = False
    return call


def check_conditioning(family: Family, positive: Conditioning, negative: Conditioning | None, begin: Latents) -> None:
    """Raise `ModelError` for conditioning that is not finite, of another family, or of another number of images."""
    prompts = [("positive", prompt) for prompt in positive.prompts]
    for name, value in [*prompts, ("negative", negative)]:
        if value is None:
            continue
        for tensor in value.tensors.values():
            check_finite(tensor, f"the {name} conditioning has")
        if value.family != family.key:
            raise ModelError(
                f"the {name} conditioning is of a model of the family {value.family!r}, and this one is of "
                f"{family.key!r}; encode the text with this model"
            )
        if name == "negative" and not takes_negative(family):
            raise ModelError(
                f"models of the family {family.key!r} take no negative prompt: their guidance is an input; leave it out"
            )
        if len(value) not in (1, len(begin)):
            raise ModelError(
                f"there are {len(value)} {name} conditionings for {len(begin)} pictures: one for all of "
                "them or one for each is needed"
            )


def _size_arguments(
    family: Family, positive: Conditioning, negative: Conditioning | None, begin: Latents
) -> dict[str, tuple[int, ...]]:
    """Return the size arguments of the pipeline.

    A negative conditioning without sizes takes those of the positive one.
    """
    sizes: dict[str, tuple[int, ...]] = {}
    for prefix, conditioning in (("", positive), ("negative_", negative)):
        size = conditioning.size if conditioning else None
        if size is None:
            continue
        if prefix + "original_size" not in family.parameters:
            raise ModelError(
                f"models of the family {family.key!r} take no original size, crop or target size"
                f"{' of a negative prompt' if prefix else ''}; encode the text with a plain Prompt"
            )
        drawn = (begin.width, begin.height)
        if size.target and f"{prefix}target_size" not in family.parameters:
            raise ModelError(f"models of the family {family.key!r} take no target size; leave it out")
        sizes |= {
            f"{prefix}original_size": (size.original or drawn)[::-1],
            f"{prefix}crops_coords_top_left": size.crop[::-1],
            f"{prefix}target_size": (size.target or drawn)[::-1],
        }
    return {name: size for name, size in sizes.items() if name in family.parameters}


def takes_negative(family: Family) -> bool:
    """Return whether the pipeline of a family can guide away from a negative prompt."""
    return any(f"negative_{name}" in family.parameters for name in family.positive)


def makes_negative(model: ModelDescription) -> bool:
    """Return whether the pipeline itself takes zeros for a missing negative conditioning."""
    name, pipeline = "force_zeros_for_empty_prompt", model.need_family().pipeline()
    own = inspect.signature(pipeline.__init__).parameters.get(name)
    return own is not None and bool(model.options.get(name, own.default))


def _embeddings(
    components: Components, family: Family, conditioning: Conditioning, pictures: int, prefix: str
) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, stored in conditioning.tensors.items():
        dtype = components.dtype if stored.is_floating_point() else stored.dtype
        tensor = stored.to(components.device, dtype)
        if len(tensor) == 1 and pictures > 1:
            tensor = tensor.repeat(pictures, *(1,) * (tensor.ndim - 1))
        if prefix + name in family.parameters:
            arguments[prefix + name] = _listed(tensor, conditioning) if family.conditioning_listed else tensor
    return arguments


def _listed(tensor: Tensor, conditioning: Conditioning) -> list[Tensor]:
    """Return the (tokens, width) of each text, without what was added to make them alike."""
    if not conditioning.lengths:
        return list(tensor)
    return [row[:length] for row, length in zip(tensor, conditioning.lengths, strict=True)]
