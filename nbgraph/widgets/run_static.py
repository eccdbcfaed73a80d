"""A run as it stays in a saved notebook: HTML and PNG that need neither a kernel nor a script, every text escaped."""

from base64 import b64encode
from html import escape
from typing import Any

from PIL import Image

from nbgraph.image_modes import in_plain_mode
from nbgraph.services.images.kept_pictures import picture_or_why
from nbgraph.widgets.pictures import png, thumbnail
from nbgraph.widgets.run_state import NodeState, RunState, ShownRun, picture_names, run_state

PICTURE_SIZE = 512
SHEET_SIZE = 256
SHOWN_PICTURES = 16
SHEET_PICTURES = 4
SHOWN_NODES = 40
GAP = 4

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


def static_bundle(run: ShownRun) -> dict[str, Any]:
    """The run as text, as HTML, and as PNG if it gave pictures; the pictures are at most 512 pixels wide and high."""
    state = run_state(run, SHOWN_NODES)
    names = picture_names(run)
    found = [picture_or_why(run.services.images, name) for name in names[:SHOWN_PICTURES]]
    bundle: dict[str, Any] = {"text/plain": repr(run), "text/html": run_html(state, found, len(names))}
    if pictures := [picture for picture in found if isinstance(picture, Image.Image)]:
        bundle["image/png"] = _base64(png(_sheet(pictures[:SHEET_PICTURES])))
    return bundle


def run_html(state: RunState, pictures: list[Image.Image | str], count: int) -> str:
    """A card: what became of the run, its pictures, or why there are none, results, errors, and nodes to unfold."""
    return (
        f'<div class="nbgraph-run" style="border: {_LINE}; border-radius: 8px; max-width: 900px; {_FONT}">'
        f"{_head(state)}{_pictures(pictures, count)}{_results(state)}{_problems(state)}{_nodes(state)}</div>"
    )


def count_text(state: RunState) -> str:
    """`6 nodes, 2 cached, 1.3 s`"""
    nodes = f"{state.done} node{'' if state.done == 1 else 's'}"
    cached = f", {state.cached} cached" if state.cached else ""
    return f"{nodes}{cached}, {seconds_text(state.seconds)}"


def seconds_text(seconds: float) -> str:
    """`12 ms`, `1.3 s`, `2 min 5 s`"""
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def _head(state: RunState) -> str:
    colour = _COLOURS.get(state.status, "var(--jp-content-font-color2, #52606d)")
    return (
        '<div style="padding: 8px 12px">'
        f'<span style="color: {colour}; font-weight: 600">{MARKS.get(state.status, "")} {escape(state.status)}</span> '
        f'<span style="{_SOFT}; margin-left: 8px">{escape(count_text(state))}</span></div>'
    )


def _pictures(pictures: list[Image.Image | str], count: int) -> str:
    if not pictures:
        return ""
    shown = " ".join(_picture(picture, f"picture {number}") for number, picture in enumerate(pictures, 1))
    more = count - len(pictures)
    note = f'<div style="{_SOFT}">and {more} more in run.images</div>' if more else ""
    return f'<div style="padding: 0 12px 8px 12px">{shown}{note}</div>'


def _results(state: RunState) -> str:
    lines = "".join(f"<div>{escape(text)}</div>" for text in state.results)
    return f'<div style="padding: 0 12px 8px 12px; {_CODE}">{lines}</div>' if lines else ""


def _picture(picture: Image.Image | str, label: str) -> str:
    if isinstance(picture, str):
        return f'<span role="img" aria-label="{label}, {picture}" style="{_EMPTY}; border: {_LINE}">{picture}</span>'
    data = thumbnail(picture, PICTURE_SIZE)
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    width = min(PICTURE_SIZE, max(picture.width, 128))
    return (
        f'<img src="data:image/{kind};base64,{_base64(data)}" alt="{label}, {picture.width} x {picture.height}" '
        f'width="{width}" style="display: inline-block; max-width: 100%; border-radius: 4px; margin: 2px">'
    )


def _problems(state: RunState) -> str:
    texts = [f"{node.id}: {node.error}" for node in state.nodes if node.error]
    if state.error:
        texts.append(state.error)
    style = f"{_ERROR}; border-top: {_LINE}; padding: 6px 12px; white-space: pre-wrap; overflow-wrap: anywhere"
    return "".join(f'<div role="alert" style="{style}">{escape(text)}</div>' for text in texts[:SHOWN_NODES])


def _nodes(state: RunState) -> str:
    more = state.total - len(state.nodes)
    rows = "".join(_row(node) for node in state.nodes)
    note = f'<div style="{_SOFT}; padding: 4px 12px">and {more:,} more in run.stats</div>' if more else ""
    title = f"{state.total:,} node{'' if state.total == 1 else 's'}"
    return (
        f'<details style="border-top: {_LINE}"><summary style="{_SOFT}; padding: 4px 12px; cursor: pointer">{title}'
        f'</summary><table style="{_FONT}; margin: 0 0 4px 0"><tbody>{rows}</tbody></table>{note}</details>'
    )


def _row(node: NodeState) -> str:
    word = WORDS.get(node.status, node.status)
    colour = f"color: {_COLOURS['failed']}" if node.status == "failed" else _SOFT
    times = f" {node.runs}×" if node.runs > 1 else ""
    cached = f", {node.cached} cached" if 0 < node.cached < node.runs else ""
    title = "" if node.title.lower() == node.id.lower() else node.title
    cells = [
        f'<td style="text-align: left; padding: 2px 12px; {colour}">{MARKS.get(node.status, "")} {word}{times}{cached}',
        f'<td style="text-align: left; padding: 2px 12px">{escape(node.id)}',
        f'<td style="text-align: left; padding: 2px 12px; {_SOFT}">{escape(title)}',
        f'<td style="text-align: right; padding: 2px 12px; {_SOFT}">{seconds_text(node.seconds) if node.runs else ""}',
    ]
    warning = f'<td style="text-align: left; padding: 2px 12px; {_SOFT}">{escape(node.warning)}</td>'
    return f"<tr>{'</td>'.join(cells)}</td>{warning if node.warning else ''}</tr>"


def _sheet(pictures: list[Image.Image]) -> Image.Image:
    """Pictures side by side, each within 256 pixels; a single one within 512."""
    size = PICTURE_SIZE if len(pictures) == 1 else SHEET_SIZE
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


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
