"""Plots of a sweep's metrics: Axes in, Axes out."""

from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nbgraph.errors import NbgraphError
from nbgraph.experiments.axes import Axis
from nbgraph.experiments.comparison import (
    Comparison,
    Level,
    compare_levels,
    find_axis,
    key_of,
    levels_of,
    unit_means,
    unit_of,
)
from nbgraph.experiments.sheet_html import shown_value
from nbgraph.plots import TEXT, add_legend, ink_of, new_axes
from nbgraph.texts import one_line, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

LONGEST_LABEL = 28
MOST_WRITTEN = 400
"""Cells of a heatmap whose numbers are written into them."""
SEED_STYLE: dict[str, Any] = {"color": "tab:gray", "alpha": 0.45, "linewidth": 1, "zorder": 1}


class Measured(Protocol):
    """What is plotted: a sweep, with the values of its cells and its columns of numbers."""

    axes: list[Axis]

    @property
    def values(self) -> list[dict[str, Any]]: ...

    def numbers(self, metric: str) -> list[float]: ...


class SweepPlots:
    """The plots of one sweep; each returns its matplotlib Axes, and takes one as `ax`."""

    def __init__(self, sweep: Measured) -> None:
        self._sweep = sweep

    def effect(
        self, axis: str | tuple[str, ...], *, metric: str, by: str | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Draw a metric over the values of an axis: a thin line for each seed, a thick one for their mean.

        The bars are the bootstrap intervals of the mean difference to the first value, which says more about the axis
        than the spread of the seeds does. `axis`, `metric` and `by` as in `Sweep.compare`.

        Raises
        ------
        ChoiceError
            The sweep has no such axis or column of numbers.
        """
        addresses, unit, levels, means = self._means(axis, metric, by)
        drawn = _canvas(ax, 10)
        places = _places(levels)
        keys = list(dict.fromkeys(key for units in means for key in units))
        for key in keys:
            drawn.plot(places, [units.get(key, nan) for units in means], **SEED_STYLE)
        middle = np.array([float(np.mean(list(units.values()))) if units else nan for units in means])
        pairs = [each.paired for each in self._comparison(addresses, unit, metric).differences]
        drawn.plot(places, middle, color="tab:blue", linewidth=2.5, marker="o")
        # An interval is of the difference to the first value, which has none.
        errors = [(each.difference - each.low, each.high - each.difference) for each in pairs]
        widths = np.nan_to_num(np.abs(errors)).T
        drawn.errorbar(places[1:], middle[1:], widths, fmt="none", ecolor="tab:blue", capsize=4)
        _name_places(drawn, places, levels)
        drawn.set_xlabel(", ".join(addresses), **TEXT)
        drawn.set_ylabel(metric, **TEXT)
        each = " and ".join(unit) or "cell"
        drawn.set_title(f"thin: each {each} ({len(keys)}), thick: their mean", fontsize="medium", **TEXT)
        return drawn

    def pairs(
        self, axis: str | tuple[str, ...], *, metric: str, by: str | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Draw a point for each seed: its metric with the first value of an axis, and with each other value.

        Points above the diagonal have gained. Arguments as in `effect`.

        Raises
        ------
        ChoiceError
            The sweep has no such axis or column of numbers.
        NbgraphError
            The axis has only one value.
        """
        addresses, unit, levels, means = self._means(axis, metric, by)
        if len(levels) < 2:
            raise NbgraphError(f"{', '.join(addresses)} has one value; pairs need two")
        drawn = _canvas(ax, 12)
        first, name = means[0], addresses[0].rpartition(".")[2]
        for level, units in zip(levels[1:], means[1:]):
            common = [key for key in first if key in units]
            points = [first[key] for key in common], [units[key] for key in common]
            drawn.scatter(*points, s=28, alpha=0.8, label=f"{name} {_shown(level)}")
        ends = [value for units in means for value in units.values()]
        if ends:
            drawn.plot([min(ends), max(ends)], [min(ends), max(ends)], color="tab:gray", linestyle="--", linewidth=1)
        drawn.set_xlabel(f"{metric} with {name} {_shown(levels[0])}", **TEXT)
        drawn.set_ylabel(f"{metric} with the others", **TEXT)
        title = f"a point for each {' and '.join(unit) or 'cell'}"
        drawn.set_title(title, fontsize="medium", color=ink_of(drawn), **TEXT)
        add_legend(drawn)
        return drawn

    def heatmap(
        self, metric: str, *, x: str | None = None, y: str | None = None, ax: "Axes | None" = None, **kwargs: Any
    ) -> "Axes":
        """Draw the mean of a metric for each pair of values of two axes.

        Parameters
        ----------
        metric
            A column of numbers of the frame.
        x, y
            The axes; None takes the last two that are not seeds, or the last two.
        ax, kwargs
            As for `Axes.imshow`.

        Raises
        ------
        ChoiceError
            The sweep has no such axis or column.
        NbgraphError
            The sweep has one axis, or `x` and `y` are the same.
        """
        across, down = self._two_axes(x, y)
        cells, values = self._sweep.values, self._sweep.numbers(metric)
        columns, rows = levels_of(cells, across), levels_of(cells, down)
        table = np.full((len(rows), len(columns)), nan)
        for row, found in enumerate(_by_level(cells, values, down)):
            inner = dict(_mean_by(*found, across))
            table[row] = [inner.get(repr(list(column)), nan) for column in columns]
        drawn = _canvas(ax, max(5, 1.3 * len(rows)))
        image = drawn.imshow(table, aspect="auto", **{"cmap": "viridis", **kwargs})
        _name_places(drawn, range(len(columns)), columns)
        drawn.set_yticks(range(len(rows)), [_shown(row) for row in rows], **TEXT)
        drawn.set_xlabel(", ".join(across), **TEXT)
        drawn.set_ylabel(", ".join(down), **TEXT)
        _write_numbers(drawn, table, image)
        bar = drawn.figure.colorbar(image, ax=drawn)
        bar.set_label(metric, color=ink_of(drawn), **TEXT)
        bar.ax.tick_params(colors=ink_of(drawn))
        bar.outline.set_visible(False)
        return drawn

    def _means(
        self, axis: Any, metric: str, by: str | None
    ) -> tuple[tuple[str, ...], tuple[str, ...], list[Level], list[dict[str, float]]]:
        """Return the addresses of an axis and of pairs, its values, and the metric by unit for each value."""
        cells, values = self._sweep.values, self._sweep.numbers(metric)
        addresses = find_axis(self._sweep.axes, axis)
        unit = unit_of(self._sweep.axes, addresses, by)
        means = unit_means(cells, values, addresses, unit)
        keys = dict.fromkeys(key_of(cell, addresses) for cell in cells)
        return addresses, unit, levels_of(cells, addresses), [means.get(key, {}) for key in keys]

    def _comparison(self, axis: tuple[str, ...], unit: tuple[str, ...], metric: str) -> Comparison:
        return compare_levels(self._sweep.values, self._sweep.numbers(metric), axis, unit, metric)

    def _two_axes(self, x: str | None, y: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        axes = self._sweep.axes
        if len(axes) < 2:
            raise NbgraphError(f"a heatmap needs two axes, and the sweep has {len(axes)}; use effect(axis, metric=...)")
        groups = [find_axis(axes, axis) for axis in axes]
        settings = [group for group in groups if not any(name.rpartition(".")[2] == "seed" for name in group)]
        usual = settings if len(settings) > 1 else groups
        across = usual[-1] if x is None else find_axis(axes, x, "x")
        left = [group for group in usual if group != across] or [group for group in groups if group != across]
        down = left[-1] if y is None else find_axis(axes, y, "y")
        if across == down:
            raise NbgraphError(f"x and y are both {', '.join(across)}; a heatmap needs two axes")
        return across, down

    def __repr__(self) -> str:
        return "SweepPlots(.effect(axis, metric=...), .pairs(axis, metric=...), .heatmap(metric))"


def _by_level(
    cells: Sequence[Mapping[str, Any]], values: Sequence[float], axis: Sequence[str]
) -> list[tuple[list[Mapping[str, Any]], list[float]]]:
    """Return the cells and values of each level of an axis."""
    groups: dict[str, tuple[list[Mapping[str, Any]], list[float]]] = {}
    for cell, value in zip(cells, values):
        found = groups.setdefault(key_of(cell, axis), ([], []))
        found[0].append(cell)
        found[1].append(value)
    return list(groups.values())


def _mean_by(
    cells: Sequence[Mapping[str, Any]], values: Sequence[float], axis: Sequence[str]
) -> list[tuple[str, float]]:
    groups: dict[str, list[float]] = {}
    for cell, value in zip(cells, values):
        if not isnan(value):
            groups.setdefault(key_of(cell, axis), []).append(value)
    return [(key, float(np.mean(found))) for key, found in groups.items()]


def _canvas(ax: "Axes | None", rows: float) -> Any:
    """Return the Axes to draw on. matplotlib is typed in part only, so that its methods are not checked here."""
    return ax or new_axes(rows)


def _write_numbers(ax: Any, table: "NDArray[np.float64]", image: Any) -> None:
    if table.size > MOST_WRITTEN:
        return
    for (row, column), value in np.ndenumerate(table):
        if isnan(value):
            continue
        red, green, blue = image.cmap(image.norm(value))[:3]
        # dark text on light fields, by their luma
        ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
        ax.text(column, row, f"{value:.3g}", ha="center", va="center", color=ink, fontsize="small")


def _places(levels: Sequence[Level]) -> list[float]:
    """Return where values are on an axis: numbers at their size, anything else at equal distances."""
    alone = [level[0] for level in levels if len(level) == 1]
    is_number = len(alone) == len(levels) and all(type(value) in (int, float) for value in alone)
    return [float(value) for value in alone] if is_number else [float(place) for place in range(len(levels))]


def _name_places(ax: Any, places: Sequence[float], levels: Sequence[Level]) -> None:
    labels = [_shown(level) for level in levels]
    is_long = sum(map(len, labels)) > 60
    ax.set_xticks(places, labels, **TEXT)
    if is_long:
        for label in ax.get_xticklabels():
            label.set(rotation=20, ha="right")


def _shown(level: Level) -> str:
    return shorten(one_line(", ".join(map(shown_value, level))), LONGEST_LABEL)
