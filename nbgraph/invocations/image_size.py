"""Nodes that crop, paste, resize, scale and rotate images."""

from collections.abc import Iterator, Mapping
from math import ceil, cos, radians, sin
from typing import Any, Literal

from PIL import Image, ImageChops
from pydantic import Field

from nbgraph.image_modes import has_alpha
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ColorField, ImageField
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


@invocation("img_rotate", title="Rotate image", category="image", version="1.0.0")
class RotateImage(BaseInvocation):
    """A picture turned by an angle, clockwise; by 90, 180 and 270 degrees without any loss.

    It keeps its mode and its alpha channel. Without a fill colour the corners are transparent with an alpha channel,
    else black.
    """

    image: ImageField = Field(description="Image to rotate")
    angle: float = Field(90.0, ge=-360, le=360, description="Degrees clockwise; negative ones turn it to the left")
    expand: bool = Field(True, description="Grow to hold the whole turned image, instead of keeping its size")
    fill: ColorField | None = Field(
        None,
        description="Colour of the corners; its opacity counts with an alpha channel only, its brightness in grey",
    )
    resample_mode: Literal["nearest", "bilinear", "bicubic"] = Field(
        "bicubic",
        title="Resampling",
        description="How new pixels are computed: nearest keeps hard edges, bicubic is the smoothest",
    )

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_picture(context, self.image)
        if self.expand:
            # The size can come over an edge, so it is checked here, before the larger image is made.
            across, down = abs(cos(radians(self.angle))), abs(sin(radians(self.angle)))
            width, height = picture.size
            check_size(ceil(width * across + height * down), ceil(width * down + height * across))
        # PIL turns counterclockwise, and copies pixels as they are for multiples of 90 degrees.
        turned = picture.rotate(
            -self.angle,
            RESAMPLING[self.resample_mode],
            expand=self.expand,
            fillcolor=None if self.fill is None else _ink(self.fill, picture.mode, self.resample_mode),
        )
        return context.images.output(turned)


def _ink(color: ColorField, mode: str, resample_mode: Resampling) -> int | tuple[int, ...]:
    """Return a colour as PIL fills corners with it, in a picture of L, LA, RGB or RGBA."""
    opaque = Image.new("RGB", (1, 1), color.rgba[:3])
    # With alpha, PIL interpolates colours that are multiplied by their opacity, and takes the fill as one of those.
    share = color.a / 255 if mode.endswith("A") and resample_mode != "nearest" else 1
    bands = (opaque.convert("L") if mode[0] == "L" else opaque).tobytes()
    inks = tuple(round(band * share) for band in bands)
    return (*inks, color.a) if mode.endswith("A") else inks[0] if mode == "L" else inks
