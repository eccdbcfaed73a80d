"""Infill nodes: fill the transparent parts of an image, so that a model has something to change there."""

import numpy as np
from PIL import Image
from pydantic import Field

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ColorField, ImageField, Seed
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.pictures import open_picture

NOTHING_TO_TAKE = "the picture is transparent everywhere, so there is nothing to fill it with; use infill_rgba"


@invocation("infill_rgba", title="Infill with a color", category="inpaint", version="1.0.0")
class InfillColor(BaseInvocation):
    """A picture with a colour behind what is transparent."""

    image: ImageField = Field(description="Image whose transparent parts are filled")
    color: ColorField = Field(ColorField(r=127, g=127, b=127), description="Colour to fill with")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_picture(context, self.image).convert("RGBA")
        filled = Image.alpha_composite(Image.new("RGBA", picture.size, self.color.rgba), picture)
        return context.images.output(filled.convert("RGB") if self.color.a == 255 else filled)


@invocation("infill_tile", title="Infill with tiles", category="inpaint", version="1.0.0")
class InfillTiles(BaseInvocation):
    """A picture with random tiles of its own behind transparent parts; tiles are smaller if none is opaque."""

    image: ImageField = Field(description="Image whose transparent parts are filled")
    tile_size: int = Field(32, ge=1, le=4096, description="Side of a tile in pixels")
    seed: Seed = Field(None, description="Seed of the choice of tiles; drawn anew at every run if left out")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture = open_picture(context, self.image).convert("RGBA")
        pixels = np.asarray(picture)
        size = min(self.tile_size, *picture.size)
        while not len(tiles := _whole_tiles(pixels, size)):
            if size == 1:
                raise NbgraphError(NOTHING_TO_TAKE)
            size = max(1, size // 2)
        rows, columns = -(-picture.height // size), -(-picture.width // size)
        chosen = tiles[np.random.default_rng(self.seed).integers(len(tiles), size=rows * columns)]
        laid = chosen.reshape(rows, columns, size, size, 4).swapaxes(1, 2).reshape(rows * size, columns * size, 4)
        # tiles cover more than the image, and Pillow needs contiguous memory
        behind = Image.fromarray(np.ascontiguousarray(laid[: picture.height, : picture.width]))
        return context.images.output(Image.alpha_composite(behind, picture).convert("RGB"))


@invocation("infill_smooth", title="Infill smoothly", category="inpaint", version="1.0.0")
class InfillSmooth(BaseInvocation):
    """A picture whose transparent parts are filled smoothly with the colours around them.

    By push and pull over halved pictures: Gortler and others, The Lumigraph, 1996.
    """

    image: ImageField = Field(description="Image whose transparent parts are filled")

    def invoke(self, context: InvocationContext) -> ImageOutput:
        return context.images.output(filled_smoothly(open_picture(context, self.image).convert("RGBA")))


def filled_smoothly(picture: Image.Image) -> Image.Image:
    """Return an image in RGB whose transparent parts, in RGBA, are filled smoothly with the colours around them.

    Raises
    ------
    NbgraphError
        It is transparent everywhere.
    """
    if picture.getchannel("A").getbbox() is None:
        raise NbgraphError(NOTHING_TO_TAKE)
    levels = [picture]
    while max(levels[-1].size) > 1:
        levels.append(_halved(levels[-1]))
    behind = levels[-1]
    # the smallest level is the mean of all colours, whatever its alpha
    behind.putalpha(255)
    for level in reversed(levels[:-1]):
        behind = Image.alpha_composite(behind.resize(level.size, Image.Resampling.BILINEAR), level)
    return behind.convert("RGB")


def _halved(picture: Image.Image) -> Image.Image:
    """Return an image at half its size. The alphas of four pixels are added, so that no colour fades out."""
    size = -(-picture.width // 2), -(-picture.height // 2)
    half = picture.resize(size, Image.Resampling.BOX)
    half.putalpha(half.getchannel("A").point([min(255, value * 4) for value in range(256)]))
    return half


def _whole_tiles(pixels: np.ndarray, size: int) -> np.ndarray:
    """Return the tiles of an image that are opaque everywhere: (count, size, size, 4)."""
    rows, columns = pixels.shape[0] // size, pixels.shape[1] // size
    cut = pixels[: rows * size, : columns * size].reshape(rows, size, columns, size, 4).swapaxes(1, 2)
    tiles = cut.reshape(rows * columns, size, size, 4)
    return tiles[(tiles[..., 3] == 255).all(axis=(1, 2))]
