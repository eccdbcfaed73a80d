"""The images of a sweep as one image: a labelled grid, for a file or for a reader that shows no HTML."""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from nbgraph.image_modes import on_white

MARGIN, SMALLEST_CELL, TEXT_SIZE = 6, 96, 14
MOST_BESIDE = 240
"""Pixels that the labels of rows may take; longer ones are wrapped."""
PAPER, INK, BLANK = "white", "#1f2933", "#e4e7eb"


def draw_sheet(
    cells: Sequence[Image.Image | str], columns: int, over: Sequence[str], beside: Sequence[str]
) -> Image.Image:
    """Draw all cells as one image, in rows of `columns`.

    Parameters
    ----------
    cells
        Images, and texts for cells without one.
    columns
        Cells in a row.
    over, beside
        The labels of columns and of rows; `beside` may be empty. Long ones are wrapped, never cut.
    """
    width, height = (max(SMALLEST_CELL, side) for side in _largest(cells))
    heads = [wrapped(text, width) for text in over]
    sides = [wrapped(text, MOST_BESIDE) for text in beside]
    left = max((_size(text)[0] for text in sides), default=0) + (2 * MARGIN if sides else 0)
    top = max((_size(text)[1] for text in heads), default=0) + 2 * MARGIN
    height = max([height, *(_size(text)[1] for text in sides)])
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (left + columns * (width + MARGIN), top + rows * (height + MARGIN)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, cell in enumerate(cells):
        row, column = divmod(place, columns)
        corner = left + column * (width + MARGIN), top + row * (height + MARGIN)
        sheet.paste(_cell(cell, width, height), corner)
    for column, text in enumerate(heads):
        draw.multiline_text((left + column * (width + MARGIN), MARGIN), text, fill=INK, font=_font())
    for row, text in enumerate(sides):
        middle = top + row * (height + MARGIN) + height // 2
        draw.multiline_text((MARGIN, middle), text, fill=INK, font=_font(), anchor="lm")
    return sheet


def tiled(pictures: Sequence[Image.Image]) -> Image.Image:
    """Join several images into one, in about as many rows as columns; a single one is returned as it is."""
    if len(pictures) == 1:
        return pictures[0]
    columns = ceil(sqrt(len(pictures)))
    width, height = (max(sides) for sides in zip(*(picture.size for picture in pictures)))
    tiles = Image.new("RGB", (columns * width, ceil(len(pictures) / columns) * height), PAPER)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        tiles.paste(on_white(picture), (column * width, row * height))
    return tiles


def wrapped(text: str, width: int) -> str:
    """Return a text broken into lines of at most so many pixels, between words where possible."""
    lines: list[str] = []
    for given in text.split("\n"):
        line = ""
        for word in given.split(" "):
            joined = f"{line} {word}" if line else word
            if _size(joined)[0] <= width:
                line = joined
                continue
            if line:
                lines.append(line)
            line = word
            while _size(line)[0] > width and len(line) > 1:
                end = next(end for end in range(len(line) - 1, 0, -1) if end == 1 or _size(line[:end])[0] <= width)
                lines.append(line[:end])
                line = line[end:]
        lines.append(line)
    return "\n".join(lines)


def grown(picture: Image.Image) -> Image.Image:
    """Return an image on white; a tiny one enlarged without blur, by a whole factor with nearest pixels."""
    factor = max(1, -(-SMALLEST_CELL // max(picture.size)))
    size = picture.width * factor, picture.height * factor
    return on_white(picture).resize(size, Image.Resampling.NEAREST)


def _largest(cells: Sequence[Image.Image | str]) -> tuple[int, int]:
    sizes = [grown(cell).size for cell in cells if not isinstance(cell, str)] or [(SMALLEST_CELL, SMALLEST_CELL)]
    widths, heights = zip(*sizes)
    return max(widths), max(heights)


def _cell(cell: Image.Image | str, width: int, height: int) -> Image.Image:
    if not isinstance(cell, str):
        return grown(cell)
    empty = Image.new("RGB", (width, height), BLANK)
    text = wrapped(cell, width - 2 * MARGIN)
    ImageDraw.Draw(empty).multiline_text((width // 2, height // 2), text, fill=INK, font=_font(), anchor="mm")
    return empty


def _size(text: str) -> tuple[int, int]:
    box = ImageDraw.Draw(Image.new("RGB", (1, 1))).multiline_textbbox((0, 0), text, font=_font())
    return ceil(box[2]), ceil(box[3])


def _font() -> Any:
    return ImageFont.load_default(size=TEXT_SIZE)
