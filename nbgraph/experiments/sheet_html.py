"""The images of a sweep as HTML: a grid whose labels are text, in the colours of the notebook; no kernel, no script.

With more than two axes there is a grid for each combination of the outer ones, to unfold: the first is open.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PIL import Image

from nbgraph.experiments.axes import shown_name
from nbgraph.experiments.sheet import SMALLEST_CELL, grown
from nbgraph.html import SOFT, Html, element, image, joined, noted
from nbgraph.services.images.images_base import thumbnail_of
from nbgraph.texts import value_text

LINE = "1px solid var(--jp-border-color2,#dfe3e8)"
LABEL = "padding:4px 8px;text-align:left;font-weight:600;vertical-align:middle;overflow-wrap:break-word"
# break-word: a column is at least as wide as its longest word, unless that is wider than any column may be
ROW_LABEL = f"{LABEL};min-width:64px;max-width:200px;white-space:normal"
ROW = "background:none"
"""Notebooks colour every second row of a table, and pictures on white stand out from that."""
CELL = "padding:3px;text-align:center;vertical-align:top;background:none"
EMPTY = (
    f"width:128px;min-height:112px;padding:8px;box-sizing:border-box;display:grid;place-items:center;border:{LINE};"
    "border-radius:4px;white-space:normal;overflow-wrap:anywhere;text-align:center"
)
QUIET = ("pending", "running", "cancelled", "no picture", "deleted")
"""Reasons for an empty cell that are no errors."""
FAILED = "color:var(--jp-error-color1,#c62828)"
PICTURE_SIZE = 256
MOST_CELLS = 256
"""Images in one display: each is some kilobytes of the saved notebook."""
# Cards take their colours from the notebook; a page that stands alone gives them by the scheme of its reader.
PAGE_STYLE = (
    ":root{color-scheme:light dark;"
    "--jp-layout-color1:light-dark(#fff,#1f2329);--jp-layout-color2:light-dark(#f4f5f7,#15171a);"
    "--jp-content-font-color1:light-dark(#1f2933,#e4e7eb);--jp-content-font-color2:light-dark(#52606d,#9aa5b1);"
    "--jp-border-color2:light-dark(#dfe3e8,#3a3f47)}"
    "body{margin:24px;font:14px/1.4 system-ui,sans-serif;background:Canvas;color:CanvasText}"
    "table{border-collapse:collapse}"
)

Group = tuple[str, ...]


class Cell(NamedTuple):
    """One combination: its values, its image or why there is none, and a line below it."""

    values: Mapping[str, Any]
    picture: Image.Image | str
    note: str = ""


def sheet_html(cells: Sequence[Cell], groups: Sequence[Group], note: str, limit: int = MOST_CELLS) -> Html:
    """Return the cells as grids: the last axis runs across, the one before down, the others choose the grid.

    Parameters
    ----------
    cells
        In the order of the sweep, the last axis varying fastest.
    groups
        The addresses of each axis.
    note
        The heading.
    limit
        Cells that are shown; the note says how many are left out.
    """
    shown, left_out = cells[:limit], len(cells) - limit
    outer = [name for group in groups[:-2] for name in group]
    grids: dict[str, list[Cell]] = {}
    for cell in shown:
        grids.setdefault(_label(cell.values, outer), []).append(cell)
    parts = [
        _grid(found, groups[-2:]) if not outer else _folded(label, _grid(found, groups[-2:]), number == 0)
        for number, (label, found) in enumerate(grids.items())
    ]
    more = f"; {left_out} more cells: sweep.images, sweep.to_html(path)" if left_out > 0 else ""
    return noted(note, element("div", *parts, class_="nbgraph-sweep"), more=more)


def page_html(content: Html, title: str) -> str:
    """Return a file that stands alone and follows the light or dark scheme of the reader."""
    head = joined(
        [
            element("meta", charset="utf-8"),
            element("title", title),
            element("style", Html(PAGE_STYLE)),
        ]
    )
    return f"<!DOCTYPE html>\n{element('html', element('head', head), element('body', content), lang='en')}\n"


def _folded(label: str, grid: Html, is_open: bool) -> Html:
    summary = element("summary", label, style="cursor:pointer;font-weight:600;padding:4px 0")
    return element("details", summary, grid, open="" if is_open else None)


def _grid(cells: Sequence[Cell], groups: Sequence[Group]) -> Html:
    across = groups[-1] if groups else ()
    down = groups[-2] if len(groups) > 1 else ()
    heads = list(dict.fromkeys(_label(cell.values, across) for cell in cells))
    # A value given twice, or a sweep that is run several times, makes rows of equal labels.
    rows: list[tuple[str, dict[str, list[Cell]]]] = []
    for cell in cells:
        label, head = _label(cell.values, down), _label(cell.values, across)
        if not rows or rows[-1][0] != label or head in rows[-1][1]:
            rows.append((label, {}))
        rows[-1][1].setdefault(head, []).append(cell)
    # No heading: page readers stumble over an empty one.
    corner = [element("td", style=LABEL)] if down else []
    head = element("tr", *corner, *(element("th", text, scope="col", style=LABEL) for text in heads))
    body = [
        element("tr", *_row_label(label, bool(down)), *(_cells(found.get(text, [])) for text in heads), style=ROW)
        for label, found in rows
    ]
    table = element("table", element("thead", head) if across else "", element("tbody", *body))
    return element("div", table, style="overflow-x:auto")


def _row_label(label: str, is_labelled: bool) -> list[Html]:
    return [element("th", label, scope="row", style=ROW_LABEL)] if is_labelled else []


def _cells(found: Sequence[Cell]) -> Html:
    return element("td", *(_cell(cell) for cell in found), style=CELL)


def _cell(cell: Cell) -> Html:
    note = element("div", cell.note, style=f"{SOFT};max-width:256px;white-space:normal") if cell.note else Html()
    if isinstance(cell.picture, str):
        colour = SOFT if cell.picture in QUIET else FAILED
        return joined([element("div", cell.picture, style=f"{EMPTY};{colour}", role="img"), note])
    about = ", ".join(f"{name} {value_text(value, 40)}" for name, value in cell.values.items())
    shown = grown(cell.picture) if max(cell.picture.size) < SMALLEST_CELL else cell.picture
    style = "display:block;border-radius:4px;margin:0 auto;max-width:none"
    width = min(PICTURE_SIZE, shown.width)
    return joined([image(thumbnail_of(shown, PICTURE_SIZE), about or "image", width=width, style=style), note])


def _label(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{shown_name(name)} {shown_value(values[name])}" for name in names)


def shown_value(value: Any) -> str:
    """Return a value as a label: a text without quotes, a number in few digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else value_text(value, 60)
