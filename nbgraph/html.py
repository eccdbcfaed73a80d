"""HTML without scripts, for readers without a kernel: pictures and tables, small, with every text escaped."""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FIGURE = "display:inline-block;margin:0 8px 8px 0;text-align:center;vertical-align:top;max-width:144px"
IMAGE = "display:block;width:128px;height:128px;object-fit:contain;border-radius:4px"
EMPTY = f"{IMAGE};line-height:128px;background:lightgray;color:black"
CAPTION = "font-size:12px;overflow-wrap:anywhere"
FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.4"
CARDS = f"display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:12px;max-width:1100px;{FONT}"
CARD = (
    "margin:0;border:1px solid var(--jp-border-color2,#dfe3e8);border-radius:8px;overflow:hidden;min-width:0;"
    "background:var(--jp-layout-color1,#fff)"
)
COVER = (
    "display:block;width:100%;height:132px;object-fit:contain;padding:8px;box-sizing:border-box;margin:0;"
    "background:var(--jp-layout-color2,#f4f5f7)"
)
NO_COVER = "line-height:116px;text-align:center;color:var(--jp-content-font-color2,#52606d)"
CARD_TEXT = "padding:8px 12px 10px;text-align:left"
TITLE = "font-weight:600;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
SOFT = "color:var(--jp-content-font-color2,#52606d);font-size:12px"
CALL = (
    "display:block;margin-top:6px;font-size:11.5px;overflow-wrap:anywhere;background:none;padding:0;"
    "color:var(--jp-content-font-color1,#1f2933)"
)


def pictures_html(pictures: Iterable[tuple[str, bytes | str]], note: str) -> str:
    """(caption, WebP bytes, or why there are none) as figures in a row, and a line of text below."""
    figures = "".join(
        f'<figure style="{FIGURE}">{_image(caption, data)}'
        f'<figcaption style="{CAPTION}">{escape(caption)}</figcaption></figure>'
        for caption, data in pictures
    )
    return f"<div>{figures}</div><p>{escape(note)}</p>"


@dataclass(frozen=True)
class Card:
    """A picture with a title, a line about it and what to type; `picture` is an image file, or why there is none."""

    title: str
    about: str
    call: str
    picture: bytes | str


def cards_html(cards: Iterable[Card], note: str) -> str:
    """Cards side by side, as many as fit, and a line of text below."""
    shown = "".join(
        f'<figure style="{CARD}">{_cover(card)}<figcaption style="{CARD_TEXT}">'
        f'<div style="{TITLE}">{escape(card.title)}</div><div style="{SOFT}">{escape(card.about)}</div>'
        f'<code style="{CALL}">{escape(card.call)}</code></figcaption></figure>'
        for card in cards
    )
    return f'<div style="{CARDS}">{shown}</div><p style="{SOFT}">{escape(note)}</p>'


def _cover(card: Card) -> str:
    if isinstance(card.picture, str):
        return f'<div style="{COVER};{NO_COVER}">{escape(card.picture)}</div>'
    data = b64encode(card.picture).decode()
    return f'<img alt="{escape(card.title)}" style="{COVER}" src="data:{_mime(card.picture)};base64,{data}">'


def _mime(picture: bytes) -> str:
    """Return the type of an image file by its first bytes."""
    if picture.startswith(b"\x89PNG"):
        return "image/png"
    if picture.startswith(b"\xff\xd8"):
        return "image/jpeg"
    return "image/svg+xml" if picture.lstrip().startswith(b"<svg") else "image/webp"


def _image(caption: str, data: bytes | str) -> str:
    if isinstance(data, str):
        return f'<div style="{EMPTY}">{escape(data)}</div>'
    return f'<img alt="{escape(caption)}" style="{IMAGE}" src="data:image/webp;base64,{b64encode(data).decode()}">'


def picture_html(png: bytes, text: str) -> str:
    """Return a PNG picture as HTML, with its text for readers who do not see it."""
    return f'<img alt="{escape(text)}" style="max-width:100%" src="data:image/png;base64,{b64encode(png).decode()}">'


def table_html(frame: "pd.DataFrame", note: str, rows: int = 20) -> str:
    """The first rows of a frame as a table, and a line of text below that says what is left out."""
    left_out = f"; {len(frame) - rows} more rows" if len(frame) > rows else ""
    table = frame.head(rows).to_html(index=False, border=0, escape=True)
    return f"{table}<p>{escape(note)}{left_out}</p>"
