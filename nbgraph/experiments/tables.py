"""Frames of sweeps and of what is found in them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nbgraph.frames import MB, frame, pandas_module

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

COMPARISON = {
    "a": "object",
    "b": "object",
    "seeds": "int64",
    "mean_a": "float64",
    "mean_b": "float64",
    "difference": "float64",
    "low": "float64",
    "high": "float64",
    "agree": "float64",
    "effect_size": "float64",
    "p": "float64",
    "verdict": "str",
}


def comparison_frame(rows: Iterable[Sequence[Any]]) -> "pd.DataFrame":
    """Return one row per comparison of a metric between two values of a sweep's axis."""
    return frame(rows, COMPARISON)


class CellTotals(NamedTuple):
    """The figures of the run of one cell: seconds of all nodes, peak VRAM in bytes, status and error."""

    seconds: float
    vram_peak: int | None
    status: str
    error: str


def sweep_frame(
    values: Sequence[dict[str, Any]], given: dict[str, list[Any]], totals: Sequence[CellTotals]
) -> "pd.DataFrame":
    """Return one row per cell of a sweep.

    Parameters
    ----------
    values
        For each cell the swept values by address; a column for each address.
    given
        Columns by name, with the output of the node and the metrics for each cell.
    totals
        The figures of each run.
    """
    pandas = pandas_module()
    # With an index of its own: a sweep without axes has rows without columns.
    table = pandas.DataFrame(list(values), index=range(len(values)))
    for name, column in given.items():
        table[name] = _given_column(column)
    table["seconds"] = pandas.Series([each.seconds for each in totals], dtype="float64")
    peaks = [None if each.vram_peak is None else each.vram_peak / MB for each in totals]
    table["vram_peak_mb"] = pandas.Series(peaks, dtype="Float64")
    table["status"] = pandas.Series([each.status for each in totals], dtype="category")
    table["error"] = pandas.Series([each.error for each in totals], dtype="str")
    return table


def _given_column(values: list[Any]) -> "pd.Series":
    """Return a column: strings as `str`, numbers and booleans by a dtype with <NA>, anything else as `object`."""
    # pandas would make 1.0 of 1 where one value is missing, and an object column of True and None.
    kinds: set[type] = {type(value) for value in values if value is not None}
    pandas = pandas_module()
    if kinds == {str}:
        return pandas.Series(values, dtype="str")
    if kinds <= {bool, int, float}:
        return pandas.Series(pandas.array(values))
    return pandas.Series(values, dtype="object")
