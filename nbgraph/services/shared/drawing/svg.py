"""A graph drawn as SVG in Python, with the positions of the canvas: for files, and for readers without a kernel."""

from collections.abc import Mapping

from nbgraph.html import DRAWING, Html, element, image, joined
from nbgraph.invocations.types import JsonObject, NodeValue
from nbgraph.services.shared.drawing.layout import (
    HEAD_HEIGHT,
    NODE_WIDTH,
    ROW_HEIGHT,
    SVG_FOOT_HEIGHT,
    LaidOut,
    missing_positions,
)
from nbgraph.texts import shorten

MARGIN = 24
Box = tuple[float, float, float]
"""Left, top and height of a node in pixels."""
Row = tuple[str, str]
"""An input and its value, which is empty where an edge arrives."""
MAX_ROWS = 12
MAX_NODES = 400
STYLE = (
    ".n{fill:#fff;stroke:#9aa5b1}.h{fill:#e8edf3}.t{font:600 13px sans-serif;fill:#1f2933}"
    ".f{font:12px sans-serif;fill:#3e4c59}.v{font:12px sans-serif;fill:#616e7c}"
    ".e{fill:none;stroke:#7b8794;stroke-width:2}.k{fill:#f5f7fa;stroke:#9aa5b1;stroke-dasharray:6 4}"
)
DARK = (
    "@media(prefers-color-scheme:dark){.n{fill:#1f2933;stroke:#52606d}.h{fill:#323f4b}.t{fill:#f5f7fa}.f{fill:#cbd2d9}"
    ".v{fill:#9aa5b1}.k{fill:#27333f;stroke:#52606d}}"
)
"""For readers whose system is dark, such as the README of a repository."""


class GraphDrawing:
    """The drawing of a graph, which shows itself in a notebook; `.svg` is its text.

    >>> from nbgraph.services.shared.graph.graph import Graph
    >>> Graph().show().svg[:4]
    '<svg'
    """

    def __init__(self, graph: LaidOut) -> None:
        self.svg = draw_graph(graph)
        self._text = repr(graph)

    def __repr__(self) -> str:
        return self._text

    @property
    def html(self) -> Html:
        """The drawing as an image in HTML, which is shown in untrusted notebooks too, unlike SVG."""
        light = self.svg.replace(DARK, "")
        return image(light.encode("utf-8", "replace"), self._text, style=DRAWING)

    def mimebundle(self) -> dict[str, str]:
        """Return the drawing as a notebook takes it, by media type."""
        return {"text/plain": self._text, "text/html": self.html, "image/svg+xml": self.svg}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return self.mimebundle()


def draw_graph(graph: LaidOut) -> Html:
    """Return a graph as SVG text; of more than `MAX_NODES` nodes, the first and a line that counts the others."""
    layout = {**graph.layout.get("nodes", {}), **missing_positions(graph)}
    shown = list(graph.nodes)[:MAX_NODES]
    rows = {node_id: _rows(graph, node_id) for node_id in shown}
    boxes = {
        node_id: (
            layout[node_id]["x"],
            layout[node_id]["y"],
            HEAD_HEIGHT + ROW_HEIGHT * len(rows[node_id]) + SVG_FOOT_HEIGHT,
        )
        for node_id in shown
    }
    notes = list(graph.layout.get("notes", {}).values())
    parts = [_note(note) for note in notes]
    # edges before nodes, so that a node lies over those that pass behind it
    parts += [_edges(graph, node_id, boxes, rows) for node_id in shown]
    parts += [_node(graph, node_id, boxes[node_id], rows[node_id]) for node_id in shown]
    left = min([box[0] for box in boxes.values()] + [note["x"] for note in notes], default=0) - MARGIN
    top = min([box[1] for box in boxes.values()] + [note["y"] for note in notes], default=0) - MARGIN
    right = max([box[0] + NODE_WIDTH for box in boxes.values()] + [n["x"] + n["width"] for n in notes], default=0)
    bottom = max([box[1] + box[2] for box in boxes.values()] + [n["y"] + n["height"] for n in notes], default=0)
    if len(shown) < len(graph.nodes):
        bottom += ROW_HEIGHT
        parts.append(_text(left + MARGIN, bottom, "t", f"and {len(graph.nodes) - len(shown)} more nodes"))
    width, height = right - left + MARGIN, bottom - top + MARGIN
    return element(
        "svg",
        element("title", repr(graph)),
        element("style", Html(STYLE + DARK)),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"{left:g} {top:g} {width:g} {height:g}",
        width=f"{min(width, 980):g}",
        role="img",
        style="max-width:100%",
    )


def _rows(graph: LaidOut, node_id: str) -> list[Row]:
    node = graph.nodes[node_id]
    linked = {link.field for link in graph.links(node_id)}
    typed = {name: value for name, value in node.literals().items() if name in node.model_fields_set}
    rows = [
        (name, "" if name in linked else _short(typed[name]))
        for name in node.inputs()
        if name in linked or name in typed
    ]
    return rows[:MAX_ROWS]


def _short(value: NodeValue, limit: int = 22) -> str:
    text = value if isinstance(value, str) else repr(value)
    return shorten(" ".join(text.split()), limit)


def _node(graph: LaidOut, node_id: str, box: Box, rows: list[Row]) -> Html:
    x, y, height = box
    title = _short(f"{type(graph.nodes[node_id]).title or graph.nodes[node_id].type} · {node_id}", 32)
    parts = [
        _box("n", x, y, NODE_WIDTH, height, 6),
        _box("h", x + 1, y + 1, NODE_WIDTH - 2, HEAD_HEIGHT - 4, 5),
        _text(x + 10, y + 21, "t", title),
    ]
    for number, (name, value) in enumerate(rows):
        line = y + HEAD_HEIGHT + ROW_HEIGHT * number + 17
        parts += [_text(x + 12, line, "f", _short(name, 16)), _text(x + NODE_WIDTH - 12, line, "v", value, "end")]
    return element("g", *parts)


def _edges(graph: LaidOut, node_id: str, boxes: Mapping[str, Box], rows: Mapping[str, list[Row]]) -> Html:
    names = [name for name, _ in rows[node_id]]
    x, y, _ = boxes[node_id]
    parts: list[Html] = []
    for link in graph.links(node_id):
        if link.source not in boxes:
            continue
        row = names.index(link.field) if link.field in names else len(names) - 1
        from_x, from_y = boxes[link.source][0] + NODE_WIDTH, boxes[link.source][1] + HEAD_HEIGHT / 2
        to_y = y + HEAD_HEIGHT + ROW_HEIGHT * row + 13
        bend = max(40.0, abs(x - from_x) / 2)
        curve = f"M{from_x:g} {from_y:g}C{from_x + bend:g} {from_y:g} {x - bend:g} {to_y:g} {x:g} {to_y:g}"
        parts.append(element("path", class_="e", d=curve))
    return joined(parts)


def _note(note: JsonObject) -> Html:
    x, y = note["x"], note["y"]
    box = _box("k", x, y, note["width"], note["height"], 8)
    return joined([box, _text(x + 10, y + 20, "t", _short(note["text"], 60))])


def _box(kind: str, x: float, y: float, width: float, height: float, rounding: int) -> Html:
    size = {"width": f"{width:g}", "height": f"{height:g}"}
    return element("rect", class_=kind, x=f"{x:g}", y=f"{y:g}", **size, rx=rounding)


def _text(x: float, y: float, kind: str, text: str, anchor: str = "start") -> Html:
    return element("text", text, class_=kind, x=f"{x:g}", y=f"{y:g}", text_anchor=anchor)
