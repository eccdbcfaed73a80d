"""The axes of a sweep: addresses with their values, multiplied, or zipped where several addresses share an axis."""

from collections.abc import Iterable, Mapping, Set
from typing import Any, cast

from nbgraph.errors import GraphError, Problem, Problems
from nbgraph.services.shared.graph.batch import BatchDatum
from nbgraph.texts import value_text

Axis = str | tuple[str, ...]


def axis_names(axis: Axis) -> tuple[str, ...]:
    """Return the addresses of an axis."""
    return axis if isinstance(axis, tuple) else (axis,)


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
