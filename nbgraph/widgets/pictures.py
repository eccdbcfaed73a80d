"""Images sent to a page and received from it: thumbnails, uploads, and those a canvas offers to choose from."""

from collections import OrderedDict
from io import BytesIO
from threading import Lock
from typing import Any

from PIL import Image, ImageOps

from nbgraph.errors import NbgraphError
from nbgraph.image_modes import has_alpha, in_plain_mode
from nbgraph.services.images.images_base import ImageServiceBase
from nbgraph.services.images.images_common import ImageQuery
from nbgraph.services.images.kept_pictures import picture_or_why
from nbgraph.widgets.editor_messages import PicturesRequest, UploadRequest
from nbgraph.widgets.rpc import Answer

THUMBNAIL = 256
UPLOAD_FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64_000_000
MAX_UPLOAD = 32 * 2**20
"""Bytes of a file that a person uploads."""
KEPT_THUMBNAILS = 512
OFFERED = 24
OFFERED_SIZE = 96


def thumbnail(image: Image.Image, size: int = THUMBNAIL) -> bytes:
    """Return an image within `size` x `size` pixels as a JPEG file, or as PNG where it has transparency."""
    plain = in_plain_mode(image)
    # `thumbnail` changes an image in place, and this one may be the studio's own.
    small = plain.copy() if plain is image else plain
    small.thumbnail((size, size))
    target = BytesIO()
    if has_alpha(small):
        small.convert("RGBA").save(target, "PNG")
    else:
        small.convert("RGB").save(target, "JPEG", quality=82)
    return target.getvalue()


def open_upload(data: bytes) -> Image.Image:
    """Return the image in an uploaded file, upright, as L, LA, RGB or RGBA.

    Raises
    ------
    ValueError
        The file is not PNG, JPEG or WebP, is damaged, or has too many pixels.
    """
    try:
        with Image.open(BytesIO(data), formats=UPLOAD_FORMATS) as opened:
            # Before the pixels are decoded: a file of some kilobytes can hold gigabytes of them.
            if opened.width * opened.height > MAX_PIXELS:
                raise ValueError(
                    f"the picture has {opened.width} x {opened.height} pixels; at most {MAX_PIXELS:,} are accepted"
                )
            opened.load()
            return in_plain_mode(ImageOps.exif_transpose(opened)).copy()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"the file is not an image that can be read (PNG, JPEG, WebP): {error}") from None


def png(image: Image.Image) -> bytes:
    """Return an image in full size as a PNG file, compressed quickly rather than well."""
    target = BytesIO()
    image.save(target, "PNG", compress_level=1)
    return target.getvalue()


class Thumbnails:
    """The 512 thumbnails used last, as WebP files of at most 256 pixels."""

    def __init__(self, images: ImageServiceBase) -> None:
        self._images = images
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, name: str) -> bytes:
        """Return the thumbnail of an image; empty if the image is gone or cannot be read."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        # Not under the lock: reading an image takes milliseconds, and a page asks for many.
        try:
            made = self._images.thumbnail(name)
        except (NbgraphError, OSError):
            return b""
        with self._lock:
            self._kept[name] = made
            while len(self._kept) > KEPT_THUMBNAILS:
                self._kept.popitem(last=False)
        return made


def answer_pictures(images: ImageServiceBase, request: PicturesRequest | UploadRequest, buffers: list[Any]) -> Answer:
    """Return the answer to a page that sent an image or requests some."""
    if isinstance(request, UploadRequest):
        return {"type": "uploaded", "name": save_upload(images, buffers)}, []
    is_newest = request.names is None
    found = newest_pictures(images) if request.names is None else thumbnails(images, request.names)
    return {"type": "pictures", "names": list(found), "newest": is_newest}, list(found.values())


def newest_pictures(images: ImageServiceBase) -> dict[str, bytes]:
    """Return thumbnails of the newest images that are not intermediate, by name."""
    records = images.list(ImageQuery(is_intermediate=False), per_page=OFFERED).items
    return thumbnails(images, [record.image_name for record in records])


def thumbnails(images: ImageServiceBase, names: list[str]) -> dict[str, bytes]:
    """Return thumbnails by name, of the images that can be shown."""
    found = {name: picture_or_why(images, name) for name in names[:OFFERED]}
    return {name: thumbnail(picture, OFFERED_SIZE) for name, picture in found.items() if not isinstance(picture, str)}


def save_upload(images: ImageServiceBase, buffers: list[bytes | memoryview]) -> str:
    """Store the image file in the first buffer and return the image's name."""
    if len(buffers) != 1:
        raise ValueError(f"an image must come in one buffer, and {len(buffers)} came")
    # One byte over the limit is enough to see that a file is too large.
    data = bytes(buffers[0][: MAX_UPLOAD + 1])
    if len(data) > MAX_UPLOAD:
        raise ValueError(f"the file is larger than {MAX_UPLOAD:,} bytes")
    return images.save(open_upload(data), category="user").image_name
