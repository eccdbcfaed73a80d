"""The comparison of a sweep's metric between the values of one axis, paired by seed: a table and sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, Any, cast

from nbgraph.errors import ChoiceError, NbgraphError
from nbgraph.experiments.axes import Axis, axis_names, short_name
from nbgraph.experiments.statistics import LEVEL, Paired, holm, paired, seeds_needed
from nbgraph.experiments.tables import comparison_frame
from nbgraph.html import Html, element, frame_table, joined
from nbgraph.texts import value_text

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

Level = tuple[Any, ...]
"""The values of one axis at one place: one, or those of a zipped axis."""
SEED = "seed"


@dataclass(frozen=True)
class Difference:
    """What changes from value `a` to value `b` of an axis. `p` is corrected for all comparisons of the table."""

    a: Any
    b: Any
    mean_a: float
    mean_b: float
    paired: Paired
    p: float
    verdict: str


class Comparison:
    """A metric compared between the first value of an axis and each other one; a cell shows a table and sentences."""

    def __init__(self, axis: str, metric: str, by: str, differences: Sequence[Difference], level: float) -> None:
        self.axis, self.metric, self.by, self.level = axis, metric, by, level
        self.differences = list(differences)

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per comparison.

        Columns `a`, `b` (values of the axis), `seeds` (pairs that were compared), `mean_a`, `mean_b`, `difference`
        (mean of b - a), `low` and `high` (its bootstrap interval), `agree` (share of seeds with the sign of the mean),
        `effect_size` (difference in standard deviations of the differences), `p` (sign-flip test, corrected by Holm)
        and `verdict`.
        """
        return comparison_frame(
            (d.a, d.b, d.paired.seeds, d.mean_a, d.mean_b, *_statistics(d.paired), d.p, d.verdict)
            for d in self.differences
        )

    @property
    def sentences(self) -> list[str]:
        """What was found, in a sentence for each comparison."""
        return [self._sentence(each) for each in self.differences]

    def _sentence(self, found: Difference) -> str:
        change = f"{self.axis} {value_text(found.a, 40)} -> {value_text(found.b, 40)}: {self.metric}"
        one = found.paired
        if one.seeds == 0:
            return f"{change} cannot be compared: no {self.by} has a number for both"
        shown = f"{change} {one.difference:+.3g}"
        if one.seeds > 1:
            shown += f" ({100 * (1 - self.level):.3g} % interval {one.low:.3g} to {one.high:.3g})"
        agree = f"{round(one.agree * one.seeds)} of {one.seeds} pairs (by {self.by}) agree"
        return f"{shown}, {agree}: {found.verdict}"

    def __repr__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_html_(self) -> Html:
        return joined([frame_table(self.frame), *(element("p", sentence) for sentence in self.sentences)])


def _statistics(one: Paired) -> tuple[float, ...]:
    return one.difference, one.low, one.high, one.agree, one.effect_size


def find_axis(axes: Sequence[Axis], wanted: Any, what: str = "an axis") -> tuple[str, ...]:
    """Return the addresses of an axis, given by an address, by the last part of one, or as the tuple of a zipped axis.

    Raises
    ------
    ChoiceError
        The sweep has no such axis, or several whose address ends like that.
    """
    groups = [axis_names(axis) for axis in axes]
    exact = [group for group in groups if wanted == group or wanted in group]
    ending = [group for group in groups if any(short_name(name) == wanted for name in group)]
    found = exact or ending
    if len(found) != 1:
        raise ChoiceError(what, wanted, [name for group in groups for name in group])
    return found[0]


def unit_of(axes: Sequence[Axis], axis: tuple[str, ...], by: Any = None) -> tuple[str, ...]:
    """Return the addresses whose values make a pair: `by`, else the seeds that vary, else all other axes."""
    if by is not None:
        unit = find_axis(axes, by, "by")
        if unit == axis:
            raise NbgraphError(f"{by!r} is what is compared; pairs need another axis, such as a seed")
        return unit
    others = [name for each in axes for name in axis_names(each) if name not in axis]
    return tuple(name for name in others if short_name(name) == SEED) or tuple(others)


def levels_of(cells: Sequence[Mapping[str, Any]], axis: Sequence[str]) -> list[Level]:
    """Return the values of an axis in the order in which they first occur. Values need not be hashable."""
    found = {key_of(cell, axis): tuple(cell[name] for name in axis) for cell in reversed(cells)}
    return [found[key] for key in dict.fromkeys(key_of(cell, axis) for cell in cells)]


def key_of(cell: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return a key that is equal for cells of equal values at some addresses."""
    return repr([cell[name] for name in names])


def unit_means(
    cells: Sequence[Mapping[str, Any]], values: Sequence[float], axis: Sequence[str], unit: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the mean of a metric for each level of an axis and each unit, by their keys; without missing values.

    Cells of one unit that differ in other axes are no independent evidence, so they count as one.
    """
    sums: dict[str, dict[str, list[float]]] = {}
    for cell, value in zip(cells, values):
        if not isnan(value):
            sums.setdefault(key_of(cell, axis), {}).setdefault(key_of(cell, unit), []).append(value)
    return {level: {key: sum(found) / len(found) for key, found in units.items()} for level, units in sums.items()}


def compare_levels(
    cells: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    axis: tuple[str, ...],
    unit: tuple[str, ...],
    metric: str,
    level: float = LEVEL,
) -> Comparison:
    """Compare a metric between the first value of an axis and each other one, within units.

    Parameters
    ----------
    cells, values
        The swept values of each cell, and its metric; NaN where it is missing.
    axis, unit
        Addresses of what is compared, and of what makes a pair.
    metric
        Its name, for the sentences.
    level
        The rate of false alarms of the whole table, 0 to 1.

    Raises
    ------
    NbgraphError
        The axis has only one value, or `level` is no share.
    """
    if not isinstance(cast(object, level), int | float) or not 0 < level < 1:
        raise NbgraphError(f"level is the rate of false alarms, between 0 and 1, such as 0.05; not {level!r}")
    levels = levels_of(cells, axis)
    if len(levels) < 2:
        raise NbgraphError(f"{', '.join(axis)} has one value, {value_text(levels[0][0])}; a comparison needs two")
    means = unit_means(cells, values, axis, unit)
    first, *others = [means.get(key, {}) for key in dict.fromkeys(key_of(cell, axis) for cell in cells)]
    pairs: list[Paired] = []
    for other in others:
        common = [key for key in first if key in other]
        pairs.append(paired([first[key] for key in common], [other[key] for key in common], level))
    corrected = holm([one.p for one in pairs])
    found = [
        Difference(
            _plain(levels[0]),
            _plain(levels[number]),
            _mean(first),
            _mean(other),
            one,
            p,
            _verdict(one, p, len(pairs), level),
        )
        for number, (other, one, p) in enumerate(zip(others, pairs, corrected), 1)
    ]
    return Comparison(", ".join(axis), metric, " and ".join(unit) or "cell", found, level)


def _plain(level: Level) -> Any:
    return level[0] if len(level) == 1 else level


def _mean(units: Mapping[str, float]) -> float:
    return sum(units.values()) / len(units) if units else nan


def _verdict(one: Paired, p: float, comparisons: int, level: float) -> str:
    needed = seeds_needed(comparisons, level)
    if one.seeds == 0:
        return "nothing to compare"
    if p <= level:
        return "higher" if one.difference > 0 else "lower"
    if one.seeds < needed:
        return f"too few to tell: {one.seeds}, and at least {needed} are needed"
    return "no difference found"
