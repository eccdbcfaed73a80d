"""Nodes that write text on images, and arrange images on a sheet with labels."""

from math import ceil, sqrt
from typing import Literal

from PIL import Image, ImageDraw, ImageFont
from pydantic import Field

from nbgraph.errors import NbgraphError
from nbgraph.image_modes import has_alpha
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ColorField, ImageField
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.pictures import check_size, open_picture

Place = Literal["top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"]


@invocation("img_text", title="Text on image", category="image", version="1.0.0")
class TextOnImage(BaseInvocation):
    """A text drawn on a picture, in lines as they are given, in Pillow's own font (Latin letters)."""

    image: ImageField = Field(description="Image to write on")
    text: str = Field("", max_length=10_000, description="Text to write; line breaks are kept")
    place: Place = Field("bottom left", description="Edge or corner at which the text is placed")
    size: float = Field(24.0, ge=4, le=1024, description="Height of the letters in pixels")
    margin: int = Field(8, ge=0, le=4096, description="Distance from the edge in pixels")
    color: ColorField = Field(ColorField(r=255, g=255, b=255), description="Colour of the letters")
    outline: ColorField = Field(
        ColorField(), title="Outline colour", description="Colour of the line around the letters"
    )
    outline_width: int = Field(1, ge=0, le=64, description="Width of that line in pixels; 0 draws none")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_picture(context, self.image)
        # a layer of its own: drawing replaces alpha instead of blending it
        layer = Image.new("RGBA", picture.size)
        draw, font = ImageDraw.Draw(layer), ImageFont.load_default(self.size)
        box = draw.multiline_textbbox((0, 0), self.text, font=font, stroke_width=self.outline_width)
        # the box of a text does not begin at 0: letters have bearings, and outlines add to them
        x = _along(self.place, ("left", "right"), picture.width, box[2] - box[0], self.margin) - box[0]
        y = _along(self.place, ("top", "bottom"), picture.height, box[3] - box[1], self.margin) - box[1]
        draw.multiline_text(
            (x, y),
            self.text,
            fill=self.color.rgba,
            font=font,
            stroke_width=self.outline_width,
            stroke_fill=self.outline.rgba,
        )
        drawn = Image.alpha_composite(picture.convert("RGBA"), layer)
        return context.images.output(drawn if has_alpha(picture) else drawn.convert("RGB"))


@invocation("image_grid", title="Image grid", category="image", version="1.0.0")
class ImageGrid(BaseInvocation):
    """Pictures on one sheet, row by row, each in the middle of a cell, with a label below where there is one."""

    images: list[ImageField] = Field(min_length=1, max_length=10_000, description="Images of the sheet, row by row")
    labels: list[str] = Field([], description="Text below each image, in the same order; may be fewer")
    columns: int | None = Field(
        None, ge=1, le=1000, description="Images in a row; left out, as many as make the sheet about square"
    )
    gap: int = Field(4, ge=0, le=1024, description="Space around each cell in pixels")
    background: ColorField = Field(ColorField(r=255, g=255, b=255), description="Colour behind the images")
    label_color: ColorField = Field(ColorField(), description="Colour of the labels")
    label_size: float = Field(16.0, ge=4, le=256, description="Height of the labels in pixels")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        if len(self.labels) > len(self.images):
            counts = f"{len(self.labels)} labels for {len(self.images)} images"
            raise NbgraphError(f"labels: there are {counts}; leave some out")
        # sizes from records, because opening all images at once could fill the memory
        records = [context.images.record(field) for field in self.images]
        columns = min(self.columns or ceil(sqrt(len(records))), len(records))
        rows = ceil(len(records) / columns)
        font = ImageFont.load_default(self.label_size)
        below = ceil(self.label_size * 1.4) if any(self.labels) else 0
        width, height = max(each.width for each in records), max(each.height for each in records)
        sheet_size = columns * (width + self.gap) + self.gap, rows * (height + below + self.gap) + self.gap
        check_size(*sheet_size)
        sheet = Image.new("RGBA", sheet_size, self.background.rgba)
        draw = ImageDraw.Draw(sheet)
        for number, field in enumerate(self.images):
            picture = open_picture(context, field).convert("RGBA")
            left = self.gap + number % columns * (width + self.gap)
            top = self.gap + number // columns * (height + below + self.gap)
            place = left + (width - picture.width) // 2, top + (height - picture.height) // 2
            sheet.alpha_composite(picture, place)
            if number < len(self.labels):
                label = _shortened(self.labels[number], font, width)
                middle = left + width / 2, top + height + below / 2
                draw.text(middle, label, fill=self.label_color.rgba, font=font, anchor="mm")
            context.progress(number + 1, len(self.images))
        return context.images.output(sheet.convert("RGB") if self.background.a == 255 else sheet)


def _along(place: str, ends: tuple[str, str], length: int, taken: float, margin: int) -> float:
    """Return where a text begins along one axis, in pixels.

    Parameters
    ----------
    place
        A `Place`.
    ends
        The words for the beginning and the end of the axis.
    length, taken
        Pixels of the image and of the text along the axis.
    margin
        Pixels between the text and an edge.
    """
    words = place.split()
    if ends[0] in words:
        return margin
    return length - taken - margin if ends[1] in words else (length - taken) / 2


def _shortened(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Return the first line of a label, cut off with dots if it is wider than `width` pixels."""
    label = label.splitlines()[0] if label else ""
    if font.getlength(label) <= width:
        return label
    while label and font.getlength(label + "...") > width:
        # a twentieth at a time: measuring a text takes time with its length
        label = label[: -max(1, len(label) // 20)]
    return label + "..."
