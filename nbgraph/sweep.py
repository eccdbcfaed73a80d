"""A sweep: one run per combination of values, shown as a labelled grid of images or as a table, with a frame."""

from collections.abc import Iterable, Mapping, Sequence, Set
from io import BytesIO
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, cast

from PIL import Image, ImageDraw, ImageFont

from nbgraph.errors import GraphError, Problem, Problems
from nbgraph.frames import sweep_frame
from nbgraph.html import Html, table_html
from nbgraph.image_modes import on_white
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput
from nbgraph.invocations.fields import ImageField, ResourceField, resources_in
from nbgraph.run import NodeLike, Run
from nbgraph.services.images.kept_pictures import picture_or_why
from nbgraph.services.shared.graph.batch import BatchDatum
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.plan import Path
from nbgraph.texts import value_text

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

Axis = str | tuple[str, ...]
OWN_COLUMNS = ("seconds", "status")
"""Columns of the frame that an output of the same name must not replace."""
MARGIN, LABEL_HEIGHT, SMALLEST_CELL = 4, 16, 96


def batch_data(values: Mapping[Axis, Any]) -> list[list[BatchDatum]]:
    """Return the values of a sweep as batch data: lists are multiplied, tuples of addresses are zipped.

    Raises
    ------
    GraphError
        An axis has no list of values, or a row does not have one value for each of its addresses.
    """
    given = cast(object, values)
    if not isinstance(given, Mapping):
        text = f'a sweep takes a dict of lists, such as {{"noise.seed": [1, 2]}}, not {value_text(given)}'
        raise GraphError([Problem("bad_value", text)])
    problems, groups = Problems(), list[list[BatchDatum]]()
    for axis, items in values.items():
        # A text is iterable too, but nobody means its letters.
        if isinstance(items, str) or not isinstance(items, Iterable):
            problems.add("bad_value", f"a sweep takes a list of values for {axis!r}, not {value_text(items)}")
        elif isinstance(axis, tuple):
            rows = [_row(axis, number, row, problems) for number, row in enumerate(cast("Iterable[Any]", items))]
            # Without rows there is nothing to zip, but each address still needs its empty list.
            columns = list(zip(*rows)) or [()] * len(axis)
            groups.append([BatchDatum(name, column) for name, column in zip(axis, columns)])
        else:
            groups.append([BatchDatum(axis, list(cast("Iterable[Any]", items)))])
    problems.raise_any()
    return groups


def _row(axis: tuple[str, ...], number: int, row: Any, problems: Problems) -> tuple[Any, ...]:
    """Return the values of one row of zipped inputs."""
    is_row = isinstance(row, Iterable) and not isinstance(row, str | Mapping | Set)
    values = tuple(cast("Iterable[Any]", row)) if is_row else ()
    if not is_row or len(values) != len(axis):
        expected = f"a row has {len(axis)} values, one for each of {', '.join(map(str, axis))}"
        problems.add("bad_value", f"{axis!r}: row {number} is {value_text(row)}, and {expected}")
    return values


def swept_node(graph: Graph, node: NodeLike | None) -> str:
    """Return the id of the node that a sweep shows: the given one, or the only last node of the graph.

    Raises
    ------
    NotFoundError
        The graph has no such node.
    GraphError
        No node is given, and the graph has none or several last nodes.
    """
    if node is not None:
        return graph.id_of(node)
    ends = graph.ends
    if len(ends) != 1:
        found = f"ends in {len(ends)} nodes ({', '.join(ends[:20])}), and a sweep shows one" if ends else "has no nodes"
        remedy = f"; name it: node={ends[0]!r}" if ends else "; add what is to be swept"
        raise GraphError([Problem("bad_value", found + remedy)])
    return ends[0]


class Sweep:
    """The runs of a sweep in order, the last axis varying fastest. A cell shows a grid of images, or a table."""

    def __init__(self, node: str, axes: Sequence[Axis], cells: Sequence[tuple[dict[str, Any], Run]]) -> None:
        self.node, self.axes, self._cells = node, list(axes), list(cells)

    @property
    def _node(self) -> BaseInvocation:
        return self.runs[0].session.graph[self.node]

    @property
    def runs(self) -> list[Run]:
        """One run per combination."""
        return [run for _, run in self._cells]

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per combination: its values, the output of its node, seconds and status.

        The output is the main one, or each output by name; of an image it is `image_name`. Under an iteration it is a
        list in path order. A missing output is <NA>, a missing name is empty.
        """
        values = [chosen for chosen, _ in self._cells]
        seconds = [run.node_seconds for run in self.runs]
        return sweep_frame(values, self._columns(), seconds, [run.status for run in self.runs])

    @property
    def images(self) -> list[Image.Image | None]:
        """The image of each combination in order, several joined into one; None where none can be read."""
        return [None if isinstance(cell, str) else cell for cell in self._shown()]

    @property
    def image(self) -> Image.Image:
        """All images as one grid: the last axis runs across, the others down; rows and columns are labelled."""
        values = [chosen for chosen, _ in self._cells]
        # Counted from the values: an axis may repeat one, and zipped addresses are one axis.
        last = _names(self.axes[-1]) if self.axes else ()
        columns = max(1, len({tuple(repr(chosen[name]) for name in last) for chosen in values}))
        over = [_label(chosen, self.axes[-1:]) for chosen in values[:columns]]
        beside = [_label(chosen, self.axes[:-1]) for chosen in values[::columns]] if len(self.axes) > 1 else []
        return draw_sheet(self._shown(), columns, over, beside)

    def _outputs(self) -> dict[str, list[Any]]:
        """Return the output of the node for each combination, by output name; a list under an iteration."""
        found = [run.session.outputs_of(self.node) for run in self.runs]
        # One combination may have made a single item: lists in all cells, or a column would mix both.
        is_iterated = any(path for results in found for path in results)
        main = self._node.output_class.main_field
        return {
            output: [_all_of(results, output) if is_iterated else _first_of(results, output) for results in found]
            for output in ([main] if main else self._node.outputs())
        }

    def _columns(self) -> dict[str, list[Any]]:
        """Return the columns of the frame that the node contributes, with names in place of references."""
        columns: dict[str, list[Any]] = {}
        for output, given in self._outputs().items():
            annotation = self._node.outputs()[output]
            if isinstance(annotation, type) and issubclass(annotation, ResourceField):
                columns[f"{output}_name"] = ["" if value is None else _plain(value) for value in given]
            else:
                column = f"{self.node}.{output}" if output in OWN_COLUMNS else output
                columns[column] = [_plain(value) for value in given]
        return columns

    def _image_names(self) -> list[list[str]]:
        """Return the names of the images of each combination, deleted ones included."""
        given = list(self._outputs().values())
        cells = [resources_in([values[place] for values in given]) for place in range(len(self))]
        return [[found.image_name for found in cell if isinstance(found, ImageField)] for cell in cells]

    def _shown(self) -> list[Image.Image | str]:
        """Return for each cell its images as one, or a text that says why there is none."""
        return [_picture_of(names, run) for names, run in zip(self._image_names(), self.runs)]

    def __len__(self) -> int:
        return len(self._cells)

    def __repr__(self) -> str:
        return f"Sweep({len(self)} cells of {self.node!r} over {', '.join(map(str, self.axes))})"

    def _repr_png_(self) -> bytes | None:
        if not any(self._image_names()):
            return None
        buffer = BytesIO()
        self.image.save(buffer, "PNG")
        return buffer.getvalue()

    def _repr_html_(self) -> Html | None:
        return None if any(self._image_names()) else table_html(self.frame, repr(self))


def _names(axis: Axis) -> tuple[str, ...]:
    return axis if isinstance(axis, tuple) else (axis,)


def _label(values: Mapping[str, Any], axes: Sequence[Axis]) -> str:
    return "\n".join(f"{name.rpartition('.')[2]} {values[name]}" for axis in axes for name in _names(axis))


def _picture_of(names: Sequence[str], run: Run) -> Image.Image | str:
    """Return the images of a cell as one, or why there is none."""
    found = [picture_or_why(run.services.images, name) for name in names]
    pictures = [picture for picture in found if isinstance(picture, Image.Image)]
    if pictures:
        return tiled(pictures)
    return found[0] if found else "no picture" if run.status == "completed" else run.status


def _all_of(results: Mapping[Path, BaseInvocationOutput], output: str) -> list[Any]:
    return [getattr(result, output, None) for result in results.values()]


def _first_of(results: Mapping[Path, BaseInvocationOutput], output: str) -> Any:
    return next(iter(_all_of(results, output)), None)


def _plain(value: Any) -> Any:
    """Return the value with names in place of references to images and tensors."""
    if isinstance(value, ResourceField):
        return value.resource_name
    return [_plain(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def draw_sheet(
    cells: Sequence[Image.Image | str], columns: int, over: Sequence[str], beside: Sequence[str]
) -> Image.Image:
    """Draw all cells as one image. An empty cell shows its text; `beside` (labels of rows) may be empty."""
    pictures = [_empty(cell) if isinstance(cell, str) else _grown(cell) for cell in cells]
    width = max((picture.width for picture in pictures), default=SMALLEST_CELL)
    height = max((picture.height for picture in pictures), default=SMALLEST_CELL)
    rows = -(-len(pictures) // columns)
    # Labels must not cover images: the widest decides the margin.
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
    """Join several images into one, in about as many rows as columns; a single one is returned as it is."""
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
    # Whole multiples with nearest pixels, so that a tiny image is enlarged without blur.
    grown = max(1, -(-SMALLEST_CELL // max(picture.size)))
    return on_white(picture).resize((picture.width * grown, picture.height * grown), Image.Resampling.NEAREST)


def _width_of(labels: Sequence[str]) -> int:
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    return max((8 + int(draw.multiline_textbbox((0, 0), label, font=_font())[2]) for label in labels), default=0)


def _font() -> Any:
    return ImageFont.load_default(size=11)
