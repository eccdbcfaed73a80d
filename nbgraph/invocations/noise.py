"""Noise to start a picture from."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import LatentsField, Seed, UNetField
from nbgraph.invocations.outputs import NoiseOutput


@invocation("noise", title="Noise", category="latents", version="1.0.0")
class Noise(BaseInvocation):
    """Gaussian noise of the shape the model needs, the same for the same seed and size on every device.

    Width and height are in pixels; left out, they are the model's own.
    """

    unet: UNetField = Field(
        title="Denoiser",
        description="Part of a model that removes noise, from a Model node or one that changes it, such as LoRA",
    )
    seed: Seed = Field(
        None, description="The same seed, size and model give the same noise; drawn anew at every run if left out"
    )
    width: int | None = Field(
        None, gt=0, le=32_768, description="Width of the image in pixels; left out, the model's own"
    )
    height: int | None = Field(
        None, gt=0, le=32_768, description="Height of the image in pixels; left out, the model's own"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if not {"unet", "width", "height"} <= known.keys():
            return
        model = context.models.describe(known["unet"].model)
        for name in ("width", "height"):
            if known[name] and (problem := model.side_problem(name, known[name])):
                yield name, problem

    def invoke(self, context: InvocationContext) -> NoiseOutput:
        model = context.models.describe(self.unet.model)
        drawn = diffusion.draw_noise(model, self.seed or 0, self.width, self.height)
        name = context.tensors.save(drawn)
        field = LatentsField(latents_name=name)
        return NoiseOutput(noise=field, width=drawn.width, height=drawn.height, seed=self.seed or 0)
