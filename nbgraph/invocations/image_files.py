"""Picture files: read with care. Only PNG, JPEG and WebP, only up to a size, and damage is an error that says so."""

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
    """What keeps a file from being loaded, by its header alone; an empty text if nothing does."""
    try:
        with _open(path):
            return ""
    except NbgraphError as error:
        return str(error)


def read_picture(path: Path) -> Image.Image:
    """The picture in a file, upright as its EXIF data say, as L, LA, RGB or RGBA; the first frame if there are many."""
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
        raise NbgraphError(f"{str(path)!r} is no picture this node reads (possible: PNG, JPEG, WebP)") from None
    except Image.DecompressionBombError as error:
        raise NbgraphError(f"{str(path)!r} is too large: {error}") from None
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise NbgraphError(f"{str(path)!r} cannot be read: {error}") from None
    if problem := size_problem(*opened.size):
        opened.close()
        raise NbgraphError(f"{str(path)!r} {problem}; make it smaller")
    return opened
