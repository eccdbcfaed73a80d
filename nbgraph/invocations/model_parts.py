"""Loading parts of a model from files of their own: a transformer or UNet alone, text encoders alone."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from nbgraph import diffusion
from nbgraph.errors import ModelError
from nbgraph.invocations.adapters import ClipOutput, UNetOutput
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ClipField, ModelField, UNetField

ModelKind = Literal["sd1", "sd2", "sdxl", "sd3-medium", "sd35-medium", "sd35-large", "flux-dev", "flux-schnell"]
"""Kinds of models whose text encoders are known here."""


@invocation("transformer_loader", title="Transformer", category="model", version="1.0.0", static=True)
class TransformerLoader(BaseInvocation):
    """The transformer or UNet of a file that holds nothing else; text encoders and VAE are loaded apart."""

    model: str = Field(description="Path of the file, or a model by its name in this studio")
    parts: str | None = Field(None, description="Model whose configuration it has, where its kind is not known here")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "model" in known:
            try:
                model = context.models.resolve(known["model"], rest(known.get("parts")))
                context.models.describe(model).need_family()
                diffusion.check_weights(model, "denoiser")
            except ModelError as error:
                yield "model", str(error)

    def invoke(self, context: InvocationContext) -> UNetOutput:
        return UNetOutput(unet=UNetField(model=context.models.resolve(self.model, rest(self.parts))))


@invocation("text_encoder_loader", title="Text encoders", category="model", version="1.0.0", static=True)
class TextEncoderLoader(BaseInvocation):
    """The text encoders of a kind of model, from a file each; which is which is told by their headers."""

    kind: ModelKind = Field(description="Kind of model that the texts are encoded for")
    files: list[str] = Field(min_length=1, max_length=3, description="Paths of the files, such as clip_l and t5xxl")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"kind", "files"} <= known.keys() and known["files"]:
            try:
                diffusion.check_weights(self._resolved(known["kind"], known["files"], context), "text")
            except ModelError as error:
                yield "files", str(error)

    def invoke(self, context: InvocationContext) -> ClipOutput:
        return ClipOutput(clip=ClipField(model=self._resolved(self.kind, self.files, context)))

    @staticmethod
    def _resolved(kind: str, files: list[str], context: InvocationContext) -> ModelField:
        more = {f"text encoder {number}": file for number, file in enumerate(files[1:], start=2)}
        return context.models.resolve(files[0], {"configuration": kind, **more})


def rest(parts: str | None) -> dict[str, str]:
    """The parts of a model by their use: one model for all that the main one does not hold."""
    return {"rest": parts} if parts else {}


def like(part: Any) -> dict[str, str]:
    """The model of a field, as the one that a file takes its configuration from; none for None."""
    if part is None:
        return {}
    model: ModelField = part.model
    return rest(next((each.path for each in model.parts if each.use == "rest"), model.path))
