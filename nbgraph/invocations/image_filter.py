"""Filter nodes: blur, edges, tiles. Some prepare a control image for a ControlNet."""

from typing import Literal

from PIL import Image, ImageFilter
from pydantic import Field

from nbgraph.image_modes import has_alpha
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.edges import canny
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.pictures import open_on_white, open_picture


@invocation("img_blur", title="Blur image", category="image", version="1.0.0")
class BlurImage(BaseInvocation):
    """A picture blurred; colours of transparent pixels do not bleed into opaque ones."""

    image: ImageField = Field(description="Image to blur")
    radius: float = Field(8.0, ge=0, le=1024, description="Radius of the blur in pixels")
    blur_type: Literal["gaussian", "box"] = Field(
        "gaussian", title="Kind", description="Gaussian is soft, box is fast and even"
    )

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_picture(context, self.image)
        blur = ImageFilter.GaussianBlur if self.blur_type == "gaussian" else ImageFilter.BoxBlur
        if not has_alpha(picture):
            return context.images.output(picture.filter(blur(self.radius)))
        # RGBa has colours multiplied by alpha, so transparent pixels weigh nothing
        blurred = picture.convert("RGBA").convert("RGBa").filter(blur(self.radius))
        return context.images.output(blurred.convert("RGBA"))


@invocation("canny_image_processor", title="Canny edges", category="image", version="1.0.0")
class CannyEdges(BaseInvocation):
    """The outlines in a picture, white on black: edges over the high threshold, and over the low where they join."""

    image: ImageField = Field(description="Image whose edges are found")
    low_threshold: int = Field(
        100, ge=0, le=255, description="Gradient from which a pixel is an edge if it touches a stronger one, 0 to 255"
    )
    high_threshold: int = Field(
        200,
        ge=0,
        le=255,
        description="Gradient from which a pixel is an edge in any case, 0 to 255; higher keeps fewer edges",
    )

    def invoke(self, context: InvocationContext) -> ImageOutput:
        grey = open_on_white(context, self.image).convert("L")
        # thresholds come over edges too, in any order
        low, high = sorted((self.low_threshold, self.high_threshold))
        edges = canny(grey, low, high, context.is_cancelled)
        return context.images.output(edges.convert("RGB"), category="control")


@invocation("tile_image_processor", title="Tile resample", category="image", version="1.0.0")
class TileResample(BaseInvocation):
    """A picture made smaller by a rate and larger again, its size kept: what a tile ControlNet takes detail from."""

    image: ImageField = Field(description="Image to take detail from")
    down_sampling_rate: float = Field(
        1.0, ge=1, le=8, title="Rate", description="Factor by which detail is reduced; 1 keeps all"
    )

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_on_white(context, self.image)
        small = [max(1, round(side / self.down_sampling_rate)) for side in picture.size]
        down = picture.resize((small[0], small[1]), Image.Resampling.BOX)
        return context.images.output(down.resize(picture.size, Image.Resampling.BICUBIC), category="control")


@invocation("color_map_image_processor", title="Color map", category="image", version="1.0.0")
class ColorMap(BaseInvocation):
    """A picture as tiles of one colour each: what a colour ControlNet takes its palette from."""

    image: ImageField = Field(description="Image whose colours are averaged")
    color_map_tile_size: int = Field(64, ge=1, le=4096, title="Tile size", description="Side of a tile in pixels")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_on_white(context, self.image)
        tiles = [max(1, round(side / self.color_map_tile_size)) for side in picture.size]
        down = picture.resize((tiles[0], tiles[1]), Image.Resampling.BOX)
        return context.images.output(down.resize(picture.size, Image.Resampling.NEAREST), category="control")
