"""Nodes that load, make, show and save images."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from PIL import Image as PillowImage
from pydantic import Field

from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ColorField, ImageField, MetadataField
from nbgraph.invocations.image_files import file_problem, read_picture
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.pictures import Side, check_sides, check_size


@invocation("image", title="Image", category="image", version="1.0.0", static=True)
class Image(BaseInvocation):
    """A picture of the studio."""

    image: ImageField = Field(description="Image of the studio to pass on")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        record = context.images.record(self.image)
        return ImageOutput(image=self.image, width=record.width, height=record.height)


@invocation("load_image", title="Load image", category="image", version="1.1.0", use_cache=False)
class LoadImage(BaseInvocation):
    """A picture from a PNG, JPEG or WebP file, rotated as its EXIF data say.

    The file is read at every run. Nodes after it are cached by its content, and run again only if that has changed.
    """

    path: Path = Field(title="File", description="Path of a PNG, JPEG or WebP file")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "path" in known and (problem := file_problem(known["path"])):
            yield "path", problem

    def invoke(self, context: InvocationContext) -> ImageOutput:
        return context.images.output(read_picture(self.path))


@invocation("save_image", title="Save image", category="image", version="1.1.0", use_cache=False)
class SaveImage(BaseInvocation):
    """A copy of a picture for the gallery, made every time the graph runs, with metadata if there are any."""

    image: ImageField = Field(description="Image to save to the gallery")
    metadata: MetadataField | None = Field(None, description="What to record with it")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        known = self.metadata.values if self.metadata else None
        return context.images.output(context.images.get(self.image), is_intermediate=False, metadata=known)


@invocation("show_image", title="Show image", category="image", version="1.0.0", use_cache=False)
class ShowImage(BaseInvocation):
    """Shows a picture in the progress display while the run goes on, every time, and passes it on."""

    image: ImageField = Field(description="Image to show")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        record = context.images.record(self.image)
        # a function, so that the image is read only if a display shows it
        context.progress(1, 1, lambda: context.images.get(self.image))
        return ImageOutput(image=self.image, width=record.width, height=record.height)


@invocation("blank_image", title="Blank image", category="image", version="1.0.0")
class BlankImage(BaseInvocation):
    """A picture of one colour; in RGB the opacity of the colour is ignored."""

    width: Side = Field(512, description="Width in pixels")
    height: Side = Field(512, description="Height in pixels")
    mode: Literal["RGB", "RGBA"] = Field("RGB", description="RGB, or RGBA with an alpha channel")
    color: ColorField = Field(ColorField(), description="Colour of every pixel; its opacity counts in RGBA only")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from check_sides(known)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        # sizes may come over edges, where `check` cannot see them
        check_size(self.width, self.height)
        color = self.color.rgba[: len(self.mode)]
        return context.images.output(PillowImage.new(self.mode, (self.width, self.height), color))
