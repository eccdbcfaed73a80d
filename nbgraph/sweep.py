"""A sweep: one graph for each combination of values, as a picture with rows and columns, and as a frame."""

from collections.abc import Iterable, Mapping, Sequence, Set
from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont

from nbgraph.errors import GraphError, Problem, Problems
from nbgraph.frames import sweep_frame
from nbgraph.run import Run
from nbgraph.services.shared.graph.batch import BatchDatum

if TYPE_CHECKING:
    import pandas as pd

Axis = str | tuple[str, ...]
MARGIN, LABEL_HEIGHT, SMALLEST_CELL = 4, 16, 96


def batch_data(values: Mapping[Axis, Any]) -> list[list[BatchDatum]]:
    """`{"a.x": [1, 2]}` multiplies; `{("a.x", "b.y"): [(1, 5), (2, 6)]}` goes through both inputs together.

    `GraphError` for an axis without a list of values, and for rows that do not have one value for each input.
    """
    if not isinstance(values, Mapping):
        text = f'a sweep takes a dict of lists, such as {{"noise.seed": [1, 2]}}, not {repr(values)[:80]}'
        raise GraphError([Problem("bad_value", text)])
    problems, groups = Problems(), []
    for axis, items in values.items():
        if isinstance(items, str) or not isinstance(items, Iterable):
            problems.add("bad_value", f"a sweep takes a list of values for {axis!r}, not {items!r}")
        elif isinstance(axis, tuple):
            rows = [_row(axis, number, row, problems) for number, row in enumerate(items)]
            columns = list(zip(*rows)) or [()] * len(axis)
            groups.append([BatchDatum(name, column) for name, column in zip(axis, columns)])
        else:
            groups.append([BatchDatum(axis, list(items))])
    problems.raise_any()
    return groups


def _row(axis: tuple[str, ...], number: int, row: Any, problems: Problems) -> tuple[Any, ...]:
    """The values of one row of inputs that go together, one for each."""
    is_row = isinstance(row, Iterable) and not isinstance(row, str | Mapping | Set)
    values = tuple(row) if is_row else ()
    if not is_row or len(values) != len(axis):
        expected = f"a row has {len(axis)} values, one for each of {', '.join(map(str, axis))}"
        problems.add("bad_value", f"{axis!r}: row {number} is {repr(row)[:80]}, and {expected}")
    return values


class Sweep:
    """The runs of a sweep, in order, the last axis changing fastest; shows itself as the XY picture."""

    def __init__(self, node: str, axes: Sequence[Axis], cells: Sequence[tuple[dict[str, Any], Run]]) -> None:
        self.node, self.axes, self._cells = node, list(axes), list(cells)

    @property
    def runs(self) -> list[Run]:
        """One run for each cell."""
        return [run for _, run in self._cells]

    @property
    def frame(self) -> "pd.DataFrame":
        """One row for each cell: its values, the name of its picture, its seconds, and what became of it."""
        rows = [
            (values, self._image_name(run), float(run.stats.seconds.sum()), run.status) for values, run in self._cells
        ]
        return sweep_frame(rows)

    @property
    def images(self) -> list[Image.Image | None]:
        """The pictures in order; None where a run gave none."""
        return [run[self.node].image if run.status == "completed" else None for run in self.runs]

    @property
    def image(self) -> Image.Image:
        """All pictures as one: the last axis goes across, the others down, each row and column labelled."""
        columns = self._columns()
        pictures = [_cell(picture) for picture in self.images]
        width = max((picture.width for picture in pictures), default=SMALLEST_CELL)
        height = max((picture.height for picture in pictures), default=SMALLEST_CELL)
        rows = -(-len(pictures) // columns)
        left = self._label_width() if len(self.axes) > 1 else 0
        sheet = Image.new("RGB", (left + columns * (width + MARGIN), LABEL_HEIGHT + rows * (height + MARGIN)), "white")
        draw = ImageDraw.Draw(sheet)
        for place, (picture, (values, _)) in enumerate(zip(pictures, self._cells)):
            x, y = left + place % columns * (width + MARGIN), LABEL_HEIGHT + place // columns * (height + MARGIN)
            sheet.paste(picture, (x, y))
            if place < columns:
                draw.text((x, 2), self._label(values, self.axes[-1:])[: width // 6], fill="black", font=_font())
            if place % columns == 0 and left:
                draw.text((2, y + height // 2), self._label(values, self.axes[:-1]), fill="black", font=_font())
        return sheet

    def _columns(self) -> int:
        last = _names(self.axes[-1]) if self.axes else ()
        return max(1, len({tuple(repr(values[name]) for name in last) for values, _ in self._cells}))

    def _label(self, values: Mapping[str, Any], axes: Sequence[Axis]) -> str:
        shown = [f"{name.rpartition('.')[2]} {values[name]}" for axis in axes for name in _names(axis)]
        return "\n".join(shown)

    def _label_width(self) -> int:
        draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
        labels = [self._label(values, self.axes[:-1]) for values, _ in self._cells]
        return 8 + int(max(draw.multiline_textbbox((0, 0), label, font=_font())[2] for label in labels))

    def _image_name(self, run: Run) -> str:
        return run[self.node].image_name if run.status == "completed" else ""

    def __len__(self) -> int:
        return len(self._cells)

    def __repr__(self) -> str:
        return f"Sweep({len(self)} cells of {self.node!r} over {', '.join(map(str, self.axes))})"

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.image.save(buffer, "PNG")
        return buffer.getvalue()


def _names(axis: Axis) -> tuple[str, ...]:
    return axis if isinstance(axis, tuple) else (axis,)


def _cell(picture: Image.Image | None) -> Image.Image:
    if picture is None:
        return Image.new("RGB", (SMALLEST_CELL, SMALLEST_CELL), "lightgray")
    grown = max(1, -(-SMALLEST_CELL // max(picture.size)))
    return picture.convert("RGB").resize((picture.width * grown, picture.height * grown), Image.Resampling.NEAREST)


def _font() -> Any:
    return ImageFont.load_default(size=11)
