"""Filters over pictures: blur, edges, tiles. Some prepare a picture for a ControlNet."""

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
    """A picture blurred; what is transparent does not bleed into what is not."""

    image: ImageField
    radius: float = Field(8.0, ge=0, le=1024)
    blur_type: Literal["gaussian", "box"] = "gaussian"

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_picture(context, self.image)
        blur = ImageFilter.GaussianBlur if self.blur_type == "gaussian" else ImageFilter.BoxBlur
        if not has_alpha(picture):
            return context.images.output(picture.filter(blur(self.radius)))
        blurred = picture.convert("RGBA").convert("RGBa").filter(blur(self.radius))
        return context.images.output(blurred.convert("RGBA"))


@invocation("canny_image_processor", title="Canny edges", category="image", version="1.0.0")
class CannyEdges(BaseInvocation):
    """The outlines in a picture, white on black: edges over the high threshold, and over the low where they join."""

    image: ImageField
    low_threshold: int = Field(100, ge=0, le=255)
    high_threshold: int = Field(200, ge=0, le=255)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        grey = open_on_white(context, self.image).convert("L")
        low, high = sorted((self.low_threshold, self.high_threshold))
        edges = canny(grey, low, high, context.is_cancelled)
        return context.images.output(edges.convert("RGB"), category="control")


@invocation("tile_image_processor", title="Tile resample", category="image", version="1.0.0")
class TileResample(BaseInvocation):
    """A picture made smaller by a rate and larger again, its size kept: what a tile ControlNet takes detail from."""

    image: ImageField
    down_sampling_rate: float = Field(1.0, ge=1, le=8)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_on_white(context, self.image)
        small = [max(1, round(side / self.down_sampling_rate)) for side in picture.size]
        down = picture.resize((small[0], small[1]), Image.Resampling.BOX)
        return context.images.output(down.resize(picture.size, Image.Resampling.BICUBIC), category="control")


@invocation("color_map_image_processor", title="Color map", category="image", version="1.0.0")
class ColorMap(BaseInvocation):
    """A picture as tiles of one colour each: what a colour ControlNet takes its palette from."""

    image: ImageField
    color_map_tile_size: int = Field(64, ge=1, le=4096)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_on_white(context, self.image)
        tiles = [max(1, round(side / self.color_map_tile_size)) for side in picture.size]
        down = picture.resize((tiles[0], tiles[1]), Image.Resampling.BOX)
        return context.images.output(down.resize(picture.size, Image.Resampling.NEAREST), category="control")
