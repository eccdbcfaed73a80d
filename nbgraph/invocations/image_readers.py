"""Nodes over models that read images, from folders of transformers: depth, segments, backgrounds, captions."""

from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image, ImageOps
from pydantic import Field

from nbgraph import diffusion
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.denoise_inputs import model_problem
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput, StringOutput
from nbgraph.invocations.pictures import open_on_white


@invocation("depth_estimation", title="Depth", category="image", version="1.0.0")
class EstimateDepth(BaseInvocation):
    """How near each pixel is, for a depth ControlNet: white is near, black is far.

    For folders of transformers such as Depth Anything, DPT and ZoeDepth.
    """

    image: ImageField = Field(description="Image to read; transparent parts become white")
    depth_model: str = Field(
        title="Depth model", description="Depth model by its name in this studio, or the path of its folder"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from model_problem(known, "depth_model", "depth", context)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        image = open_on_white(context, self.image)
        with context.models.use(context.models.resolve(self.depth_model), "depth") as components:
            return context.images.output(diffusion.estimate_depth(components, image), category="control")


@invocation("segment_labels", title="Segment by label", category="mask", version="1.0.0")
class SegmentLabels(BaseInvocation):
    """A mask of everything in an image that has one of some labels, such as `sky`.

    For folders of transformers for semantic, panoptic or instance segmentation, such as SegFormer and Mask2Former.
    """

    image: ImageField = Field(description="Image to read; transparent parts become white")
    segmentation_model: str = Field(
        title="Segmentation model", description="Model by its name in this studio, or the path of its folder"
    )
    labels: list[str] = Field(min_length=1, max_length=1000, description="Labels of the model whose pixels are white")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from model_problem(known, "segmentation_model", "segments", context)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        image = open_on_white(context, self.image)
        with context.models.use(context.models.resolve(self.segmentation_model), "segments") as components:
            return context.images.output(diffusion.segments_of(components, image, self.labels), category="mask")


@invocation("remove_background", title="Remove background", category="image", version="1.0.0")
class RemoveBackground(BaseInvocation):
    """The image with everything transparent that has one of some labels, by a model for segmentation.

    Networks that come with code of their own, such as BiRefNet and RMBG, are not loaded: a model folder may not choose
    what is run.
    """

    image: ImageField = Field(description="Image to cut out of; transparent parts become white")
    segmentation_model: str = Field(
        title="Segmentation model", description="Model by its name in this studio, or the path of its folder"
    )
    labels: list[str] = Field(
        ["background"], min_length=1, max_length=1000, description="Labels of the model that are the background"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from model_problem(known, "segmentation_model", "segments", context)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        image = open_on_white(context, self.image)
        with context.models.use(context.models.resolve(self.segmentation_model), "segments") as components:
            mask = diffusion.segments_of(components, image, self.labels)
        cut: Image.Image = image.convert("RGBA")
        cut.putalpha(ImageOps.invert(mask))
        return context.images.output(cut)


@invocation("segment_clicks", title="Segment by click", category="mask", version="1.0.0")
class SegmentClicks(BaseInvocation):
    """A mask of the thing at some pixels of an image, by a Segment Anything model (SAM, SAM 2) of transformers."""

    image: ImageField = Field(description="Image to read; transparent parts become white")
    sam_model: str = Field(
        title="Segment Anything model", description="Model by its name in this studio, or the path of its folder"
    )
    points: list[tuple[int, int]] = Field(
        min_length=1, max_length=1000, description="Pixels on the thing, as (x, y) from the upper left corner"
    )
    avoided_points: list[tuple[int, int]] = Field(
        [], max_length=1000, description="Pixels that are not on the thing, as (x, y)"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from model_problem(known, "sam_model", "clicks", context)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        image = open_on_white(context, self.image)
        with context.models.use(context.models.resolve(self.sam_model), "clicks") as components:
            mask = diffusion.segment_at(components, image, self.points, self.avoided_points)
        return context.images.output(mask, category="mask")


@invocation("caption", title="Caption", category="strings", version="1.0.0")
class Caption(BaseInvocation):
    """A sentence about an image, by a captioning model of transformers such as BLIP and GIT."""

    image: ImageField = Field(description="Image to describe; transparent parts become white")
    caption_model: str = Field(
        title="Caption model", description="Model by its name in this studio, or the path of its folder"
    )
    max_tokens: int = Field(40, ge=1, le=1000, title="Longest", description="Most tokens of the sentence")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from model_problem(known, "caption_model", "captions", context)

    def invoke(self, context: InvocationContext) -> StringOutput:
        image = open_on_white(context, self.image)
        with context.models.use(context.models.resolve(self.caption_model), "captions") as components:
            return StringOutput(value=diffusion.caption(components, image, self.max_tokens))
