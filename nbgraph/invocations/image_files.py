"""Image files from a person: only PNG, JPEG and WebP, only up to a size, and damage is a clear error."""

import struct
from os.path import isdir, isfile
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from nbgraph.errors import NbgraphError
from nbgraph.image_modes import in_plain_mode
from nbgraph.invocations.pictures import size_problem
from nbgraph.texts import value_text

FORMATS = ("PNG", "JPEG", "WEBP")


def file_problem(path: Path) -> str:
    """Return why a file cannot be loaded, from its header alone; empty if it can."""
    try:
        with _open(path):
            return ""
    except NbgraphError as error:
        return str(error)


def read_picture(path: Path) -> Image.Image:
    """Return the image in a file, rotated as its EXIF data say, in L, LA, RGB or RGBA; the first of several frames.

    Raises
    ------
    NbgraphError
        The file does not exist, is of another format, too large, or damaged.
    """
    with _open(path) as opened:
        try:
            opened.load()
            return in_plain_mode(ImageOps.exif_transpose(opened))
        except (OSError, SyntaxError, ValueError, struct.error) as error:
            raise NbgraphError(f"{str(path)!r} is damaged: {error}; get the file again") from None


def _open(path: Path) -> Image.Image:
    if not isfile(path):
        what = "is a folder" if isdir(path) else "does not exist"
        raise NbgraphError(f"{value_text(str(path))} {what} (looked in {Path.cwd()}); give the path of a picture file")
    try:
        opened = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise NbgraphError(f"{str(path)!r} is not an image that this node reads (possible: PNG, JPEG, WebP)") from None
    except Image.DecompressionBombError as error:
        raise NbgraphError(f"{str(path)!r} is too large: {error}") from None
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise NbgraphError(f"{str(path)!r} cannot be read: {error}") from None
    # Pillow decodes later, in `load`: a small file can hold an image that fills the memory
    if problem := size_problem(*opened.size):
        opened.close()
        raise NbgraphError(f"{str(path)!r} {problem}; make it smaller")
    return opened
