"""The XY picture of a sweep: a cell for each run in rows and columns, with a label at each row and column."""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from nbgraph.image_modes import on_white

MARGIN, LABEL_HEIGHT, SMALLEST_CELL = 4, 16, 96


def draw_sheet(
    cells: Sequence[Image.Image | str], columns: int, over: Sequence[str], beside: Sequence[str]
) -> Image.Image:
    """All cells as one picture; a text stands in an empty cell, and says why it is. `beside` may be left empty."""
    pictures = [_empty(cell) if isinstance(cell, str) else _grown(cell) for cell in cells]
    width = max((picture.width for picture in pictures), default=SMALLEST_CELL)
    height = max((picture.height for picture in pictures), default=SMALLEST_CELL)
    rows = -(-len(pictures) // columns)
    left = _width_of(beside)
    sheet = Image.new("RGB", (left + columns * (width + MARGIN), LABEL_HEIGHT + rows * (height + MARGIN)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        sheet.paste(picture, (left + column * (width + MARGIN), LABEL_HEIGHT + row * (height + MARGIN)))
    for column, text in enumerate(over):
        draw.text((left + column * (width + MARGIN), 2), text[: width // 6], fill="black", font=_font())
    for row, text in enumerate(beside):
        draw.text((2, LABEL_HEIGHT + row * (height + MARGIN) + height // 2), text, fill="black", font=_font())
    return sheet


def tiled(pictures: Sequence[Image.Image]) -> Image.Image:
    """Several pictures as one, in about as many rows as columns; a single one as it is."""
    if len(pictures) == 1:
        return pictures[0]
    columns = ceil(sqrt(len(pictures)))
    width, height = (max(sides) for sides in zip(*(picture.size for picture in pictures)))
    tiles = Image.new("RGB", (columns * width, ceil(len(pictures) / columns) * height), "white")
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        tiles.paste(on_white(picture), (column * width, row * height))
    return tiles


def _empty(why: str) -> Image.Image:
    cell = Image.new("RGB", (SMALLEST_CELL, SMALLEST_CELL), "lightgray")
    middle = SMALLEST_CELL // 2
    ImageDraw.Draw(cell).text((middle, middle), why, fill="black", font=_font(), anchor="mm")
    return cell


def _grown(picture: Image.Image) -> Image.Image:
    grown = max(1, -(-SMALLEST_CELL // max(picture.size)))
    return on_white(picture).resize((picture.width * grown, picture.height * grown), Image.Resampling.NEAREST)


def _width_of(labels: Sequence[str]) -> int:
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    return max((8 + int(draw.multiline_textbbox((0, 0), label, font=_font())[2]) for label in labels), default=0)


def _font() -> Any:
    return ImageFont.load_default(size=11)
