"""Images inside nodes: limits, modes, and opening the image of a field as a PIL image.

Nodes work in four modes: L, LA, RGB and RGBA. `open_picture` converts to one of them.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, get_args

from PIL import Image
from pydantic import Field

from nbgraph.errors import NbgraphError
from nbgraph.image_modes import as_mask, has_alpha, in_plain_mode, on_white
from nbgraph.invocations.base import InvocationContext
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.types import NodeValue

KNOWN_MASKS = 256
_black: dict[str, bool] = {}  # by name: whether a mask is black everywhere; a check is made for each session
MAX_PIXELS = 89_478_485
"""The most pixels of an image, 1 GiB / 12 bytes: the limit above which Pillow warns when it opens a file."""
Side = Annotated[int, Field(gt=0, le=32_768)]
Resampling = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
RESAMPLING: dict[Resampling, Image.Resampling] = {name: Image.Resampling[name.upper()] for name in get_args(Resampling)}


def size_problem(width: int, height: int) -> str:
    """Return the problem of an image of that size in pixels; empty if there is none."""
    if width * height <= MAX_PIXELS:
        return ""
    return f"makes a picture of {width} x {height} = {width * height:,} pixels; at most {MAX_PIXELS:,} are possible"


def check_size(width: int, height: int) -> None:
    """Raise `NbgraphError` for an image over the limit, before it is made."""
    if problem := size_problem(width, height):
        raise NbgraphError(f"this {problem}; choose a smaller size")


def check_sides(known: Mapping[str, NodeValue]) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) for `width` and `height` over the limit: the `check` of nodes that have both."""
    if {"width", "height"} <= known.keys() and (problem := size_problem(known["width"], known["height"])):
        yield "width", f"{problem}; choose a smaller size"


def open_picture(context: InvocationContext, field: ImageField) -> Image.Image:
    """Return the image of a field in L, LA, RGB or RGBA."""
    return in_plain_mode(context.images.get(field))


def colors_and_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return an image without alpha, in L or RGB, and its alpha channel or None."""
    if not has_alpha(picture):
        return picture, None
    return picture.convert(picture.mode[:-1]), picture.getchannel("A")


def with_alpha(colors: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """Return an image with an alpha channel; it is changed in place."""
    if alpha is not None:
        colors.putalpha(alpha)
    return colors


def common_mode(*pictures: Image.Image) -> list[Image.Image]:
    """Return images converted to the smallest of the four modes that loses nothing of any of them."""
    mode = "L" if all(picture.mode[0] == "L" for picture in pictures) else "RGB"
    # one image with alpha gives it to all, or its transparency would be lost
    mode += "A" if any(map(has_alpha, pictures)) else ""
    return [picture if picture.mode == mode else picture.convert(mode) for picture in pictures]


def check_equal_sizes(**pictures: Image.Image) -> None:
    """Raise `NbgraphError` with all sizes unless they are the same."""
    if len({picture.size for picture in pictures.values()}) > 1:
        sizes = ", ".join(f"{name} is {picture.width} x {picture.height}" for name, picture in pictures.items())
        raise NbgraphError(f"the pictures must be of one size, and {sizes}; put ResizeImage before one of them")


def mask_problems(known: Mapping[str, NodeValue], context: InvocationContext) -> Iterator[tuple[str, str]]:
    """Yield ("mask", problem) for a mask that is not of the size of its image, or is black everywhere.

    It is the part of `check` of nodes with the inputs `image` and `mask`, as far as these are known before the run.
    """
    mask = known.get("mask")
    if not isinstance(mask, ImageField):
        return
    if isinstance(image := known.get("image"), ImageField):
        of, on = context.images.record(mask), context.images.record(image)
        if (of.width, of.height) != (on.width, on.height):
            size, wanted = f"{of.width} x {of.height}", f"{on.width} x {on.height}"
            yield "mask", f"is {size}, and the image {wanted}; put ResizeImage before one of them"
            return
    if _is_black(mask, context):
        yield "mask", "is black everywhere, so nothing would be painted; paint some of it white"


def _is_black(mask: ImageField, context: InvocationContext) -> bool:
    """Return whether a stored mask is black everywhere. Images never change, so each is read once."""
    found = _black.get(mask.image_name)
    if found is None:
        if len(_black) >= KNOWN_MASKS:
            _black.clear()
        found = _black[mask.image_name] = open_mask(context, mask).getbbox() is None
    return found


def open_on_white(context: InvocationContext, field: ImageField) -> Image.Image:
    """Return the image of a field in RGB, on white."""
    return on_white(context.images.get(field))


def open_mask(context: InvocationContext, field: ImageField, size: tuple[int, int] | None = None) -> Image.Image:
    """Return the mask of a field in L, resized if a size is given; transparent is black."""
    mask = as_mask(context.images.get(field))
    # bilinear keeps soft edges soft, and cannot overshoot as bicubic does
    return mask if size is None or mask.size == size else mask.resize(size, Image.Resampling.BILINEAR)
