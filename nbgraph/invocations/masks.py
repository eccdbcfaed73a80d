"""Mask nodes. A mask is a grey image, white where something applies.

It may have an alpha channel, which painting programs add: transparent counts as black.
"""

from typing import Literal

from PIL import ImageChops, ImageFilter, ImageOps
from pydantic import Field

from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.pictures import check_equal_sizes, open_mask, open_picture

COMBINATIONS = {
    "multiply": ImageChops.multiply,
    "lighter": ImageChops.lighter,
    "darker": ImageChops.darker,
    "subtract": ImageChops.subtract,
}


@invocation("tomask", title="Mask from alpha", category="mask", version="1.0.0")
class MaskFromAlpha(BaseInvocation):
    """The alpha channel as a mask: white where the picture is there, or, inverted, where it is transparent."""

    image: ImageField = Field(description="Image whose alpha channel is taken")
    invert: bool = Field(False, description="White where the image is transparent")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        alpha = open_picture(context, self.image).convert("RGBA").getchannel("A")
        return context.images.output(ImageOps.invert(alpha) if self.invert else alpha, category="mask")


@invocation("mask_edge", title="Mask edge", category="mask", version="1.0.0")
class MaskEdge(BaseInvocation):
    """White along the edges of a mask, so many pixels to either side, blurred: where a seam is to be painted over."""

    image: ImageField = Field(title="Mask", description="Mask whose edges are found")
    edge_size: int = Field(16, ge=1, le=256, description="Width to either side of the edge in pixels")
    edge_blur: float = Field(8.0, ge=0, le=256, description="Radius of the blur of the result in pixels")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        # an edge needs two sides, so grey is rounded to black or white
        mask = open_mask(context, self.image).point([0] * 128 + [255] * 128)
        grown, shrunk = mask, mask
        for step in range(self.edge_size):
            # many small filters: the time of one large MaxFilter grows with the square of its size
            grown, shrunk = grown.filter(ImageFilter.MaxFilter(3)), shrunk.filter(ImageFilter.MinFilter(3))
            context.progress(step + 1, self.edge_size)
        edge = ImageChops.subtract(grown, shrunk)
        return context.images.output(edge.filter(ImageFilter.GaussianBlur(self.edge_blur)), category="mask")


@invocation("mask_combine", title="Combine masks", category="mask", version="1.0.0")
class CombineMasks(BaseInvocation):
    """Two masks of one size as one: both (multiply), either (lighter), the darker, or the first without the second."""

    mask1: ImageField = Field(title="First mask", description="First mask")
    mask2: ImageField = Field(title="Second mask", description="Second mask, of the same size")
    combination: Literal["multiply", "lighter", "darker", "subtract"] = Field(
        "multiply",
        description="White where both are (multiply), where either is (lighter), or first without second (subtract)",
    )

    def invoke(self, context: InvocationContext) -> ImageOutput:
        first, second = open_mask(context, self.mask1), open_mask(context, self.mask2)
        check_equal_sizes(mask1=first, mask2=second)
        return context.images.output(COMBINATIONS[self.combination](first, second), category="mask")
