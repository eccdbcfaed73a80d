"""HTML without scripts, for readers without a kernel: pictures and tables, small, with every text escaped."""

from base64 import b64encode
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FIGURE = "display:inline-block;margin:0 8px 8px 0;text-align:center;vertical-align:top;max-width:144px"
IMAGE = "display:block;width:128px;height:128px;object-fit:contain;border-radius:4px"
EMPTY = f"{IMAGE};line-height:128px;background:lightgray;color:black"
CAPTION = "font-size:12px;overflow-wrap:anywhere"


def pictures_html(pictures: Iterable[tuple[str, bytes | str]], note: str) -> str:
    """(caption, WebP bytes, or why there are none) as figures in a row, and a line of text below."""
    figures = "".join(
        f'<figure style="{FIGURE}">{_image(caption, data)}'
        f'<figcaption style="{CAPTION}">{escape(caption)}</figcaption></figure>'
        for caption, data in pictures
    )
    return f"<div>{figures}</div><p>{escape(note)}</p>"


def _image(caption: str, data: bytes | str) -> str:
    if isinstance(data, str):
        return f'<div style="{EMPTY}">{escape(data)}</div>'
    return f'<img alt="{escape(caption)}" style="{IMAGE}" src="data:image/webp;base64,{b64encode(data).decode()}">'


def picture_html(png: bytes, text: str) -> str:
    """A PNG picture, with the text that stands for it."""
    return f'<img alt="{escape(text)}" style="max-width:100%" src="data:image/png;base64,{b64encode(png).decode()}">'


def table_html(frame: "pd.DataFrame", note: str, rows: int = 20) -> str:
    """The first rows of a frame as a table, and a line of text below that says what is left out."""
    left_out = f"; {len(frame) - rows} more rows" if len(frame) > rows else ""
    table = frame.head(rows).to_html(index=False, border=0, escape=True)
    return f"{table}<p>{escape(note)}{left_out}</p>"
