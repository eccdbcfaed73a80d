"""Pictures small enough to be sent to a page."""

from io import BytesIO

from PIL import Image, ImageOps

from nbgraph.image_modes import has_alpha, in_plain_mode

THUMBNAIL = 256
UPLOAD_FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64_000_000


def thumbnail(image: Image.Image, size: int = THUMBNAIL) -> bytes:
    """The picture within `size` x `size` pixels, as JPEG, or as PNG where it has transparency."""
    plain = in_plain_mode(image)
    small = plain.copy() if plain is image else plain
    small.thumbnail((size, size))
    target = BytesIO()
    if has_alpha(small):
        small.convert("RGBA").save(target, "PNG")
    else:
        small.convert("RGB").save(target, "JPEG", quality=82)
    return target.getvalue()


def open_upload(data: bytes) -> Image.Image:
    """The picture in a file that a person uploaded, upright, as L, LA, RGB or RGBA.

    `ValueError` if it is none of PNG, JPEG, WebP, or too large.
    """
    try:
        with Image.open(BytesIO(data), formats=UPLOAD_FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ValueError(
                    f"the picture has {opened.width} x {opened.height} pixels; at most {MAX_PIXELS:,} are taken"
                )
            opened.load()
            return in_plain_mode(ImageOps.exif_transpose(opened)).copy()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"this is no picture that can be read (PNG, JPEG, WebP): {error}") from None


def png(image: Image.Image) -> bytes:
    """The picture in full size as a PNG file, quickly rather than small."""
    target = BytesIO()
    image.save(target, "PNG", compress_level=1)
    return target.getvalue()
