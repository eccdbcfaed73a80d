"""The pictures a person can choose on the canvas: the newest of the studio, and files from their own machine."""

from typing import Any

from nbgraph.services.images.images_base import ImageServiceBase
from nbgraph.services.images.images_common import ImageQuery
from nbgraph.services.images.kept_pictures import picture_or_why
from nbgraph.widgets.editor_messages import MAX_UPLOAD, PicturesRequest, UploadRequest
from nbgraph.widgets.pictures import open_upload, thumbnail

SHOWN = 24
SIZE = 96


def answer_pictures(
    images: ImageServiceBase, message: PicturesRequest | UploadRequest, buffers: list[Any]
) -> tuple[dict[str, Any], list[bytes]]:
    """(message, buffers) that answer a page which sent a picture or asks for some."""
    if isinstance(message, UploadRequest):
        return {"type": "uploaded", "request": message.request, "name": save_upload(images, buffers)}, []
    newest = message.names is None
    found = newest_pictures(images) if message.names is None else thumbnails(images, message.names)
    return {"type": "pictures", "request": message.request, "names": list(found), "newest": newest}, list(
        found.values()
    )


def newest_pictures(images: ImageServiceBase) -> dict[str, bytes]:
    """Name -> thumbnail of the newest pictures that are not intermediate."""
    records = images.list(ImageQuery(is_intermediate=False), per_page=SHOWN).items
    return thumbnails(images, [record.image_name for record in records])


def thumbnails(images: ImageServiceBase, names: list[str]) -> dict[str, bytes]:
    """Name -> thumbnail, of those that can be shown."""
    found = {name: picture_or_why(images, name) for name in names[:SHOWN]}
    return {name: thumbnail(picture, SIZE) for name, picture in found.items() if not isinstance(picture, str)}


def save_upload(images: ImageServiceBase, buffers: list[bytes | memoryview]) -> str:
    """Keep the picture file in the first buffer; returns its name."""
    if len(buffers) != 1:
        raise ValueError(f"a picture comes in one buffer, and {len(buffers)} came")
    data = bytes(buffers[0][: MAX_UPLOAD + 1])
    if len(data) > MAX_UPLOAD:
        raise ValueError(f"the file is larger than {MAX_UPLOAD:,} bytes")
    return images.save(open_upload(data), category="user").image_name
