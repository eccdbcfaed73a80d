"""Pictures as nodes: loading, saving, sizes."""

from pathlib import Path
from typing import Literal

from PIL import Image as PillowImage
from pydantic import Field

from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput

Resampling = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


@invocation("image", title="Image", category="image", version="1.0.0", static=True)
class Image(BaseInvocation):
    """A picture of the studio."""

    image: ImageField

    def invoke(self, context: InvocationContext) -> ImageOutput:
        record = context.images.record(self.image)
        return ImageOutput(image=self.image, width=record.width, height=record.height)


@invocation("load_image", title="Load image", category="image", version="1.0.0", use_cache=False)
class LoadImage(BaseInvocation):
    """A picture from a PNG, JPEG or WebP file."""

    path: Path

    def invoke(self, context: InvocationContext) -> ImageOutput:
        with PillowImage.open(self.path, formats=("PNG", "JPEG", "WEBP")) as opened:
            return context.images.output(opened.copy())


@invocation("save_image", title="Save image", category="image", version="1.0.0", use_cache=False)
class SaveImage(BaseInvocation):
    """A copy of a picture for the gallery, made every time the graph runs."""

    image: ImageField

    def invoke(self, context: InvocationContext) -> ImageOutput:
        return context.images.output(context.images.get(self.image), is_intermediate=False)


@invocation("img_resize", title="Resize image", category="image", version="1.0.0")
class ResizeImage(BaseInvocation):
    """A picture of another size, in pixels."""

    image: ImageField
    width: int = Field(512, gt=0)
    height: int = Field(512, gt=0)
    resample_mode: Resampling = "bicubic"

    def invoke(self, context: InvocationContext) -> ImageOutput:
        method = PillowImage.Resampling[self.resample_mode.upper()]
        return context.images.output(context.images.get(self.image).resize((self.width, self.height), method))
