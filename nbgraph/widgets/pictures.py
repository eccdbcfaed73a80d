"""Pictures small enough to be sent to a page."""

from io import BytesIO

from PIL import Image

THUMBNAIL = 256
UPLOAD_FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64_000_000


def thumbnail(image: Image.Image, size: int = THUMBNAIL) -> bytes:
    """The picture within `size` x `size` pixels, as JPEG, or as PNG where it has transparency."""
    small = image.copy()
    small.thumbnail((size, size))
    target = BytesIO()
    if small.mode in ("RGBA", "LA", "PA") or "transparency" in small.info:
        small.convert("RGBA").save(target, "PNG")
    else:
        small.convert("RGB").save(target, "JPEG", quality=82)
    return target.getvalue()


def open_upload(data: bytes) -> Image.Image:
    """The picture in a file that a person uploaded; `ValueError` if it is none of PNG, JPEG, WebP, or too large."""
    try:
        with Image.open(BytesIO(data), formats=UPLOAD_FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ValueError(
                    f"the picture has {opened.width} x {opened.height} pixels; at most {MAX_PIXELS:,} are taken"
                )
            opened.load()
            return opened.copy()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"this is no picture that can be read (PNG, JPEG, WebP): {error}") from None


def png(image: Image.Image) -> bytes:
    """The picture in full size as a PNG file, quickly rather than small."""
    target = BytesIO()
    image.save(target, "PNG", compress_level=1)
    return target.getvalue()
