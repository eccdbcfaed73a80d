"""Nodes that load parts of a model from separate files: a transformer or UNet, text encoders."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.refs import OffloadName, PrecisionName
from nbgraph.errors import ModelError
from nbgraph.invocations.adapters import ClipOutput, UNetOutput
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ClipField, ModelField, UNetField, VaeField

ModelKind = Literal["sd1", "sd2", "sdxl", "sd3-medium", "sd35-medium", "sd35-large", "flux-dev", "flux-schnell"]
"""Kinds of models whose text encoders are known here."""


@invocation("transformer_loader", title="Transformer", category="model", version="1.1.0", static=True)
class TransformerLoader(BaseInvocation):
    """The transformer or UNet of a file that holds nothing else; text encoders and VAE are loaded separately."""

    model: str = Field(description="Path of the file, or a model by its name in this studio")
    parts: str | None = Field(None, description="Model whose configuration it has, where its kind is not known here")
    precision: PrecisionName | None = Field(
        None, description="What its weights are quantised to, for less memory; as stored without"
    )
    offload: OffloadName | None = Field(
        None, description="Where the weights are while they compute; left out, the studio chooses by free memory"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from precision_problem(known, context)
        if "model" in known:
            try:
                model = context.models.resolve(known["model"], rest(known.get("parts")))
                yield from source_problem(known, model, context)
                # from headers alone, so that a wrong file is refused before any node runs
                diffusion.check_weights(model, "denoiser")
            except ModelError as error:
                yield "model", str(error)

    def invoke(self, context: InvocationContext) -> UNetOutput:
        model = context.models.resolve(self.model, rest(self.parts), self.precision, self.offload)
        return UNetOutput(unet=UNetField(model=model))


@invocation("text_encoder_loader", title="Text encoders", category="model", version="1.0.0", static=True)
class TextEncoderLoader(BaseInvocation):
    """The text encoders of a kind of model, from one file each; their headers say which is which."""

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


def precision_problem(known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) for a precision that needs a package or a device that is not here."""
    if precision := known.get("precision"):
        try:
            context.models.check_precision(precision)
        except ModelError as error:
            yield "precision", str(error)


def source_problem(
    known: Mapping[str, Any], model: ModelField, context: InvocationContext
) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) for a precision that the weights of a model cannot be quantised to.

    Raises
    ------
    ModelError
        The model cannot draw.
    """
    described = context.models.describe(model)
    denoiser = described.sources[described.need_family().denoiser]
    if problem := diffusion.source_problem(known.get("precision"), denoiser):
        yield "precision", problem


def rest(parts: str | None) -> dict[str, str]:
    """Return parts by use, for `context.models.resolve`: one model for all that the main file lacks."""
    return {"rest": parts} if parts else {}


def like(part: UNetField | VaeField | None) -> dict[str, str]:
    """Return parts by use: the model of a field, from which a file takes its configuration; empty for None."""
    if part is None:
        return {}
    # the model of the field may itself be a file that takes its configuration from another
    return rest(next((each.path for each in part.model.parts if each.use == "rest"), part.model.path))
