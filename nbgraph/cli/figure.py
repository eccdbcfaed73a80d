"""Figures of graphs, Axes in and Axes out: the source graph, or a session with its prepared nodes inside each node."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path

from nbgraph.cli.graph_texts import node_label, prepared_texts, typed_texts
from nbgraph.services.shared.drawing.layout import Passage, Slot, layers_with_passages, ordered_parents
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.texts import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"completed": "#dff0d8", "failed": "#f2c4c4", "skipped": "#e6e6e6", "waiting": "#ffffff"}
EDGE_COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#8172b3", "#937860", "#da8bc3", "#3d9fb5", "#c44e52")
NODE_COLOUR, NODE_EDGE = "#eef3fb", "#5b6b7f"
COLUMN, WIDTH, LINE, PAD, GAP, PASSAGE = 3.2, 2.3, 0.24, 0.12, 0.45, 0.12
CHARACTERS = 33
MAX_INCHES = 60.0
DPI = 90


class Row(NamedTuple):
    """A line of text in a node, with the colours of the text and its background."""

    text: str
    colour: str = "black"
    behind: str = ""


class Box(NamedTuple):
    """The place of a node or a passage: left and top edge and height in inches; y grows downwards."""

    left: float
    top: float
    height: float


class Drawing:
    """A closed matplotlib figure that displays itself as a PNG, whatever backend is set; `figure` can be changed."""

    def __init__(self, figure: Any) -> None:
        self.figure = figure

    def _repr_png_(self) -> bytes:
        # Drawn when it is shown: a person may have changed the figure since.
        buffer = BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()

    def __repr__(self) -> str:
        return "Drawing of a graph; .figure is the matplotlib figure"


def draw_graph(graph: Graph, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the source graph: nodes in columns from left to right, with their linked inputs and typed values."""
    return _draw(graph, {node_id: [Row(text) for text in typed_texts(graph, node_id)] for node_id in graph.nodes}, ax)


def draw_execution_graph(session: GraphExecutionState, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the source graph with the prepared nodes inside each node: path, state by colour, and result."""
    rows = {
        node_id: [Row(str(text), behind=COLOURS[text.state]) for text in prepared_texts(session, node_id)]
        for node_id in session.graph.nodes
    }
    drawn: Any = _draw(session.graph, rows, ax)  # matplotlib's annotations are incomplete
    handles = [Rectangle((0, 0), 1, 1, facecolor=colour, edgecolor="#888888") for colour in COLOURS.values()]
    drawn.legend(handles, list(COLOURS), loc="upper left", bbox_to_anchor=(0, 0), ncols=4, frameon=False, fontsize=8)
    return drawn


def _draw(graph: Graph, rows: Mapping[str, Sequence[Row]], ax: "Axes | None") -> "Axes":
    colours = {node_id: EDGE_COLOURS[number % len(EDGE_COLOURS)] for number, node_id in enumerate(graph.nodes)}
    texts = {node_id: [*_ports(graph, node_id, colours), *rows[node_id]] for node_id in graph.nodes}
    layers = layers_with_passages(ordered_parents(graph))
    boxes = _place(layers, {node_id: len(found) + 1 for node_id, found in texts.items()})
    canvas = _axes(ax, boxes)
    for node_id in graph.nodes:
        for row, link in enumerate(graph.links(node_id), 1):
            _draw_edge(canvas, _way(boxes, link.source, node_id, row), colours[link.source])
    # Nodes after edges: an edge ends behind the border of its node.
    for node_id in graph.nodes:
        _draw_node(canvas, boxes[node_id], node_label(graph, node_id), texts[node_id])
    return canvas


def _ports(graph: Graph, node_id: str, colours: Mapping[str, str]) -> list[Row]:
    """Return a row for each incoming edge, in the colour of its source."""
    return [Row(f"{link.field} ← {link.source}.{link.output}", colours[link.source]) for link in graph.links(node_id)]


def _place(layers: Sequence[Sequence[Slot]], rows: Mapping[str, int]) -> dict[Slot, Box]:
    """Return a box for each node and passage; the columns are centred vertically."""
    heights = {
        slot: rows[slot] * LINE + 2 * PAD if isinstance(slot, str) else PASSAGE for layer in layers for slot in layer
    }
    tall = [sum(heights[slot] + GAP for slot in layer) - GAP for layer in layers]
    boxes: dict[Slot, Box] = {}
    for column, layer in enumerate(layers):
        top = (max(tall) - tall[column]) / 2
        for slot in layer:
            boxes[slot] = Box(column * COLUMN, top, heights[slot])
            top += heights[slot] + GAP
    return boxes


def _axes(ax: Any, boxes: Mapping[Slot, Box]) -> Any:
    width = max((box.left for box in boxes.values()), default=0) + WIDTH + 0.4
    height = max((box.top + box.height for box in boxes.values()), default=0) + 0.6
    if ax is None:
        # matplotlib fails for images of more than 2**16 pixels a side.
        size = (min(MAX_INCHES, width), min(MAX_INCHES, height))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    ax.set_xlim(-0.2, width - 0.2)
    ax.set_ylim(height - 0.3, -0.3)
    ax.set_axis_off()
    if not boxes:
        ax.set_title("no nodes yet")
    return ax


def _draw_node(ax: Any, box: Box, label: str, rows: Sequence[Row]) -> None:
    style = "round,pad=0,rounding_size=0.08"
    corner = (box.left, box.top)
    patch = FancyBboxPatch(
        corner, WIDTH, box.height, boxstyle=style, facecolor=NODE_COLOUR, edgecolor=NODE_EDGE, zorder=2
    )
    ax.add_patch(patch)
    for number, row in enumerate([Row(label), *rows]):
        y = box.top + PAD + number * LINE
        if row.behind:
            ax.add_patch(
                Rectangle((box.left + 0.05, y + 0.02), WIDTH - 0.1, LINE - 0.04, facecolor=row.behind, zorder=3)
            )
        font: Any = {"fontweight": "bold", "fontsize": 8.5} if number == 0 else {"fontsize": 7.5, "color": row.colour}
        # A dollar in a prompt is not mathematics, and a long text must not cover the next column.
        text = shorten(row.text, CHARACTERS)
        ax.text(box.left + 0.1, y + LINE / 2, text, va="center", zorder=4, clip_on=True, parse_math=False, **font)


def _way(boxes: Mapping[Slot, Box], source: str, target: str, row: int) -> list[tuple[float, float]]:
    """Return the points of an edge: out of its source, through its passages, into its row of the target."""
    start, end = boxes[source], boxes[target]
    points = [(start.left + WIDTH, start.top + start.height / 2)]
    for column in range(round(start.left / COLUMN) + 1, round(end.left / COLUMN)):
        passage: Passage = (source, target, column)
        box = boxes[passage]
        y = box.top + box.height / 2
        points += [(box.left, y), (box.left + WIDTH, y)]
    return [*points, (end.left, end.top + PAD + (row + 0.5) * LINE)]


def _draw_edge(ax: Any, points: Sequence[tuple[float, float]], colour: str) -> None:
    """Draw a curve that is horizontal at every point, with an arrow head at its end."""
    corners, codes = [points[0]], [Path.MOVETO]
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        middle = (x0 + x1) / 2
        corners += [(middle, y0), (middle, y1), (x1, y1)]
        codes += [Path.CURVE4] * 3
    ax.add_patch(PathPatch(Path(corners, codes), facecolor="none", edgecolor=colour, linewidth=1.2, zorder=1))
    ax.plot(*points[-1], marker=">", color=colour, markersize=5, zorder=5)
