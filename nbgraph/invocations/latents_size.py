"""Latents of another size: by pixels of the image, or by a factor."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from nbgraph import diffusion
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import LatentsField, Vae
from nbgraph.invocations.latents import load_latents, save_latents
from nbgraph.invocations.outputs import LatentsOutput
from nbgraph.invocations.pictures import Side, check_sides, check_size

Interpolation = Annotated[
    Literal["nearest", "bilinear", "bicubic", "area", "nearest-exact"],
    Field(title="Interpolation", description="Interpolation between latent pixels"),
]
Antialias = Annotated[bool, Field(description="Smooth before making the latents smaller, against moire")]


@invocation("lresize", title="Resize latents", category="latents", version="1.0.0")
class ResizeLatents(BaseInvocation):
    """Latents of another size, in pixels of the picture they become."""

    latents: LatentsField = Field(description="Latents to resize")
    vae: Vae
    width: Side = Field(description="New width in pixels of the image")
    height: Side = Field(description="New height in pixels of the image")
    mode: Interpolation = "bilinear"
    antialias: Antialias = False

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from check_sides(known)

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        check_size(self.width, self.height)
        model, latents = context.models.describe(self.vae.model), load_latents(context, self.latents)
        resized = diffusion.resize_latents(model, latents, self.width, self.height, self.mode, self.antialias)
        return save_latents(context, resized)


@invocation("lscale", title="Scale latents", category="latents", version="1.0.0")
class ScaleLatents(BaseInvocation):
    """Latents larger or smaller by a factor, to the nearest size the model can draw."""

    latents: LatentsField = Field(description="Latents to scale")
    vae: Vae
    scale_factor: float = Field(gt=0, le=1000, title="Factor", description="Factor on width and height")
    mode: Interpolation = "bilinear"
    antialias: Antialias = False

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        model, latents = context.models.describe(self.vae.model), load_latents(context, self.latents)
        check_size(round(latents.width * self.scale_factor), round(latents.height * self.scale_factor))
        return save_latents(
            context, diffusion.scale_latents(model, latents, self.scale_factor, self.mode, self.antialias)
        )
