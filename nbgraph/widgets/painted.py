"""What a mask is painted on, and what comes of it: images and masks that were given, frames that were extended."""

from os import PathLike
from typing import Any, NamedTuple, cast

from PIL import Image

from nbgraph.errors import NbgraphError
from nbgraph.image_modes import as_mask, in_plain_mode
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.fields import ImageCategory, ImageField
from nbgraph.invocations.infill import filled_smoothly
from nbgraph.invocations.pictures import check_size
from nbgraph.services.images.images_base import ImageServiceBase
from nbgraph.views.images import open_picture
from nbgraph.widgets.pictures import MAX_PIXELS

FRAME_STEP = 8
"""Frames grow by whole latent pixels."""
TINT, TINT_SHARE = (232, 62, 98), 0.55
"""The colour of a mask over its image, and its share where the mask is white; the page has the same."""
MASK_METADATA = "painted_on"


class Frame(NamedTuple):
    """A frame about an image, in pixels: where its upper left corner is in the image, and its size.

    These are the inputs of `CropImage` and of the library graph `outpaint`; `x` and `y` are negative outside the image.
    """

    x: int
    y: int
    width: int
    height: int


class Pads(NamedTuple):
    """Pixels by which a frame is larger than its image, on each side."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def frame(self, size: tuple[int, int]) -> Frame:
        """Return the frame about an image of that size.

        Raises
        ------
        NbgraphError
            The frame has too many pixels, or does not grow by multiples of 8.
        """
        if any(pad < 0 or pad % FRAME_STEP for pad in self):
            raise NbgraphError(f"a frame grows by multiples of {FRAME_STEP} pixels, not by {', '.join(map(str, self))}")
        width, height = size[0] + self.left + self.right, size[1] + self.top + self.bottom
        check_size(width, height)
        return Frame(-self.left, -self.top, width, height)


def stored_image(images: ImageServiceBase, given: Any, category: ImageCategory = "user") -> ImageField:
    """Return an image that was given as an image of the studio; a PIL image or a file is stored first.

    Raises
    ------
    NotFoundError
        The image was deleted, or belongs to another studio.
    NbgraphError
        Nothing was given, or nothing that is an image; or the image is too large to be painted on.
    """
    if given is None:
        raise NbgraphError("there is no image to paint on; give an image of the studio, a PIL image or a path")
    if isinstance(given, BaseInvocation):
        raise NbgraphError(f"a {type(given).__name__} is a node; run it and give its image: studio.run(node)[node]")
    name: Any = given if isinstance(given, str) else getattr(given, "image_name", None)
    if isinstance(name, str) and (not isinstance(given, str) or images.exists(name)):
        record = images.record(name)
        _check_pixels(record.width, record.height)
        return ImageField(image_name=name)
    picture = open_picture(cast("Image.Image | str | PathLike[str]", given))
    _check_pixels(*picture.size)
    return ImageField(image_name=images.save(picture, category=category).image_name)


def mask_of(images: ImageServiceBase, given: Any, size: tuple[int, int]) -> tuple[Image.Image, str]:
    """Return a mask that was given, mode L, and its name if it is stored in that form, else an empty name.

    Raises
    ------
    NbgraphError
        It is of another size than the image, or no image.
    """
    name: Any = given if isinstance(given, str) else getattr(given, "image_name", None)
    is_stored = isinstance(name, str) and (not isinstance(given, str) or images.exists(name))
    picture = images.get(name) if is_stored else open_picture(given)
    check_mask_size(picture.size, size)
    is_mask = is_stored and picture.mode == "L" and images.record(name).category == "mask"
    return as_mask(picture), name if is_mask else ""


def check_mask_size(mask: tuple[int, int], image: tuple[int, int]) -> None:
    """Raise `NbgraphError` unless a mask is of the size of its image, width and height in pixels."""
    if mask != image:
        raise NbgraphError(
            f"the mask is {mask[0]} x {mask[1]}, and the image {image[0]} x {image[1]}; give a mask of that size, as "
            f"mask.resize({image}) makes it"
        )


def extended(picture: Image.Image, pads: Pads) -> Image.Image:
    """Return an image within its frame, in RGB: what is new is filled smoothly with the colours beside it."""
    frame = pads.frame(picture.size)
    box = (frame.x, frame.y, frame.x + frame.width, frame.y + frame.height)
    return filled_smoothly(in_plain_mode(picture).convert("RGBA").crop(box))


def overlaid(picture: Image.Image, mask: Image.Image | None, pads: Pads, size: int) -> Image.Image:
    """Return an image with its mask in colour, at most `size` pixels wide and high; the frame around it is grey."""
    frame = pads.frame(picture.size)
    scale = min(1.0, size / max(frame.width, frame.height))
    small = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    shown = Image.new("RGB", (frame.width, frame.height), (128, 128, 128))
    plain = in_plain_mode(picture).convert("RGBA")
    shown.paste(plain, (-frame.x, -frame.y), plain)
    shown = shown.resize(small, Image.Resampling.BILINEAR)
    if mask is not None:
        share = mask.resize(small, Image.Resampling.BILINEAR).point([round(value * TINT_SHARE) for value in range(256)])
        shown.paste(TINT, (0, 0, *small), share)
    return shown


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise NbgraphError(
            f"the image has {width} x {height} pixels, too many to paint on (at most {MAX_PIXELS:,}); "
            "make it smaller by ResizeImage"
        )
