"""Images as the bytes of a PNG file, for archives and for what travels between processes."""

from io import BytesIO

from PIL import Image

from nbgraph.errors import ArchiveError
from nbgraph.services.images.images_common import ImageRecord


def to_png(image: Image.Image) -> bytes:
    """Return an image as the bytes of a PNG, without loss."""
    file = BytesIO()
    image.save(file, "PNG", compress_level=4)
    return file.getvalue()


def from_png(data: bytes, record: ImageRecord) -> Image.Image:
    """Return the image in the bytes of a PNG.

    Raises
    ------
    ArchiveError
        They are not a PNG of the size in the record.
    """
    try:
        # only PNG: each other decoder would be one more that a hostile file can reach
        opened = Image.open(BytesIO(data), formats=("PNG",))
        if opened.size != (record.width, record.height):
            raise ValueError(f"it has {opened.size} pixels")
        opened.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ArchiveError(f"the picture {record.image_name} cannot be read ({str(error)[:200]})") from None
    return opened
