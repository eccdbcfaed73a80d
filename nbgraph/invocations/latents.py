"""Latents: denoising, and the ways between latents and pictures."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Literal

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.scheduler_names import SchedulerName
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import (
    ConditioningField,
    ControlField,
    DenoiseMaskField,
    ImageField,
    LatentsField,
    UNetField,
    VaeField,
)
from nbgraph.invocations.outputs import ImageOutput, LatentsOutput

Interpolation = Literal["nearest", "bilinear", "bicubic", "area", "nearest-exact"]


def save_latents(context: InvocationContext, latents: Any) -> LatentsOutput:
    """Keep latents and give the output that names them."""
    field = LatentsField(latents_name=context.tensors.save(latents))
    return LatentsOutput(latents=field, width=latents.width, height=latents.height)


@invocation("denoise_latents", title="Denoise", category="latents", version="1.1.0")
class DenoiseLatents(BaseInvocation):
    """Denoises: from noise alone to a new picture, from latents and noise to a changed one.

    `denoising_start` and `denoising_end` are shares of the steps: 0.3 to 1.0 keeps what the latents show in coarse
    lines. A mask keeps the latents where it is black; ControlNets steer by other pictures, one or a list of them.
    """

    unet: UNetField
    positive: ConditioningField
    negative: ConditioningField | None = None
    noise: LatentsField | None = None
    latents: LatentsField | None = None
    denoise_mask: DenoiseMaskField | None = None
    control: ControlField | list[ControlField] | None = None
    steps: int = Field(20, ge=1, le=1000)
    cfg_scale: float = Field(7.5, ge=0)
    scheduler: SchedulerName = "default"
    denoising_start: float = Field(0.0, ge=0, le=1)
    denoising_end: float = Field(1.0, ge=0, le=1)

    @classmethod
    def arrival_problems(cls, linked: set[str]) -> Iterator[str]:
        if not linked & {"noise", "latents"}:
            yield "needs noise, or latents, or both to start from; link Noise(...) to noise"
        elif "denoise_mask" in linked and not {"noise", "latents"} <= linked:
            yield "has a denoise_mask, and needs latents, which it keeps, and noise; link both"

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        start, end = known.get("denoising_start", 0.0), known.get("denoising_end", 1.0)
        if start >= end:
            yield "denoising_end", f"is {end}, and must be more than denoising_start, which is {start}"

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        settings = diffusion.DenoiseSettings(
            steps=self.steps,
            cfg=self.cfg_scale,
            scheduler=self.scheduler,
            start=round(self.steps * self.denoising_start),
            end=round(self.steps * self.denoising_end),
        )
        factors = context.models.preview_factors(self.unet.model) if context.wants_previews else None
        with ExitStack() as held:
            components = held.enter_context(context.models.use(self.unet.model, "denoiser"))
            done = diffusion.denoise(
                components,
                self._conditioning(context, self.positive),
                self._conditioning(context, self.negative),
                noise=self._latents(context, self.noise),
                latents=self._latents(context, self.latents),
                settings=settings,
                mask=self._mask(context),
                controls=[self._control(context, control, held) for control in self._controls()],
                on_step=lambda step, steps, preview: context.progress(step, steps, preview),
                cancelled=context.is_cancelled,
                factors=factors,
            )
        return save_latents(context, done)

    def _mask(self, context: InvocationContext) -> Any:
        if self.denoise_mask is None or self.latents is None:
            return None
        kept, mask = load_latents(context, self.latents), context.images.get(self.denoise_mask.mask)
        model = context.models.describe(self.unet.model)
        return diffusion.latent_mask(model, mask, kept.width, kept.height, self.denoise_mask.soft)

    def _controls(self) -> list[ControlField]:
        if self.control is None:
            return []
        return self.control if isinstance(self.control, list) else [self.control]

    @staticmethod
    def _control(context: InvocationContext, control: ControlField, held: ExitStack) -> Any:
        nets = held.enter_context(context.models.use(control.model, "controlnet"))
        image = context.images.get(control.image)
        return diffusion.Control(nets["controlnet"], image, control.weight, control.begin, control.end)

    @staticmethod
    def _conditioning(context: InvocationContext, field: ConditioningField | None) -> Any:
        if field is None:
            return None
        return diffusion.Conditioning.from_tensors(*context.tensors.get(field.conditioning_name))

    @staticmethod
    def _latents(context: InvocationContext, field: LatentsField | None) -> Any:
        return None if field is None else load_latents(context, field)


def load_latents(context: InvocationContext, field: LatentsField) -> Any:
    """The latents a field names."""
    return diffusion.Latents.from_tensors(*context.tensors.get(field.latents_name))


@invocation("l2i", title="Latents to image", category="latents", version="1.0.0")
class LatentsToImage(BaseInvocation):
    """Decodes latents to a picture; `tiled` takes less memory for large ones."""

    latents: LatentsField
    vae: VaeField
    tiled: bool = False

    def invoke(self, context: InvocationContext) -> ImageOutput:
        latents = load_latents(context, self.latents)
        with context.models.use(self.vae.model, "vae") as components:
            picture = diffusion.decode_latents(components, latents, self.tiled)[0]
        return context.images.output(picture)


@invocation("i2l", title="Image to latents", category="latents", version="1.0.0")
class ImageToLatents(BaseInvocation):
    """Encodes a picture; the mean of what the autoencoder gives, so always the same."""

    image: ImageField
    vae: VaeField
    tiled: bool = False

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        picture = context.images.get(self.image)
        with context.models.use(self.vae.model, "vae") as components:
            return save_latents(context, diffusion.encode_image(components, picture, tiled=self.tiled))


@invocation("lresize", title="Resize latents", category="latents", version="1.0.0")
class ResizeLatents(BaseInvocation):
    """Latents of another size, in pixels of the picture they become."""

    latents: LatentsField
    vae: VaeField
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    mode: Interpolation = "bilinear"
    antialias: bool = False

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        model, latents = context.models.describe(self.vae.model), load_latents(context, self.latents)
        resized = diffusion.resize_latents(model, latents, self.width, self.height, self.mode, self.antialias)
        return save_latents(context, resized)


@invocation("lscale", title="Scale latents", category="latents", version="1.0.0")
class ScaleLatents(BaseInvocation):
    """Latents larger or smaller by a factor, to the nearest size the model can draw."""

    latents: LatentsField
    vae: VaeField
    scale_factor: float = Field(gt=0)
    mode: Interpolation = "bilinear"
    antialias: bool = False

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        model, latents = context.models.describe(self.vae.model), load_latents(context, self.latents)
        return save_latents(
            context, diffusion.scale_latents(model, latents, self.scale_factor, self.mode, self.antialias)
        )
