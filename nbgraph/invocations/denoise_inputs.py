"""Inputs of denoising besides prompts: schedulers, masks, ControlNets, blended latents, other VAEs."""

from collections.abc import Iterator, Mapping
from os.path import isfile
from pathlib import Path
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.fingerprints import fingerprint_path
from nbgraph.diffusion.scheduler_names import SchedulerName
from nbgraph.errors import ModelError
from nbgraph.invocations.adapters import lora_file
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.denoise_steps import shape_problem
from nbgraph.invocations.fields import (
    ControlField,
    DenoiseMaskField,
    ImageField,
    LatentsField,
    ModelField,
    UNetField,
    VaeField,
)
from nbgraph.invocations.latents import load_latents, save_latents
from nbgraph.invocations.model_parts import like
from nbgraph.invocations.outputs import LatentsOutput
from nbgraph.texts import value_text


class SchedulerOutput(BaseInvocationOutput):
    """The name of a scheduler."""

    scheduler: SchedulerName


class DenoiseMaskOutput(BaseInvocationOutput):
    """A mask for denoising."""

    denoise_mask: DenoiseMaskField


class ControlOutput(BaseInvocationOutput):
    """A ControlNet and its control image."""

    control: ControlField


class VaeOutput(BaseInvocationOutput):
    """An autoencoder."""

    vae: VaeField


@invocation("scheduler", title="Scheduler", category="latents", version="1.0.0", static=True)
class Scheduler(BaseInvocation):
    """A scheduler by name, for several nodes to share; `default` is the model's own."""

    scheduler: SchedulerName = Field("default", description="Sampling method; default is the model's own")

    def invoke(self, context: InvocationContext) -> SchedulerOutput:
        return SchedulerOutput(scheduler=self.scheduler)


@invocation("vae_loader", title="VAE", category="model", version="1.1.0", static=True)
class VaeLoader(BaseInvocation):
    """A VAE on its own, by its name in this studio, or by the path of its folder or file.

    A file does not say how latents are scaled: that is taken from the model it is used with, `like=model.vae`, or
    `unet=transformer` for a denoiser that was loaded without a VAE.
    """

    vae_model: str = Field(
        title="VAE", description="Autoencoder by its name in this studio, or the path of its folder or file"
    )
    like: VaeField | None = Field(None, description="VAE of the model a file is used with, whose scaling it takes")
    unet: UNetField | None = Field(
        None, title="Denoiser", description="Denoiser that a file is used with, where there is no VAE to be like"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from model_problem(known, "vae_model", "vae", context, "like", "unet")

    def invoke(self, context: InvocationContext) -> VaeOutput:
        return VaeOutput(vae=VaeField(model=context.models.resolve(self.vae_model, like(self.like or self.unet))))


@invocation("controlnet", title="ControlNet", category="latents", version="1.1.0", static=True)
class ControlNet(BaseInvocation):
    """A ControlNet that guides denoising by an image: how strongly, and from which to which share of the steps."""

    image: ImageField = Field(
        title="Control image",
        description="Control image of the kind the ControlNet was trained on, such as Canny edges",
    )
    control_model: str = Field(
        title="ControlNet", description="ControlNet by its name in this studio, or the path of its folder or file"
    )
    like: UNetField | None = Field(None, description="UNet whose sizes a file has, where these are not known here")
    control_weight: float = Field(
        1.0,
        ge=-2,
        le=2,
        title="Weight",
        description="How strongly the control image counts; 0 switches it off, 1 is as trained",
    )
    begin_step_percent: float = Field(
        0.0, ge=0, le=1, title="Begin", description="Share of the steps, 0 to 1, at which it begins to take effect"
    )
    end_step_percent: float = Field(
        1.0, ge=0, le=1, title="End", description="Share of the steps, 0 to 1, at which it ceases to take effect"
    )
    mode: int | None = Field(
        None,
        ge=0,
        le=255,
        title="Task",
        description="Task of a ControlNet for several (union), by the number that its description gives it",
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from model_problem(known, "control_model", "controlnet", context, "like")
        yield from span_problem(known)

    def invoke(self, context: InvocationContext) -> ControlOutput:
        control = ControlField(
            model=context.models.resolve(self.control_model, like(self.like)),
            image=self.image,
            weight=self.control_weight,
            begin=self.begin_step_percent,
            end=self.end_step_percent,
            mode=self.mode,
        )
        return ControlOutput(control=control)


@invocation("control_lora", title="Control LoRA", category="latents", version="1.0.0", static=True)
class ControlLora(BaseInvocation):
    """A control LoRA of FLUX.1, such as Canny or Depth, and the image that it guides denoising by, at all steps.

    The denoiser sees the image beside the latents. It is linked to `control` of the denoising node, as a ControlNet is.
    """

    image: ImageField = Field(
        title="Control image",
        description="Control image of the kind the LoRA was trained on, such as Canny edges or a depth map",
    )
    lora: Path = Field(
        title="Control LoRA", description="Control LoRA by its name in this studio, or the path of its file"
    )
    weight: float = Field(1.0, ge=0, le=2, description="How strongly the LoRA counts; 1 is as trained")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        lora = None if known.get("lora") is None else lora_file(known["lora"], context)
        if lora is not None and not isfile(lora):
            yield "lora", f"there is no file {value_text(str(lora))} (looked in {Path.cwd()})"
        elif lora is not None and (problem := diffusion.control_lora_problem(lora)):
            yield "lora", problem

    def invoke(self, context: InvocationContext) -> ControlOutput:
        path = str(lora_file(self.lora, context))
        control = ControlField(
            model=ModelField(name=path, path=path, fingerprint=fingerprint_path(path)),
            image=self.image,
            weight=self.weight,
            begin=0.0,
            end=1.0,
            is_lora=True,
        )
        return ControlOutput(control=control)


@invocation("create_denoise_mask", title="Denoise mask", category="inpaint", version="1.3.0", static=True)
class CreateDenoiseMask(BaseInvocation):
    """A mask for denoising: white is denoised, black is kept; `soft` blends the two along grey edges.

    With `differential` grey is how much is changed, as if each pixel had its own `denoising_start`: half grey is
    denoised for the second half of the steps.

    A mask with an alpha channel counts by brightness times opacity, so transparent is kept. The latents that are
    denoised are kept where the mask is black. If these are partly denoised, to be continued in a second node, give the
    latents of the image to keep as `latents`. Models for inpainting
    are shown the image without what is masked: give them `image` and `vae`.
    """

    mask: ImageField = Field(description="White is denoised, black is kept; transparent counts as black")
    soft: bool = Field(False, description="Blend along grey edges instead of a hard border")
    differential: bool = Field(
        False, description="Take grey as how much is changed: each pixel is denoised for the last steps of its share"
    )
    latents: LatentsField | None = Field(
        None,
        title="Latents to keep",
        description="Latents to keep where the mask is black, if not those that are denoised",
    )
    image: ImageField | None = Field(
        None, description="Image that the mask belongs to; models for inpainting need it, others ignore it"
    )
    vae: VaeField | None = Field(None, title="VAE", description="Autoencoder of the model for inpainting")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if known.get("soft") and known.get("differential"):
            yield "soft", "and differential are two meanings of grey; choose one"
        if {"image", "vae"} <= known.keys() and (known["image"] is None) != (known["vae"] is None):
            lacking, given = ("image", "vae") if known["image"] is None else ("vae", "image")
            yield lacking, f"is left out, and {given} is given; a model for inpainting needs both"
        if isinstance(mask := known.get("mask"), ImageField) and isinstance(image := known.get("image"), ImageField):
            sizes = [(each.width, each.height) for each in map(context.images.record, (mask, image))]
            if problem := shape_problem(*sizes):
                yield "mask", problem

    def invoke(self, context: InvocationContext) -> DenoiseMaskOutput:
        field = DenoiseMaskField(
            mask=self.mask,
            soft=self.soft,
            differential=self.differential,
            latents=self.latents,
            image=self.image,
            vae=self.vae,
        )
        return DenoiseMaskOutput(denoise_mask=field)


@invocation("lblend", title="Blend latents", category="latents", version="1.0.0")
class BlendLatents(BaseInvocation):
    """Latents between two others of one size, along the sphere they lie on: 0 is the first, 1 is the second."""

    latents_a: LatentsField = Field(title="First latents", description="Latents at 0")
    latents_b: LatentsField = Field(title="Second latents", description="Latents at 1, of the same size")
    alpha: float = Field(0.5, ge=0, le=1, title="Blend", description="Share of the second latents, 0 to 1")

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        first, second = load_latents(context, self.latents_a), load_latents(context, self.latents_b)
        return save_latents(context, diffusion.blend_latents(first, second, self.alpha))


def model_problem(
    known: Mapping[str, Any], field: str, component: str, context: InvocationContext, *used_with: str
) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) if there is no model of that name, or it has no component of that kind.

    `used_with` are the inputs with models that a file is used with; a file is not judged before all of them are known.
    """
    if not known.keys() >= {field, *used_with}:
        return
    try:
        # only headers are read, so a wrong file is refused before any node runs
        model = context.models.resolve(known[field], like(next(filter(None, map(known.get, used_with)), None)))
        context.models.describe(model).component_names(component)
        diffusion.check_weights(model, component)
    except ModelError as error:
        yield field, str(error)


def span_problem(known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) if the end of an effect is not after its beginning."""
    begin, end = known.get("begin_step_percent", 0.0), known.get("end_step_percent", 1.0)
    if begin >= end:
        yield "end_step_percent", f"is {end}, and must be more than begin_step_percent, which is {begin}"
