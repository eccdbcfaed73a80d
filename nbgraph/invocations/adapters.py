"""Nodes that patch a model: LoRA, CLIP skip, seamless tiling, FreeU. Each patch is part of the cache key.

These nodes only name the patches; the weights are loaded by the nodes that use the model, and shared weights stay as
they are.
"""

from collections.abc import Iterator, Mapping
from os.path import isdir, isfile
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.refs import (
    ClipSkipPatch,
    FreeuPatch,
    LoraPatch,
    Patch,
    SeamlessPatch,
    StepCacheName,
    StepCachePatch,
)
from nbgraph.diffusion.what_is import what_is
from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import ClipField, ModelField, UNetField, Vae, VaeField
from nbgraph.texts import value_text

Part = TypeVar("Part", UNetField, ClipField, VaeField)


class LoraOutput(BaseInvocationOutput):
    """The denoiser and the text encoders with the LoRA over them."""

    unet: UNetField
    clip: ClipField


class ClipOutput(BaseInvocationOutput):
    """The text encoders of a model."""

    clip: ClipField


class UNetOutput(BaseInvocationOutput):
    """The denoiser of a model."""

    unet: UNetField


class SeamlessOutput(BaseInvocationOutput):
    """The denoiser and the autoencoder, both wrapping around."""

    unet: UNetField
    vae: VaeField


UNET_FAMILIES = {"stable-diffusion", "stable-diffusion-xl"}
"""Families whose LoRAs are distinguished from all others by the names in their header."""


@invocation("lora_loader", title="LoRA", category="model", version="1.0.0", use_cache=False, static=True)
class LoraLoader(BaseInvocation):
    """A LoRA from a .safetensors file over the denoiser and the text encoders; several are put one after the other."""

    lora: Path = Field(
        title="LoRA", description="LoRA by its name in this studio, or the path of its .safetensors file or folder"
    )
    weight: float = Field(
        0.75, ge=-10, le=10, description="How strongly the LoRA counts; 0 switches it off, negative reverses it"
    )
    clip_weight: float | None = Field(
        None, ge=-10, le=10, description="How strongly it counts in the text encoders; as in the denoiser without"
    )
    unet: UNetField = Field(
        title="Denoiser",
        description="Part of a model that removes noise, from a Model node or one that changes it, such as LoRA",
    )
    clip: ClipField = Field(
        title="Text encoders",
        description="Part of a model that reads prompts, from a Model node or one that changes it, such as LoRA",
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        lora = None if known.get("lora") is None else lora_file(known["lora"], context)
        if lora is not None and not isfile(lora):
            text = f"there is no file {value_text(str(lora))} (looked in {Path.cwd()})"
            yield "lora", f"{text}; give the path of a .safetensors file, or its name in studio.models"
        elif lora is not None and lora.suffix != ".safetensors":
            yield "lora", f"is {lora.name!r}, and a LoRA must be a .safetensors file; pickles are never loaded"
        elif lora is not None and (problem := diffusion.lora_problem(lora)):
            yield "lora", problem
        elif lora is not None and "unet" in known:
            if problem := diffusion.lora_problem_over(known["unet"].model.precision):
                yield "unet", problem
            yield from _base_problem(lora, known["unet"].model, context)

    def invoke(self, context: InvocationContext) -> LoraOutput:
        patch = LoraPatch.from_file(str(lora_file(self.lora, context)), weight=self.weight)
        for part in (self.unet, self.clip):
            laid = [each for each in part.model.patches if isinstance(each, LoraPatch)]
            if any(each.fingerprint == patch.fingerprint for each in laid):
                text = f"the LoRA {self.lora.name!r} is applied to this model already; change its weight there"
                raise NbgraphError(text)
        if tokens := diffusion.embedding_tokens(patch.path):
            context.warn(
                f"{self.lora.name!r} also holds embeddings ({', '.join(tokens)}), which a LoRA node does not apply; "
                "give the same file to a TextualInversion node"
            )
        weight = self.weight if self.clip_weight is None else self.clip_weight
        text_patch = patch.model_copy(update={"weight": weight})
        return LoraOutput(unet=patched(self.unet, patch), clip=patched(self.clip, text_patch))


def lora_file(given: Path, context: InvocationContext) -> Path:
    """Return the file of a LoRA by its name in this studio, its path, or that of a folder that holds no other file."""
    path = Path(context.models.file_of(str(given)))
    files = sorted(path.glob("*.safetensors")) if isdir(path) else []
    return files[0] if len(files) == 1 else path


def _base_problem(lora: Path, model: ModelField, context: InvocationContext) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) if the header of a LoRA says that it is for models of another family."""
    try:
        facts, family = what_is(lora), context.models.describe(model).family
    except NbgraphError:
        return  # the node that names the model says so
    # transformers of several families name their blocks alike: which of them a file fits is seen by its shapes
    if (
        facts.family
        and family is not None
        and facts.family != family.key
        and {facts.family, family.key} & UNET_FAMILIES
    ):
        base = " ".join(filter(None, (facts.family, facts.variant)))
        yield "lora", f"is a LoRA for models of {base}, and this model is of {family.key}; use one for that"


@invocation("clip_skip", title="CLIP skip", category="model", version="1.0.0", static=True)
class ClipSkip(BaseInvocation):
    """The text encoders read so many layers before their last one."""

    clip: ClipField = Field(
        title="Text encoders",
        description="Part of a model that reads prompts, from a Model node or one that changes it, such as LoRA",
    )
    skipped_layers: int = Field(
        0, ge=0, le=23, description="Layers at the end of each text encoder that are not used; 0 uses all"
    )

    def invoke(self, context: InvocationContext) -> ClipOutput:
        return ClipOutput(clip=patched(self.clip, ClipSkipPatch(layers=self.skipped_layers)))


@invocation("seamless", title="Seamless", category="model", version="1.0.0", static=True)
class Seamless(BaseInvocation):
    """Pictures that tile along the axes: denoiser and autoencoder wrap around; of models with a UNet."""

    unet: UNetField = Field(
        title="Denoiser",
        description="Part of a model that removes noise, from a Model node or one that changes it, such as LoRA",
    )
    vae: Vae
    seamless_x: bool = Field(True, title="Horizontally", description="Tile from left to right")
    seamless_y: bool = Field(True, title="Vertically", description="Tile from top to bottom")

    def invoke(self, context: InvocationContext) -> SeamlessOutput:
        chosen: tuple[tuple[Literal["x", "y"], bool], ...] = (("x", self.seamless_x), ("y", self.seamless_y))
        axes: tuple[Literal["x", "y"], ...] = tuple(axis for axis, wanted in chosen if wanted)
        if not axes:
            return SeamlessOutput(unet=self.unet, vae=self.vae)
        patch = SeamlessPatch(axes=axes)
        return SeamlessOutput(unet=patched(self.unet, patch), vae=patched(self.vae, patch))


@invocation("freeu", title="FreeU", category="model", version="1.0.0", static=True)
class FreeU(BaseInvocation):
    """More detail from a UNet at no cost: its backbone scaled by b1 and b2, its skip connections by s1 and s2."""

    unet: UNetField = Field(
        title="Denoiser",
        description="Part of a model that removes noise, from a Model node or one that changes it, such as LoRA",
    )
    b1: float = Field(
        1.2,
        ge=-1,
        le=3,
        title="Backbone 1",
        description="Factor of the first backbone stage; above 1 strengthens shapes",
    )
    b2: float = Field(1.4, ge=-1, le=3, title="Backbone 2", description="Factor of the second backbone stage")
    s1: float = Field(
        0.9,
        ge=-1,
        le=3,
        title="Skip 1",
        description="Factor of the first skip connections; below 1 weakens fine texture",
    )
    s2: float = Field(0.2, ge=-1, le=3, title="Skip 2", description="Factor of the second skip connections")

    def invoke(self, context: InvocationContext) -> UNetOutput:
        return UNetOutput(unet=patched(self.unet, FreeuPatch(b1=self.b1, b2=self.b2, s1=self.s1, s2=self.s2)))


@invocation("step_cache", title="Step cache", category="model", version="1.0.0", static=True)
class StepCache(BaseInvocation):
    """Fewer computations for a picture that differs a little: parts of a step are used again at the next.

    `first_block` skips a step whose first block changed by less than the threshold; `pyramid` and `faster` compute the
    attention at one of so many steps. For transformers that diffusers caches: Flux, FLUX.2, Chroma, Qwen-Image,
    CogView 4.
    """

    unet: UNetField = Field(
        title="Denoiser",
        description="Part of a model that removes noise, from a Model node or one that changes it, such as LoRA",
    )
    method: StepCacheName = Field("first_block", description="What is computed at some steps only")
    threshold: float = Field(
        0.05, ge=0, le=10, description="For first_block: change up to which a step is skipped; higher skips more"
    )
    every: int = Field(2, ge=2, le=100, description="For pyramid and faster: compute attention at one of so many steps")

    def invoke(self, context: InvocationContext) -> UNetOutput:
        patch = StepCachePatch(method=self.method, threshold=self.threshold, every=self.every)
        return UNetOutput(unet=patched(self.unet, patch))


def patched(part: Part, patch: Patch) -> Part:
    """Return a part of a model with one more patch."""
    model = part.model.model_copy(update={"patches": (*part.model.patches, patch)})
    return part.model_copy(update={"model": model})
