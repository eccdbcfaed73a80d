"""Nodes that crop, paste, resize and scale images."""

from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image, ImageChops
from pydantic import Field

from nbgraph.image_modes import has_alpha
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.pictures import (
    RESAMPLING,
    Resampling,
    Side,
    check_sides,
    check_size,
    open_mask,
    open_picture,
)


@invocation("img_crop", title="Crop image", category="image", version="1.0.0")
class CropImage(BaseInvocation):
    """A part of a picture; outside of the picture it is transparent with an alpha channel, else black."""

    image: ImageField = Field(description="Image to cut from")
    x: int = Field(0, ge=-32_768, le=32_768, title="Left", description="Left edge of the part in pixels")
    y: int = Field(0, ge=-32_768, le=32_768, title="Top", description="Top edge of the part in pixels")
    width: Side = Field(512, description="Width of the part in pixels")
    height: Side = Field(512, description="Height of the part in pixels")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from check_sides(known)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        check_size(self.width, self.height)
        box = self.x, self.y, self.x + self.width, self.y + self.height
        return context.images.output(open_picture(context, self.image).crop(box))


@invocation("img_paste", title="Paste image", category="image", version="1.0.1")
class PasteImage(BaseInvocation):
    """A picture pasted on another, where the mask is white, and by its own alpha channel.

    The result holds both, and is transparent where neither is; with `crop` it has the size of the base picture.
    """

    base_image: ImageField = Field(description="Image below")
    image: ImageField = Field(description="Image to paste on it")
    mask: ImageField | None = Field(
        None, description="Where to paste: white is pasted, black is left out; of the size of the pasted image"
    )
    x: int = Field(
        0, ge=-32_768, le=32_768, title="Left", description="Left edge of the pasted image in pixels; may be negative"
    )
    y: int = Field(
        0, ge=-32_768, le=32_768, title="Top", description="Top edge of the pasted image in pixels; may be negative"
    )
    crop: bool = Field(False, description="Keep the size of the base image, instead of growing to hold both")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        base, over = open_picture(context, self.base_image), open_picture(context, self.image)
        # without `crop` the canvas grows to hold both images
        left, top = (0, 0) if self.crop else (min(0, self.x), min(0, self.y))
        right = base.width if self.crop else max(base.width, self.x + over.width)
        bottom = base.height if self.crop else max(base.height, self.y + over.height)
        size = right - left, bottom - top
        check_size(*size)
        upper = over.convert("RGBA")
        if self.mask is not None:
            mask = open_mask(context, self.mask, over.size)
            # alpha alone: grey in the mask must not darken the colours, as a blend with transparent black would
            upper.putalpha(ImageChops.multiply(upper.getchannel("A"), mask))
        canvas, layer = Image.new("RGBA", size), Image.new("RGBA", size)
        canvas.paste(base.convert("RGBA"), (-left, -top))
        layer.paste(upper, (self.x - left, self.y - top))
        pasted = Image.alpha_composite(canvas, layer)
        return context.images.output(pasted if has_alpha(base) or size != base.size else pasted.convert("RGB"))


@invocation("img_resize", title="Resize image", category="image", version="1.1.0")
class ResizeImage(BaseInvocation):
    """A picture of another size, in pixels."""

    image: ImageField = Field(description="Image to resize")
    width: Side = Field(512, description="New width in pixels")
    height: Side = Field(512, description="New height in pixels")
    resample_mode: Resampling = Field(
        "bicubic",
        title="Resampling",
        description="How new pixels are computed: nearest is the fastest, lanczos the sharpest",
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from check_sides(known)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        check_size(self.width, self.height)
        picture = open_picture(context, self.image)
        return context.images.output(picture.resize((self.width, self.height), RESAMPLING[self.resample_mode]))


@invocation("img_scale", title="Scale image", category="image", version="1.0.0")
class ScaleImage(BaseInvocation):
    """A picture larger or smaller by a factor, to the nearest pixel."""

    image: ImageField = Field(description="Image to scale")
    scale_factor: float = Field(2.0, gt=0, le=1000, title="Factor", description="Factor on width and height")
    resample_mode: Resampling = Field(
        "bicubic",
        title="Resampling",
        description="How new pixels are computed: nearest is the fastest, lanczos the sharpest",
    )

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_picture(context, self.image)
        # at least one pixel, however small the factor
        width, height = (max(1, round(side * self.scale_factor)) for side in picture.size)
        check_size(width, height)
        return context.images.output(picture.resize((width, height), RESAMPLING[self.resample_mode]))
