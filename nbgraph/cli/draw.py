"""Drawings of graphs, Axes in and Axes out: the source graph, and the prepared nodes of a session in their places."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

from nbgraph.cli.graph_texts import PreparedText, node_label, parents_of, prepared_texts, shown_value
from nbgraph.cli.layers import layered
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"completed": "#dff0d8", "failed": "#f2c4c4", "skipped": "#e6e6e6", "waiting": "#ffffff"}
EDGE_COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#8172b3", "#937860", "#da8bc3", "#64b5cd")
COLUMN, LINE, PAD, GAP = 3.1, 0.24, 0.14, 0.5
WIDTH = 2.2
CHARACTERS = 30
MAX_INCHES = 60.0
Box = tuple[float, float, float]
"""Left, top and height of a box, in inches; y grows downwards."""


def draw_graph(graph: Graph, *, ax: "Axes | None" = None) -> "Axes":
    """The source graph: nodes in columns from left to right, with what was typed into them, edges by their fields."""
    lines = {node_id: [node_label(graph, node_id), *_typed(graph, node_id)] for node_id in graph.nodes}
    boxes = _place(layered(parents_of(graph)), lines)
    ax = _axes(ax, boxes)
    for number, node_id in enumerate(boxes):
        _edges_into(ax, graph, node_id, boxes, number)
    for node_id, box in boxes.items():
        _draw_box(ax, box, lines[node_id], "#eef3fb")
    return ax


def draw_execution_graph(session: GraphExecutionState, *, ax: "Axes | None" = None) -> "Axes":
    """The source graph with the prepared nodes inside each node: path, state by colour, and result."""
    graph = session.graph
    prepared = {node_id: prepared_texts(session, node_id) for node_id in graph.nodes}
    lines = {node_id: [node_label(graph, node_id), *map(str, prepared[node_id])] for node_id in graph.nodes}
    boxes = _place(layered(parents_of(graph)), lines)
    ax = _axes(ax, boxes)
    for number, node_id in enumerate(boxes):
        _edges_into(ax, graph, node_id, boxes, number)
    for node_id, box in boxes.items():
        _draw_box(ax, box, lines[node_id], "#eef3fb", prepared[node_id])
    handles = [plt.Rectangle((0, 0), 1, 1, facecolor=colour, edgecolor="#888888") for colour in COLOURS.values()]
    ax.legend(handles, list(COLOURS), loc="upper left", bbox_to_anchor=(0, 0), ncols=4, frameon=False, fontsize=8)
    return ax


def _typed(graph: Graph, node_id: str) -> list[str]:
    node = graph.nodes[node_id]
    linked = {link.field for link in graph.links(node_id)}
    return [
        f"{name} = {shown_value(value)}"
        for name, value in node.literals().items()
        if name in node.model_fields_set and name not in linked
    ]


def _place(layers: Sequence[Sequence[str]], lines: Mapping[str, Sequence[str]]) -> dict[str, Box]:
    """A box for each node; every column centred on the others."""
    heights = {node: len(found) * LINE + 2 * PAD for node, found in lines.items()}
    tall = [sum(heights[node] + GAP for node in layer) - GAP for layer in layers]
    boxes: dict[str, Box] = {}
    for column, layer in enumerate(layers):
        top = (max(tall) - tall[column]) / 2
        for node in layer:
            boxes[node] = (column * COLUMN, top, heights[node])
            top += heights[node] + GAP
    return boxes


def _axes(ax: "Axes | None", boxes: Mapping[str, Box]) -> "Axes":
    width = max((left for left, _, _ in boxes.values()), default=0) + WIDTH + 0.4
    height = max((top + tall for _, top, tall in boxes.values()), default=0) + 0.6
    if ax is None:
        size = (min(MAX_INCHES, width), min(MAX_INCHES, height))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    ax.set_xlim(-0.2, width - 0.2)
    ax.set_ylim(height - 0.3, -0.3)
    ax.set_axis_off()
    if not boxes:
        ax.set_title("no nodes yet")
    return ax


def _draw_box(ax: "Axes", box: Box, lines: Sequence[str], colour: str, prepared: Sequence[PreparedText] = ()) -> None:
    left, top, tall = box
    style = "round,pad=0,rounding_size=0.08"
    ax.add_patch(
        FancyBboxPatch((left, top), WIDTH, tall, boxstyle=style, facecolor=colour, edgecolor="#5b6b7f", zorder=2)
    )
    for number, text in enumerate(prepared, 1):
        corner = (left + 0.05, top + PAD + number * LINE + 0.02)
        ax.add_patch(
            plt.Rectangle(corner, WIDTH - 0.1, LINE - 0.04, facecolor=COLOURS[text.state], edgecolor="none", zorder=3)
        )
    for number, text in enumerate(lines):
        shown = text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + "…"
        style_of: Any = {"fontweight": "bold"} if number == 0 else {}
        y = top + PAD + (number + 0.5) * LINE
        ax.text(left + 0.1, y, shown, va="center", fontsize=8, zorder=4, clip_on=True, parse_math=False, **style_of)


def _edges_into(ax: "Axes", graph: Graph, node_id: str, boxes: Mapping[str, Box], number: int) -> None:
    left, top, tall = boxes[node_id]
    links = graph.links(node_id)
    for place, link in enumerate(links, 1):
        from_left, from_top, from_tall = boxes[link.source]
        start = (from_left + WIDTH, from_top + from_tall / 2)
        end = (left, top + tall * place / (len(links) + 1))
        colour = EDGE_COLOURS[number % len(EDGE_COLOURS)]
        arrow = {"arrowstyle": "-|>", "color": colour, "connectionstyle": _bend(start, end), "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", xy=end, xytext=start, arrowprops=arrow, zorder=1)
        name = link.field if link.field == link.output else f"{link.output} → {link.field}"
        ax.text(
            end[0] - 0.12,
            end[1] - 0.02,
            name,
            ha="right",
            va="bottom",
            fontsize=6.5,
            color=colour,
            zorder=5,
            parse_math=False,
        )


def _bend(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Edges over several columns bend away from the boxes between."""
    if end[0] - start[0] < COLUMN:
        return "arc3,rad=0"
    return f"arc3,rad={0.12 if end[1] >= start[1] else -0.12}"
