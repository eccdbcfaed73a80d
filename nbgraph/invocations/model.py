"""Loading models: nodes that name a model; the weights are loaded by who uses them."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.errors import ModelError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import ClipField, UNetField, VaeField
from nbgraph.invocations.model_parts import rest


class ModelLoaderOutput(BaseInvocationOutput):
    """The parts of a model."""

    unet: UNetField
    clip: ClipField
    vae: VaeField


@invocation("model_loader", title="Model", category="model", version="1.0.0", static=True)
class ModelLoader(BaseInvocation):
    """A model by the name it has in this studio, or by the path of its folder or of its single file.

    A single file of a known kind opens as it is. What a file does not hold, such as the text encoders of a transformer
    alone, is taken from `parts`: another model of the same kind, by name or path.
    """

    model: str = Field(
        description="Model by its name in this studio, or the path of a diffusers folder or a single file"
    )
    parts: str | None = Field(None, description="Model that gives what the file does not hold, such as text encoders")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "model" in known:
            try:
                model = context.models.resolve(known["model"], rest(known.get("parts")))
                context.models.describe(model).need_family()
                diffusion.check_weights(model)
            except ModelError as error:
                yield "model", str(error)

    def invoke(self, context: InvocationContext) -> ModelLoaderOutput:
        model = context.models.resolve(self.model, rest(self.parts))
        return ModelLoaderOutput(unet=UNetField(model=model), clip=ClipField(model=model), vae=VaeField(model=model))
