"""Metrics of networks: CLIP score, aesthetic score and LPIPS, with models that a person names.

`MetricModel` names a folder or file and finds out what is in it, so that a score is computed again when its files
change. They run on the CPU.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.fingerprints import fingerprint_path
from nbgraph.errors import ModelError, NbgraphError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField, MetricModelField, ModelField
from nbgraph.invocations.outputs import FloatOutput
from nbgraph.invocations.pictures import check_equal_sizes, open_on_white

SMALLEST = 32


class MetricModelOutput(BaseInvocationOutput):
    """A network that scores images."""

    model: MetricModelField


@invocation("metric_model", title="Metric model", category="model", version="1.0.0", static=True)
class MetricModel(BaseInvocation):
    """A network for a metric: the folder of a CLIP model, or the .safetensors file of a predictor or of LPIPS."""

    model: str = Field(description="Path of the folder or .safetensors file, or a model by its name in this studio")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "model" in known:
            try:
                _resolved(known["model"], context)
            except ModelError as error:
                yield "model", str(error)

    def invoke(self, context: InvocationContext) -> MetricModelOutput:
        return MetricModelOutput(model=MetricModelField(model=_resolved(self.model, context)))


@invocation("image_clip_score", title="CLIP score", category="image", version="1.0.0")
class ClipScore(BaseInvocation):
    """How well an image fits a text: 100 times the cosine of their CLIP embeddings, about 15 to 35 for real models."""

    image: ImageField = Field(description="Image to measure")
    text: str = Field(description="What the image should show, such as its prompt")
    model: MetricModelField = Field(title="CLIP model", description="Folder of a CLIP model, from a Metric model node")

    def invoke(self, context: InvocationContext) -> FloatOutput:
        value, is_cut = diffusion.clip_score(open_on_white(context, self.image), self.text, _named(self.model))
        if is_cut:
            context.warn("the text is longer than CLIP reads, and was cut")
        return FloatOutput(value=value)


@invocation("image_aesthetic_score", title="Aesthetic score", category="image", version="1.0.0")
class AestheticScore(BaseInvocation):
    """How much a trained predictor says that people like an image, about 1 to 10; it prefers what its raters did."""

    image: ImageField = Field(description="Image to measure")
    model: MetricModelField = Field(title="CLIP model", description="CLIP model that the predictor was trained on")
    predictor: MetricModelField = Field(description="Linear layers over the CLIP embedding, from a Metric model node")

    def invoke(self, context: InvocationContext) -> FloatOutput:
        picture = open_on_white(context, self.image)
        return FloatOutput(value=diffusion.aesthetic_score(picture, _named(self.model), _named(self.predictor)))


@invocation("image_lpips", title="LPIPS", category="image", version="1.0.0")
class Lpips(BaseInvocation):
    """The perceptual distance of an image to a reference by AlexNet's features: 0 for equal images."""

    image: ImageField = Field(description="Image to measure, at least 32 x 32 pixels")
    reference: ImageField = Field(description="Image to compare with, of the same size")
    model: MetricModelField = Field(title="LPIPS weights", description="Weights of LPIPS, from a Metric model node")

    def invoke(self, context: InvocationContext) -> FloatOutput:
        image, reference = open_on_white(context, self.image), open_on_white(context, self.reference)
        check_equal_sizes(image=image, reference=reference)
        if min(image.size) < SMALLEST:
            size = f"{image.width} x {image.height}"
            raise NbgraphError(f"LPIPS needs {SMALLEST} x {SMALLEST} pixels, and the images have {size}")
        return FloatOutput(value=diffusion.lpips(image, reference, _named(self.model)))


def _resolved(name: str, context: InvocationContext) -> ModelField:
    """Return the model at a path, whatever it holds, or of a name in this studio."""
    path = Path(name).expanduser()
    if not path.exists():
        return context.models.resolve(name)
    return ModelField(name=name, path=str(path.absolute()), fingerprint=fingerprint_path(str(path.absolute())))


def _named(field: MetricModelField) -> tuple[str, str]:
    return field.model.path, field.model.fingerprint
