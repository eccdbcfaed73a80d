"""Nodes for the colours of images: modes, channels, brightness, hue. An alpha channel is kept unless it is changed."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from PIL import Image, ImageChops
from pydantic import Field

from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.color_spaces import ColorChannel, as_byte, change_channel
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.pictures import (
    check_equal_sizes,
    colors_and_alpha,
    common_mode,
    open_picture,
    with_alpha,
)

ImageMode = Literal["L", "LA", "RGB", "RGBA"]


@invocation("img_mul", title="Multiply images", category="image", version="1.0.0")
class MultiplyImages(BaseInvocation):
    """Two pictures of one size multiplied, pixel by pixel: where one is black so is the result."""

    image1: ImageField = Field(title="First image", description="First image")
    image2: ImageField = Field(title="Second image", description="Second image, of the same size")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        first, second = common_mode(open_picture(context, self.image1), open_picture(context, self.image2))
        check_equal_sizes(image1=first, image2=second)
        return context.images.output(ImageChops.multiply(first, second))


@invocation("img_chan", title="Image channel", category="image", version="1.0.0")
class ImageChannel(BaseInvocation):
    """One channel as a grey picture; the alpha channel of a picture without one is white."""

    image: ImageField = Field(description="Image to take the channel from")
    channel: Literal["A", "R", "G", "B"] = Field("A", description="A (alpha), R (red), G (green) or B (blue)")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_picture(context, self.image).convert("RGBA")
        return context.images.output(picture.getchannel(self.channel))


@invocation("img_conv", title="Convert image", category="image", version="1.0.0")
class ConvertImage(BaseInvocation):
    """A picture in another mode: grey (L) or colour (RGB), with an alpha channel (LA, RGBA) or without."""

    image: ImageField = Field(description="Image to convert")
    mode: ImageMode = Field("L", description="L is grey, RGB is colour; LA and RGBA have an alpha channel")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        return context.images.output(open_picture(context, self.image).convert(self.mode))


@invocation("img_lerp", title="Lerp image", category="image", version="1.0.0")
class LerpImage(BaseInvocation):
    """Brightness compressed: black becomes `min`, white becomes `max`, values between change linearly."""

    image: ImageField = Field(description="Image to change")
    min: int = Field(0, ge=0, le=255, title="Darkest", description="Brightness, 0 to 255, that black becomes")
    max: int = Field(255, ge=0, le=255, title="Lightest", description="Brightness, 0 to 255, that white becomes")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        width = self.max - self.min
        return context.images.output(_mapped(context, self.image, lambda value: self.min + value * width / 255))


@invocation("img_ilerp", title="Inverse lerp image", category="image", version="1.0.0")
class InverseLerpImage(BaseInvocation):
    """Brightness stretched: `min` and darker becomes black, `max` and lighter becomes white."""

    image: ImageField = Field(description="Image to change")
    min: int = Field(0, ge=0, le=254, title="Black from", description="Brightness, 0 to 255, that becomes black")
    max: int = Field(255, ge=1, le=255, title="White from", description="Brightness, 0 to 255, that becomes white")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"min", "max"} <= known.keys() and known["max"] <= known["min"]:
            yield "max", f"is {known['max']}, and must be more than min, which is {known['min']}"

    def invoke(self, context: InvocationContext) -> ImageOutput:
        width = max(1, self.max - self.min)
        return context.images.output(_mapped(context, self.image, lambda value: (value - self.min) * 255 / width))


@invocation("img_hue_adjust", title="Adjust hue", category="image", version="1.0.0")
class AdjustHue(BaseInvocation):
    """Every hue rotated by some degrees; 360 is a full turn."""

    image: ImageField = Field(description="Image to change")
    hue: int = Field(0, ge=-360, le=360, description="Degrees to turn every hue by; 360 is a full turn")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        colors, alpha = colors_and_alpha(open_picture(context, self.image))
        hue, saturation, value = colors.convert("RGB").convert("HSV").split()
        # hues are 0 to 255 in Pillow
        turn = round(self.hue * 256 / 360)
        turned = Image.merge("HSV", (hue.point([(v + turn) % 256 for v in range(256)]), saturation, value))
        return context.images.output(with_alpha(turned.convert("RGB"), alpha))


@invocation("img_channel_offset", title="Offset channel", category="image", version="1.0.0")
class OffsetChannel(BaseInvocation):
    """A number added to one channel of a colour space, limited to 0 to 255; a hue wraps around instead."""

    image: ImageField = Field(description="Image to change")
    channel: ColorChannel = Field("Red (RGBA)", description="Channel to change, with its colour space")
    offset: int = Field(
        0, ge=-255, le=255, description="Amount to add, of 255; negative subtracts, and a hue wraps around"
    )

    def invoke(self, context: InvocationContext) -> ImageOutput:
        # a hue is an angle, so it wraps around where others are limited
        if self.channel == "Hue (HSV)":
            changed = _channel_mapped(context, self.image, self.channel, lambda value: (value + self.offset) % 256)
        else:
            changed = _channel_mapped(context, self.image, self.channel, lambda value: value + self.offset)
        return context.images.output(changed)


@invocation("img_channel_multiply", title="Multiply channel", category="image", version="1.0.0")
class MultiplyChannel(BaseInvocation):
    """One channel of a colour space multiplied, limited to 0 to 255, then inverted with `invert_channel`."""

    image: ImageField = Field(description="Image to change")
    channel: ColorChannel = Field("Red (RGBA)", description="Channel to change, with its colour space")
    scale: float = Field(1.0, ge=0, le=1000, description="Factor on the channel; 1 changes nothing")
    invert_channel: bool = Field(False, title="Invert", description="Invert the channel after multiplying")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        def change(value: int) -> float:
            scaled = min(255, value * self.scale)
            return 255 - scaled if self.invert_channel else scaled

        return context.images.output(_channel_mapped(context, self.image, self.channel, change))


def _mapped(context: InvocationContext, field: ImageField, change: Callable[[int], float]) -> Image.Image:
    """Return the image of a field with every colour channel changed by one function."""
    colors, alpha = colors_and_alpha(open_picture(context, field))
    return with_alpha(colors.point([as_byte(change(value)) for value in range(256)] * len(colors.getbands())), alpha)


def _channel_mapped(
    context: InvocationContext, field: ImageField, channel: str, change: Callable[[int], float]
) -> Image.Image:
    """Return the image of a field with one channel of a colour space changed."""
    return change_channel(open_picture(context, field), channel, [as_byte(change(value)) for value in range(256)])
