"""A run as it stays in a saved notebook: HTML and PNG that need neither a kernel nor a script, every text escaped."""

from base64 import b64encode
from typing import Any

from PIL import Image

from nbgraph.html import CARD, Html, element, image, joined
from nbgraph.image_modes import in_plain_mode
from nbgraph.services.images.kept_pictures import picture_or_why
from nbgraph.texts import seconds_text
from nbgraph.widgets.pictures import png, thumbnail
from nbgraph.widgets.run_state import NodeState, RunState, ShownRun, picture_names, run_state

PICTURE_SIZE = 512
SHEET_SIZE = 256
SHOWN_PICTURES = 16
SHEET_PICTURES = 4
SHOWN_NODES = 40
GAP = 4
ALONE, AMONG_OTHERS = 256, 128
"""The least width of a picture on the page, in pixels: small models make small pictures."""

_LINE = "1px solid var(--jp-border-color2, #dfe3e8)"
_SOFT = "color: var(--jp-content-font-color2, #52606d)"
_FONT = "font-family: var(--jp-ui-font-family, system-ui, sans-serif); font-size: 13px; line-height: 1.4"
_CODE = "font-family: var(--jp-code-font-family, monospace); white-space: pre-wrap; overflow-wrap: anywhere"
_ERROR = "color: var(--jp-error-color1, #c62828)"
_EMPTY = "display: inline-block; width: 128px; line-height: 128px; text-align: center; border-radius: 4px; margin: 2px"
_COLOURS = {
    "completed": "var(--jp-success-color1, #2e7d32)",
    "failed": "var(--jp-error-color1, #c62828)",
    "running": "var(--jp-brand-color1, #1976d2)",
}
MARKS = {
    "completed": "✓",
    "done": "✓",
    "cached": "↺",
    "failed": "✕",
    "cancelled": "■",
    "running": "▶",
    "waiting": "·",
    "pending": "·",
    "skipped": "–",
}
WORDS = {"skipped": "not run"}
NOTHING = Html()


def static_bundle(run: ShownRun, remix: str = "") -> dict[str, Any]:
    """Return the run as text, as HTML, and as PNG if it gave pictures.

    Parameters
    ----------
    run
        The run. Its pictures are at most 512 pixels wide and high.
    remix
        The model id of the `RunRemix` that offers to make new things from it; empty for none.
    """
    state = run_state(run, SHOWN_NODES)
    names = picture_names(run)
    # A saved notebook grows by each image, so only the first are in it.
    found = [picture_or_why(run.services.images, name) for name in names[:SHOWN_PICTURES]]
    place = remix_place(remix, run.id) if remix else NOTHING
    bundle: dict[str, Any] = {"text/plain": repr(run), "text/html": run_html(state, found, len(names), place)}
    if pictures := [picture for picture in found if isinstance(picture, Image.Image)]:
        bundle["image/png"] = b64encode(png(_sheet(pictures[:SHEET_PICTURES]))).decode()
    return bundle


def remix_place(remix: str, run_id: str) -> Html:
    """Return the empty element into which the page of a `RunRemix` puts the buttons of a run."""
    return element("div", class_=f"nbgraph-remix-{remix}", data_run=run_id)


def run_html(state: RunState, pictures: list[Image.Image | str], count: int, place: Html = NOTHING) -> Html:
    """Return a card: status, pictures or why there are none, results, errors, a place for buttons, nodes to unfold."""
    parts = [_head(state), _pictures(pictures, count), _results(state), *_problems(state), place, _nodes(state)]
    style = f"{CARD}; max-width: 1100px; box-sizing: border-box; {_FONT}"
    return element("div", *parts, class_="nbgraph-run", style=style)


def count_text(state: RunState) -> str:
    """`6 nodes, 2 cached, 1.3 s`"""
    nodes = f"{state.done} node{'' if state.done == 1 else 's'}"
    cached = f", {state.cached} cached" if state.cached else ""
    return f"{nodes}{cached}, {seconds_text(state.seconds)}"


def _head(state: RunState) -> Html:
    colour = _COLOURS.get(state.status, "var(--jp-content-font-color2, #52606d)")
    status = element(
        "span", f"{MARKS.get(state.status, '')} {state.status}", style=f"color: {colour}; font-weight: 600"
    )
    facts = element("span", count_text(state), style=f"{_SOFT}; margin-left: 8px")
    return element("div", status, " ", facts, style="padding: 8px 12px")


def _pictures(pictures: list[Image.Image | str], count: int) -> Html:
    if not pictures:
        return Html()
    least = ALONE if len(pictures) == 1 else AMONG_OTHERS
    shown = joined((_picture(picture, f"picture {number}", least) for number, picture in enumerate(pictures, 1)), " ")
    more = count - len(pictures)
    note = element("div", f"and {more} more in run.images", style=_SOFT) if more else Html()
    return element("div", shown, note, style="padding: 0 12px 8px 12px")


def _results(state: RunState) -> Html:
    lines = [element("div", text) for text in state.results]
    return element("div", *lines, style=f"padding: 0 12px 8px 12px; {_CODE}") if lines else Html()


def _picture(picture: Image.Image | str, label: str, least: int) -> Html:
    if isinstance(picture, str):
        style = f"{_EMPTY}; border: {_LINE}"
        return element("span", picture, role="img", aria_label=f"{label}, {picture}", style=style)
    width = min(PICTURE_SIZE, max(picture.width, least))
    style = "display: inline-block; max-width: 100%; border-radius: 6px; margin: 2px"
    about = f"{label}, {picture.width} x {picture.height}"
    return image(thumbnail(picture, PICTURE_SIZE), about, width=width, style=style)


def _problems(state: RunState) -> list[Html]:
    texts = [f"{node.id}: {node.error}" for node in state.nodes if node.error]
    if state.error:
        texts.append(state.error)
    style = f"{_ERROR}; border-top: {_LINE}; padding: 6px 12px; white-space: pre-wrap; overflow-wrap: anywhere"
    return [element("div", text, role="alert", style=style) for text in texts[:SHOWN_NODES]]


def _nodes(state: RunState) -> Html:
    more = state.total - len(state.nodes)
    note = element("div", f"and {more:,} more in run.stats", style=f"{_SOFT}; padding: 4px 12px") if more else Html()
    # Folded: most readers want the image, and the table may be long.
    title = f"{state.total:,} node{'' if state.total == 1 else 's'}"
    rows = element("table", element("tbody", *map(_row, state.nodes)), style=f"{_FONT}; margin: 0 0 4px 0")
    summary = element("summary", title, style=f"{_SOFT}; padding: 4px 12px; cursor: pointer")
    return element("details", summary, rows, note, style=f"border-top: {_LINE}")


def _row(node: NodeState) -> Html:
    word = WORDS.get(node.status, node.status)
    colour = f"color: {_COLOURS['failed']}" if node.status == "failed" else _SOFT
    times = f" {node.runs}×" if node.runs > 1 else ""
    cached = f", {node.cached} cached" if 0 < node.cached < node.runs else ""
    # Words beside the marks, which a page reader may not know.
    cells = [
        _cell(f"{MARKS.get(node.status, '')} {word}{times}{cached}", colour),
        _cell(node.id),
        _cell("" if node.title.lower() == node.id.lower() else node.title, _SOFT),
        _cell(seconds_text(node.seconds) if node.runs else "", _SOFT, "right"),
    ]
    if node.warning:
        cells.append(_cell(node.warning, _SOFT))
    return element("tr", *cells)


def _cell(text: str, style: str = "", align: str = "left") -> Html:
    return element("td", text, style=f"text-align: {align}; padding: 2px 12px{style and f'; {style}'}")


def _sheet(pictures: list[Image.Image]) -> Image.Image:
    """Pictures side by side, each within 256 pixels; a single one within 512."""
    size = PICTURE_SIZE if len(pictures) == 1 else SHEET_SIZE
    # RGBA, so that a transparent image stays so on a dark page.
    small = [in_plain_mode(picture).convert("RGBA") for picture in pictures]
    for picture in small:
        picture.thumbnail((size, size))
    if len(small) == 1:
        return small[0]
    width = sum(picture.width for picture in small) + GAP * (len(small) - 1)
    sheet = Image.new("RGBA", (width, max(picture.height for picture in small)))
    left = 0
    for picture in small:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    return sheet
