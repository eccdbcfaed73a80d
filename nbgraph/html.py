"""HTML and SVG for notebooks. Every text is escaped here, by `element` and `joined`, and nowhere else.

A view puts elements together; text that did not come from here is never taken for HTML, whatever is in it:

>>> element("td", "a < b", style="color: red")
'<td style="color: red">a &lt; b</td>'
>>> element("tr", element("td", "1"))
'<tr><td>1</td></tr>'

There are no scripts and no event handlers, because untrusted notebooks drop them and their readers have no kernel.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from nbgraph.texts import cell_text, heading_of, spaced

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

VOID = {"img", "meta"}
"""Tags without an end tag."""
FIGURE = "display:inline-block;margin:0 8px 8px 0;text-align:center;vertical-align:top;max-width:144px"
IMAGE = "display:block;width:128px;height:128px;object-fit:contain;border-radius:6px"
EMPTY = (
    f"{IMAGE};line-height:128px;background:var(--jp-layout-color2,#f4f5f7);color:var(--jp-content-font-color2,#52606d)"
)
CAPTION = (
    "font-size:12px;line-height:1.35;margin-top:4px;overflow-wrap:anywhere;color:var(--jp-content-font-color2,#52606d)"
)
FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.4"
CARDS = f"display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:12px;max-width:1100px;{FONT}"
CARD = (
    "margin:0;border:1px solid var(--jp-border-color2,#dfe3e8);border-radius:10px;overflow:hidden;min-width:0;"
    "background:var(--jp-layout-color1,#fff);color:var(--jp-content-font-color1,#1f2933)"
)
PANEL = f"{CARD};max-width:1100px;padding:10px 14px;box-sizing:border-box;overflow:auto;{FONT}"
HEADING = "font-weight:600;margin:0 0 8px"
TABLE = "border-collapse:collapse;border:0;margin:0;font-size:12.5px;font-variant-numeric:tabular-nums"
ROW = "background:none;border-top:1px solid var(--jp-border-color2,#dfe3e8)"
CELL = "padding:4px 18px 4px 0;max-width:420px;overflow-wrap:break-word;vertical-align:top"
DRAWING = (
    "display:block;max-width:100%;height:auto;filter:invert(calc(var(--jp-shadow-base-lightness,0)*.027)) "
    "hue-rotate(calc(var(--jp-shadow-base-lightness,0)*5.625deg))"
)
"""The style of an SVG for white pages, which an image cannot adapt to the theme of the notebook around it.

It is inverted by the only number that differs between the themes of Jupyter, 0 in light ones and 32 in dark ones: white
becomes the grey of cards, and the hues stay. Where styles are taken away it stays light.
"""
UNWRAPPED = 20
"""Letters that a cell of a table may have to stay on one line."""
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


class Html(str):
    """Text that is HTML already, made by this module; it is put into other elements as it is."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: object) -> Html:
    """Return an element with its children, texts escaped.

    Parameters
    ----------
    tag
        The name of the element, from the code.
    children
        `Html`, or text to escape.
    attributes
        By name, values escaped. `class_` is the attribute class, and other underscores are hyphens: `aria_label`.
        None leaves an attribute out.
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    end = "" if tag in VOID else f"</{tag}>"
    return Html(f"<{tag}{given}>{joined(children)}{end}")


def joined(parts: Iterable[str], between: str = "") -> Html:
    """Return elements and texts one after the other, texts escaped."""
    return Html(between.join(part if isinstance(part, Html) else escape(part) for part in parts))


def image(data: bytes, alt: str, **attributes: object) -> Html:
    """Return an image file, PNG, JPEG, WebP or SVG, as an element that holds its data; `alt` describes it."""
    # As the source of an image, SVG runs no script, and a notebook that is not trusted shows it.
    source = f"data:{_media_type(data)};base64,{b64encode(data).decode()}"
    return element("img", alt=alt, **attributes, src=source)


def _media_type(data: bytes) -> str:
    """Return the media type of an image file by its first bytes."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data.startswith(b"\xff\xd8"):
        return "image/jpeg"
    return "image/svg+xml" if data.lstrip().startswith(b"<svg") else "image/webp"


def panel(heading: str, *parts: str) -> Html:
    """Return a card with a heading, as the panels of a live notebook have it."""
    return element("div", element("div", heading, style=HEADING), *parts, style=PANEL)


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = (), numbers: Sequence[bool] = ()) -> Html:
    """Return a table of texts or elements, a row for each sequence of cells; columns of `numbers` at the right."""
    # Notebooks align the cells of a table to the right, which suits numbers and not texts.
    styles = [f"{CELL};text-align:{'right' if is_number else 'left'}" for is_number in numbers]
    plain = f"{CELL};text-align:left"

    def row(tag: str, cells: Sequence[str]) -> Html:
        own = styles or [plain] * len(cells)
        parts = (element(tag, cell, style=style + _wrapping(cell)) for cell, style in zip(cells, own))
        return element("tr", *parts, style=ROW)

    parts = [element("thead", row("th", head))] if head else []
    whole = element("table", *parts, element("tbody", *(row("td", cells) for cells in rows)), style=TABLE)
    return element("div", whole, style="overflow:auto")


def _wrapping(cell: str) -> str:
    """Return the style by which a number with its unit, or a time, stays on one line of a narrow page."""
    return "" if isinstance(cell, Html) or len(cell) > UNWRAPPED else ";white-space:nowrap"


def frame_table(frame: "pd.DataFrame") -> Html:
    """Return a frame as a table without its index, with units; columns without any value are left out."""
    source: Any = frame  # pandas' stubs leave much open
    shown = source.loc[:, (source.notna() & (source != "")).any() | (len(source) == 0)]
    rows = [
        [cell_text(str(name), value) for name, value in zip(shown.columns, row)]
        for row in shown.itertuples(index=False, name=None)
    ]
    numbers = [getattr(kind, "kind", "O") in "iuf" for kind in shown.dtypes]
    return table(rows, [heading_of(str(name)) for name in shown.columns], numbers)


def table_html(frame: "pd.DataFrame", note: str, rows: int = 20) -> Html:
    """Return the first rows of a frame as a card, headed by a note that also says how many are left out."""
    left_out = f"; {len(frame) - rows} more rows" if len(frame) > rows else ""
    return noted(note, *([frame_table(frame.head(rows))] if len(frame) else []), more=left_out)


def noted(note: str, *parts: str, more: str = "") -> Html:
    """Return a card headed by a note: one such as `Cache(3 results)` becomes a heading and the facts about it."""
    return element("div", _heading(note, more), *parts, style=PANEL)


def _heading(note: str, more: str = "") -> Html:
    name, bracket, facts = note.partition("(")
    is_named = bracket and facts.endswith(")") and name.isidentifier()
    title, about = (spaced(name), f"  {facts[:-1]}") if is_named else ("", note)
    return element("div", title, element("span", f"{about}{more}", style=f"{SOFT};font-weight:400"), style=HEADING)


def pictures_html(pictures: Iterable[tuple[str, bytes | str]], note: str) -> Html:
    """Return figures in a row, and a note below.

    Parameters
    ----------
    pictures
        Captions, each with an image file or a text that says why there is none.
    note
        The line below.
    """
    figures = [
        element("figure", _thumbnail(caption, data), element("figcaption", caption, style=CAPTION), style=FIGURE)
        for caption, data in pictures
    ]
    return noted(note, element("div", *figures))


def _thumbnail(caption: str, data: bytes | str) -> Html:
    return element("div", data, style=EMPTY) if isinstance(data, str) else image(data, caption, style=IMAGE)


@dataclass(frozen=True)
class Card:
    """A picture with a title, a line about it and what to type; `picture` is an image file, or why there is none."""

    title: str
    about: str
    call: str
    picture: bytes | str


def cards_html(cards: Iterable[Card], note: str) -> Html:
    """Return cards side by side, as many as fit, and a note below."""
    return joined([element("div", *map(_card, cards), style=CARDS), element("p", note, style=SOFT)])


def _card(card: Card) -> Html:
    if isinstance(card.picture, str):
        cover = element("div", card.picture, style=f"{COVER};{NO_COVER}")
    else:
        cover = image(card.picture, card.title, style=COVER)
    text = element(
        "figcaption",
        element("div", card.title, style=TITLE),
        element("div", card.about, style=SOFT),
        element("code", card.call, style=CALL),
        style=CARD_TEXT,
    )
    return element("figure", cover, text, style=CARD)
