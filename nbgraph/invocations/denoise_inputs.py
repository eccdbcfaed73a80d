"""What steers denoising beside prompts: a scheduler by name, a mask, ControlNets, blended latents, another VAE."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.scheduler_names import SchedulerName
from nbgraph.errors import ModelError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import ControlField, DenoiseMaskField, ImageField, LatentsField, VaeField
from nbgraph.invocations.latents import load_latents, save_latents
from nbgraph.invocations.outputs import LatentsOutput


class SchedulerOutput(BaseInvocationOutput):
    """The name of a scheduler."""

    scheduler: SchedulerName


class DenoiseMaskOutput(BaseInvocationOutput):
    """Where denoising may change a picture."""

    denoise_mask: DenoiseMaskField


class ControlOutput(BaseInvocationOutput):
    """A ControlNet and its picture."""

    control: ControlField


class VaeOutput(BaseInvocationOutput):
    """An autoencoder."""

    vae: VaeField


@invocation("scheduler", title="Scheduler", category="latents", version="1.0.0", static=True)
class Scheduler(BaseInvocation):
    """A scheduler by name, for several nodes to share; `default` is the model's own."""

    scheduler: SchedulerName = "default"

    def invoke(self, context: InvocationContext) -> SchedulerOutput:
        return SchedulerOutput(scheduler=self.scheduler)


@invocation("vae_loader", title="VAE", category="model", version="1.0.0", static=True)
class VaeLoader(BaseInvocation):
    """An autoencoder of its own, by the name it has in this studio, or by the path of its folder."""

    vae_model: str

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from model_problem(known, "vae_model", "vae", context)

    def invoke(self, context: InvocationContext) -> VaeOutput:
        return VaeOutput(vae=VaeField(model=context.models.resolve(self.vae_model)))


@invocation("controlnet", title="ControlNet", category="latents", version="1.0.0", static=True)
class ControlNet(BaseInvocation):
    """A ControlNet that steers denoising by a picture: how much, and from when to when as shares of the steps."""

    image: ImageField
    control_model: str
    control_weight: float = Field(1.0, ge=-2, le=2)
    begin_step_percent: float = Field(0.0, ge=0, le=1)
    end_step_percent: float = Field(1.0, ge=0, le=1)

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from model_problem(known, "control_model", "controlnet", context)
        yield from span_problem(known)

    def invoke(self, context: InvocationContext) -> ControlOutput:
        control = ControlField(
            model=context.models.resolve(self.control_model),
            image=self.image,
            weight=self.control_weight,
            begin=self.begin_step_percent,
            end=self.end_step_percent,
        )
        return ControlOutput(control=control)


@invocation("create_denoise_mask", title="Denoise mask", category="inpaint", version="1.1.0", static=True)
class CreateDenoiseMask(BaseInvocation):
    """A mask for denoising: what is white is painted anew, what is black is kept; soft lets the two run together.

    A mask with an alpha channel counts by brightness times opacity: what is transparent is kept.
    What is kept is of the latents that are denoised. Where these stopped part-way, to go on in a second node, `latents`
    are those of the picture that is kept.
    """

    mask: ImageField
    soft: bool = False
    latents: LatentsField | None = None

    def invoke(self, context: InvocationContext) -> DenoiseMaskOutput:
        return DenoiseMaskOutput(denoise_mask=DenoiseMaskField(mask=self.mask, soft=self.soft, latents=self.latents))


@invocation("lblend", title="Blend latents", category="latents", version="1.0.0")
class BlendLatents(BaseInvocation):
    """Latents between two others of one size, along the sphere they lie on: 0 is the first, 1 is the second."""

    latents_a: LatentsField
    latents_b: LatentsField
    alpha: float = Field(0.5, ge=0, le=1)

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        first, second = load_latents(context, self.latents_a), load_latents(context, self.latents_b)
        return save_latents(context, diffusion.blend_latents(first, second, self.alpha))


def model_problem(
    known: Mapping[str, Any], field: str, component: str, context: InvocationContext
) -> Iterator[tuple[str, str]]:
    """(field, problem) if there is no model of that name, or it has no component of the kind."""
    if field not in known:
        return
    try:
        model = context.models.resolve(known[field])
        context.models.describe(model).component_names(component)
        diffusion.check_weights(model, component)
    except ModelError as error:
        yield field, str(error)


def span_problem(known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, problem) if something begins to steer when it has ended."""
    begin, end = known.get("begin_step_percent", 0.0), known.get("end_step_percent", 1.0)
    if begin >= end:
        yield "end_step_percent", f"is {end}, and must be more than begin_step_percent, which is {begin}"
