"""Pictures inside a node: their limits, their modes, and the way from a field to a PIL image and back.

Nodes work on four modes: L, LA, RGB and RGBA. `open_picture` gives one of them, whatever is kept.
"""

from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import Field

from nbgraph.errors import NbgraphError
from nbgraph.image_modes import as_mask, has_alpha, in_plain_mode, on_white
from nbgraph.invocations.base import InvocationContext
from nbgraph.invocations.fields import ImageField

MAX_PIXELS = 89_478_485
"""The largest picture, 1 GiB / 12 bytes: what Pillow itself opens without a warning."""
Side = Annotated[int, Field(gt=0, le=32_768)]
Resampling = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
RESAMPLING = {name: Image.Resampling[name.upper()] for name in Resampling.__args__}  # type: ignore[attr-defined]


def size_problem(width: int, height: int) -> str:
    """What is wrong with a picture of that size, or an empty text."""
    if width * height <= MAX_PIXELS:
        return ""
    return f"makes a picture of {width} x {height} = {width * height:,} pixels; there may be {MAX_PIXELS:,}"


def check_size(width: int, height: int) -> None:
    """Raise `NbgraphError` for a picture over the limit, before it is made."""
    if problem := size_problem(width, height):
        raise NbgraphError(f"this {problem}; choose a smaller size")


def check_sides(known: Any) -> Any:
    """The `check` of nodes with `width` and `height`: (field, problem) for sizes over the limit."""
    if {"width", "height"} <= known.keys() and (problem := size_problem(known["width"], known["height"])):
        yield "width", f"{problem}; choose a smaller size"


def open_picture(context: InvocationContext, field: ImageField) -> Image.Image:
    """The picture of a field, as L, LA, RGB or RGBA."""
    return in_plain_mode(context.images.get(field))


def colors_and_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The picture without alpha, L or RGB, and its alpha channel or None."""
    if not has_alpha(picture):
        return picture, None
    return picture.convert(picture.mode[:-1]), picture.getchannel("A")


def with_alpha(colors: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """The picture with that alpha channel put over it."""
    if alpha is not None:
        colors.putalpha(alpha)
    return colors


def common_mode(*pictures: Image.Image) -> list[Image.Image]:
    """The pictures in the smallest plain mode that holds all of them."""
    mode = "L" if all(picture.mode[0] == "L" for picture in pictures) else "RGB"
    mode += "A" if any(map(has_alpha, pictures)) else ""
    return [picture if picture.mode == mode else picture.convert(mode) for picture in pictures]


def check_equal_sizes(**pictures: Image.Image) -> None:
    """Raise `NbgraphError` with all sizes unless they are the same."""
    if len({picture.size for picture in pictures.values()}) > 1:
        sizes = ", ".join(f"{name} is {picture.width} x {picture.height}" for name, picture in pictures.items())
        raise NbgraphError(f"the pictures must be of one size, and {sizes}; put ResizeImage before one of them")


def open_on_white(context: InvocationContext, field: ImageField) -> Image.Image:
    """The picture of a field as RGB; what is transparent is white."""
    return on_white(context.images.get(field))


def open_mask(context: InvocationContext, field: ImageField, size: tuple[int, int] | None = None) -> Image.Image:
    """The mask of a field, mode L, brought to that size if one is given; what is transparent is black."""
    mask = as_mask(context.images.get(field))
    return mask if size is None or mask.size == size else mask.resize(size, Image.Resampling.BILINEAR)
