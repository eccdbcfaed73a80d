"""A sweep: one run per combination of values, shown as a labelled grid of images or as a table, with a frame."""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from math import fsum, nan
from os import PathLike
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from nbgraph.errors import ChoiceError, GraphError, NbgraphError, Problem
from nbgraph.experiments.axes import Axis, axis_names, shown_name
from nbgraph.experiments.comparison import Comparison, compare_levels, find_axis, unit_of
from nbgraph.experiments.metric_columns import MetricColumn
from nbgraph.experiments.sheet import draw_sheet, tiled
from nbgraph.experiments.sheet_html import Cell, page_html, sheet_html, shown_value
from nbgraph.experiments.statistics import LEVEL
from nbgraph.experiments.tables import CellTotals, sweep_frame
from nbgraph.file_writing import write_file
from nbgraph.html import Html, table_html
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput
from nbgraph.invocations.fields import ImageField, ResourceField, resources_in
from nbgraph.loading import load
from nbgraph.run import NodeLike, Run
from nbgraph.services.images.kept_pictures import picture_or_why
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.plan import Path
from nbgraph.texts import one_line, shorten

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

    from nbgraph.experiments.sweep_plots import SweepPlots

OWN_COLUMNS = ("seconds", "vram_peak_mb", "status", "error")
"""Columns of the frame that an output of the same name must not replace."""
LONGEST_REASON = 160


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

    def __init__(
        self,
        node: str,
        axes: Sequence[Axis],
        cells: Sequence[tuple[dict[str, Any], Run]],
        metrics: Mapping[str, MetricColumn] | None = None,
    ) -> None:
        self.node, self.axes, self._cells = node, list(axes), list(cells)
        self._metrics = dict(metrics or {})

    @property
    def _node(self) -> BaseInvocation:
        return self.runs[0].session.graph[self.node]

    @property
    def runs(self) -> list[Run]:
        """One run per combination."""
        return [run for _, run in self._cells]

    @property
    def values(self) -> list[dict[str, Any]]:
        """The swept values of each combination, by address."""
        return [chosen for chosen, _ in self._cells]

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics that were measured; each is a column of the frame."""
        return list(self._metrics)

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per combination: its values, the output of its node, its metrics, seconds, peak VRAM, status, error.

        The output is the main one, or each output by name; of an image it is `image_name`. Under an iteration it is a
        list in path order. A missing output or metric is <NA>, a missing name is empty; `error` says why. Seconds are
        those of all nodes, cached ones included; `vram_peak_mb` is in MB (2**20 bytes), <NA> without a GPU.
        """
        return sweep_frame(self.values, {**self._columns(), **self._measured()}, self._totals())

    def compare(
        self, axis: str | tuple[str, ...], *, metric: str, by: str | None = None, level: float = LEVEL
    ) -> Comparison:
        """Compare a metric between the first value of an axis and each other one, within seeds.

        Parameters
        ----------
        axis
            An address, its last part (`"cfg_scale"`), or the tuple of a zipped axis.
        metric
            A column of numbers of the frame, such as a metric of the sweep, or `"seconds"`.
        by
            The axis whose values make pairs; None takes the seeds that vary, and all other axes where none do. Cells
            of one seed that differ in further axes count as one, by their mean.
        level
            The rate of false alarms of the whole table, 0 to 1.

        Returns
        -------
        Comparison
            `.frame` has a row for each value beside the first; `.sentences` say what was found, or that there are too
            few seeds to tell.

        Raises
        ------
        ChoiceError
            The sweep has no such axis or column of numbers.
        """
        addresses = find_axis(self.axes, axis)
        unit = unit_of(self.axes, addresses, by)
        return compare_levels(self.values, self.numbers(metric), addresses, unit, metric, level)

    @property
    def plot(self) -> "SweepPlots":
        """Plots: `sweep.plot.effect("cfg_scale", metric="sharpness")`, `.heatmap(...)`, `.pairs(...)`."""
        return load("nbgraph.experiments.sweep_plots").SweepPlots(self)

    def numbers(self, metric: str) -> list[float]:
        """Return a column of the frame as numbers, NaN where a cell has none.

        Raises
        ------
        ChoiceError
            It is no column of single numbers; the message names those there are.
        """
        columns = {**self._columns(), **self._measured()}
        if metric in ("seconds", "vram_peak_mb"):
            totals = self._totals()
            found: list[Any] = [one.seconds if metric == "seconds" else one.vram_peak for one in totals]
            if metric == "vram_peak_mb":
                found = [None if value is None else value / 2**20 for value in found]
        elif metric in columns and _are_numbers(columns[metric]):
            found = columns[metric]
        else:
            possible = [*(name for name, column in columns.items() if _are_numbers(column)), "seconds"]
            raise ChoiceError("a metric (measure others by studio.sweep(..., metrics=[...]))", metric, possible)
        return [nan if value is None else float(value) for value in found]

    @property
    def images(self) -> list[Image.Image | None]:
        """The image of each combination in order, several joined into one; None where none can be read."""
        return [None if isinstance(cell, str) else cell for cell in self._shown()]

    @property
    def image(self) -> Image.Image:
        """All images as one grid: the last axis runs across, the others down; rows and columns are labelled."""
        # Counted from the values: an axis may repeat one, and zipped addresses are one axis.
        last = axis_names(self.axes[-1]) if self.axes else ()
        columns = max(1, len({tuple(repr(chosen[name]) for name in last) for chosen in self.values}))
        over = [_label(chosen, self.axes[-1:]) for chosen in self.values[:columns]]
        beside = [_label(chosen, self.axes[:-1]) for chosen in self.values[::columns]] if len(self.axes) > 1 else []
        return draw_sheet(self._shown(), columns, over, beside)

    def to_png(self, path: str | PathLike[str]) -> FilePath:
        """Write the grid of images into a PNG file, and return its absolute path.

        Raises
        ------
        NbgraphError
            The sweep gives no images, or the file cannot be written.
        """
        if not any(self._image_names()):
            raise NbgraphError(f"{self.node!r} gives no images, so there is no PNG of them; use to_csv(path)")
        return write_file(path, self._repr_png_() or b"")

    def to_csv(self, path: str | PathLike[str]) -> FilePath:
        """Write the frame into a CSV file (UTF-8), and return its absolute path.

        Raises
        ------
        NbgraphError
            The file cannot be written.
        """
        frame: Any = self.frame  # pandas' stubs leave the types of its methods open
        return write_file(path, frame.to_csv(index=False).encode())

    def to_html(self, path: str | PathLike[str]) -> FilePath:
        """Write all images, labels and the frame into an HTML file that needs no other file; return its absolute path.

        Raises
        ------
        NbgraphError
            The file cannot be written.
        """
        grids = self._grids(len(self)) if any(self._image_names()) else Html()
        page = page_html(Html(grids + table_html(self.frame, repr(self), rows=len(self))), repr(self))
        return write_file(path, page.encode())

    def _outputs(self) -> dict[str, list[Any]]:
        """Return the output of the node for each combination, by output name; a list under an iteration."""
        main = self._node.output_class.main_field
        return self._outputs_of(self.node, [main] if main else list(self._node.outputs()))

    def _outputs_of(self, node: str, outputs: Sequence[str]) -> dict[str, list[Any]]:
        found = [run.session.outputs_of(node) for run in self.runs]
        # One combination may have made a single item: lists in all cells, or a column would mix both.
        is_iterated = any(path for results in found for path in results)
        return {
            output: [_all_of(results, output) if is_iterated else _first_of(results, output) for results in found]
            for output in outputs
        }

    def _measured(self) -> dict[str, list[Any]]:
        """Return the columns of the metrics."""
        return {
            name: self._outputs_of(column.node, [column.output])[column.output]
            for name, column in self._metrics.items()
        }

    def _totals(self) -> list[CellTotals]:
        """Return the figures of each run."""
        added = {column.node for column in self._metrics.values() if column.is_added}
        return [_totals(run, added) for run in self.runs]

    def _columns(self) -> dict[str, list[Any]]:
        """Return the columns of the frame that the node contributes, with names in place of references."""
        columns: dict[str, list[Any]] = {}
        taken = (*OWN_COLUMNS, *self._metrics)
        for output, given in self._outputs().items():
            annotation = self._node.outputs()[output]
            if isinstance(annotation, type) and issubclass(annotation, ResourceField):
                columns[f"{output}_name"] = ["" if value is None else _plain(value) for value in given]
            else:
                column = f"{self.node}.{output}" if output in taken else output
                columns[column] = [_plain(value) for value in given]
        return columns

    def _image_names(self) -> list[list[str]]:
        """Return the names of the images of each combination, deleted ones included."""
        given = list(self._outputs().values())
        cells = [resources_in([values[place] for values in given]) for place in range(len(self))]
        return [[found.image_name for found in cell if isinstance(found, ImageField)] for cell in cells]

    def _makes_images(self) -> bool:
        """Return whether the node's outputs are images, made or not."""
        return any(isinstance(given, type) and issubclass(given, ImageField) for given in self._node.outputs().values())

    def _shown(self) -> list[Image.Image | str]:
        """Return for each cell its images as one, or a text that says why there is none."""
        return [_picture_of(names, run) for names, run in zip(self._image_names(), self.runs)]

    def _grids(self, limit: int | None = None) -> Html:
        measured = self._measured()
        notes = [
            ", ".join(
                f"{name} {_measure(column[place])}" for name, column in measured.items() if column[place] is not None
            )
            for place in range(len(self))
        ]
        cells = [Cell(*each) for each in zip(self.values, self._shown(), notes)]
        groups = [axis_names(axis) for axis in self.axes]
        return sheet_html(cells, groups, repr(self)) if limit is None else sheet_html(cells, groups, repr(self), limit)

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

    def _repr_html_(self) -> Html:
        # a grid from the start where images will come, so that nothing moves when the first one does
        is_awaited = self._makes_images() and not all(run.is_done for run in self.runs)
        return self._grids() if is_awaited or any(self._image_names()) else table_html(self.frame, repr(self))


def _totals(run: Run, added: set[str]) -> CellTotals:
    """Return the figures of the run of a cell. A failure of a metric alone leaves its status as it would be without."""
    rows = run.services.performance_statistics.rows(run.id)
    peaks = [row.vram_peak for row in rows if row.vram_peak is not None]
    errors = run.session.errors
    is_only_measured = bool(errors) and run.status == "failed" and added.issuperset(_sources(errors))
    error = one_line("; ".join(f"{node}: {text}" for node, text in errors.items()))
    status = "completed" if is_only_measured else run.status
    return CellTotals(fsum(row.seconds for row in rows), max(peaks, default=None), status, error)


def _sources(nodes: Iterable[str]) -> set[str]:
    return {node.partition("[")[0] for node in nodes}


def _measure(value: Any) -> str:
    """Return what a metric gave, a number in four digits: more of them say nothing beside an image."""
    return f"{value:.4g}" if isinstance(value, float) else shown_value(value)


def _are_numbers(column: Sequence[Any]) -> bool:
    kinds: set[type] = {type(value) for value in column if value is not None}
    return bool(kinds) and kinds <= {int, float, bool}


def _label(values: Mapping[str, Any], axes: Sequence[Axis]) -> str:
    return "\n".join(f"{shown_name(name)} {shown_value(values[name])}" for axis in axes for name in axis_names(axis))


def _picture_of(names: Sequence[str], run: Run) -> Image.Image | str:
    """Return the images of a cell as one, or why there is none."""
    found = [picture_or_why(run.services.images, name) for name in names]
    pictures = [picture for picture in found if isinstance(picture, Image.Image)]
    if pictures:
        return tiled(pictures)
    if found:
        return cast(str, found[0])
    reason = next(iter(run.session.errors.values()), "")
    return (
        shorten(one_line(reason), LONGEST_REASON)
        if reason
        else "no picture"
        if run.status == "completed"
        else run.status
    )


def _all_of(results: Mapping[Path, BaseInvocationOutput], output: str) -> list[Any]:
    return [getattr(result, output, None) for result in results.values()]


def _first_of(results: Mapping[Path, BaseInvocationOutput], output: str) -> Any:
    return next(iter(_all_of(results, output)), None)


def _plain(value: Any) -> Any:
    """Return the value with names in place of references to images and tensors."""
    if isinstance(value, ResourceField):
        return value.resource_name
    return [_plain(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value
