"""Nodes that name a model; its weights are loaded by the nodes that use it."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.refs import CompileName, CompilePatch, OffloadName, PrecisionName
from nbgraph.errors import ModelError
from nbgraph.invocations.adapters import patched
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import ClipField, UNetField, VaeField
from nbgraph.invocations.model_parts import precision_problem, rest, source_problem


class ModelLoaderOutput(BaseInvocationOutput):
    """The parts of a model."""

    unet: UNetField
    clip: ClipField
    vae: VaeField


@invocation("model_loader", title="Model", category="model", version="1.2.0", static=True)
class ModelLoader(BaseInvocation):
    """A model by the name it has in this studio, or by the path of its folder or of its single file.

    A single file of a known kind opens as it is. What a file does not hold, such as the text encoders of a transformer
    alone, is taken from `parts`: another model of the same kind, by name or path. `precision` quantises the weights
    of the denoiser when they are loaded: `fp8` anywhere, `int8` with torchao or optimum-quanto, `nf4` with bitsandbytes
    on a CUDA device. `offload="streaming"` lets a model run that is larger than the device's memory. A compiled model
    computes the same up to rounding, and has a cache key of its own.
    """

    model: str = Field(
        description="Model by its name in this studio, or the path of a diffusers folder or a single file"
    )
    parts: str | None = Field(None, description="Model that gives what the file does not hold, such as text encoders")
    precision: PrecisionName | None = Field(
        None, description="What the denoiser's weights are quantised to, for less memory; as stored without"
    )

    offload: OffloadName | None = Field(
        None, description="Where the weights are while they compute; left out, the studio chooses by free memory"
    )
    compiler: CompileName | None = Field(
        None,
        description="Compiler of torch for the denoiser, such as inductor: slower at the first step, then faster",
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from precision_problem(known, context)
        if "model" in known:
            try:
                model = context.models.resolve(known["model"], rest(known.get("parts")))
                yield from source_problem(known, model, context)
                diffusion.check_weights(model)
            except ModelError as error:
                yield "model", str(error)

    def invoke(self, context: InvocationContext) -> ModelLoaderOutput:
        model = context.models.resolve(self.model, rest(self.parts), self.precision, self.offload)
        unet = UNetField(model=model)
        if self.compiler is not None:
            unet = patched(unet, CompilePatch(backend=self.compiler))
        return ModelLoaderOutput(unet=unet, clip=ClipField(model=model), vae=VaeField(model=model))
