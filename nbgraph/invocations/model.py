"""Loading models: nodes that name a model; the weights are loaded by who uses them."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.errors import ModelError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import ClipField, UNetField, VaeField


class ModelLoaderOutput(BaseInvocationOutput):
    """The parts of a model."""

    unet: UNetField
    clip: ClipField
    vae: VaeField


@invocation("model_loader", title="Model", category="model", version="1.0.0", static=True)
class ModelLoader(BaseInvocation):
    """A diffusers model by the name it has in this studio, or by the path of its folder."""

    model: str = Field(description="Model by its name in this studio, or the path of a diffusers folder")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "model" in known:
            try:
                model = context.models.resolve(known["model"])
                context.models.describe(model).need_family()
                diffusion.check_weights(model)
            except ModelError as error:
                yield "model", str(error)

    def invoke(self, context: InvocationContext) -> ModelLoaderOutput:
        model = context.models.resolve(self.model)
        return ModelLoaderOutput(unet=UNetField(model=model), clip=ClipField(model=model), vae=VaeField(model=model))
