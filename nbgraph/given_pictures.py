"""Pictures that a person brings into a studio, checked as far as what they say can be wrong."""

import json
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from PIL import Image

from nbgraph.errors import ImageModeError, NbgraphError, suggest
from nbgraph.image_modes import in_plain_mode
from nbgraph.invocations.fields import ImageCategory
from nbgraph.invocations.image_files import read_picture
from nbgraph.invocations.pictures import size_problem
from nbgraph.services.images.images_base import mode_error


def open_picture(picture: Image.Image | str | PathLike[str]) -> Image.Image:
    """A PIL image, or the picture in a file, as L, LA, RGB or RGBA; `NbgraphError` if it cannot be.

    `ImageModeError` for mode F, which does not say what number is white, and for mode I beyond 16 bits.
    """
    if isinstance(picture, str | PathLike):
        return read_picture(Path(picture).expanduser())
    if not isinstance(picture, Image.Image):
        kind = type(picture).__name__
        raise NbgraphError(f"a {kind} is no picture; give a PIL image, as Image.fromarray makes one, or a file's path")
    if picture.mode == "F":
        raise mode_error(picture.mode)
    if not all(picture.size):
        raise NbgraphError(f"the picture has {picture.width} x {picture.height} pixels; give one that shows something")
    if problem := size_problem(*picture.size):
        raise NbgraphError(f"the picture {problem}; make it smaller")
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise NbgraphError(f"the picture cannot be read: {error}; open its file again") from None
    try:
        return in_plain_mode(picture)
    except ValueError as error:
        raise ImageModeError(f"a picture of mode {picture.mode!r} cannot be kept: {error}") from None


def check_category(category: ImageCategory) -> None:
    """`NbgraphError` for a category there is not."""
    if category not in get_args(ImageCategory):
        raise NbgraphError(f"no category {category!r}{suggest(str(category), get_args(ImageCategory))}")


def check_metadata(metadata: dict[str, Any] | None) -> None:
    """`NbgraphError` for metadata that are not a dict, or hold what JSON does not give back as it was."""
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise NbgraphError(f"metadata is a {type(metadata).__name__}; give a dict, such as {{'prompt': 'an apple'}}")
    for name, value in metadata.items():
        if problem := _json_problem({name: value}):
            raise NbgraphError(f"metadata {name!r} ({type(value).__name__}) {problem}")


def _json_problem(values: dict[str, Any]) -> str:
    """Why JSON in UTF-8 does not give values back as they are, or an empty text."""
    try:
        text = json.dumps(values, allow_nan=False, ensure_ascii=False)
        text.encode()
        if json.loads(text) == values:
            return ""
    except UnicodeEncodeError as error:
        return f"holds {error.object[error.start]!r}, half of a character; give text that UTF-8 can hold"
    except (TypeError, ValueError, RecursionError):
        pass
    return "is not JSON; give texts, numbers, lists and dicts of texts"
