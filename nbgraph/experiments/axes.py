"""The axes of a sweep: addresses with their values, multiplied, or zipped where several addresses share an axis.

An axis may also be a part of a text, `nb.replace("prompt.text", "apple")`: its values take the place of that part.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import product
from math import prod
from random import SystemRandom
from typing import Any, cast

from nbgraph.errors import GraphError, Problem, Problems
from nbgraph.experiments.batch import Batch, BatchDatum
from nbgraph.invocations.fields import DRAWN_MAX
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.topology import topological_order
from nbgraph.texts import value_text

Axis = str | tuple[str, ...]
Cells = list[tuple[dict[str, Any], Graph]]
"""The swept values of each cell by the names of axes, and its graph."""


class TextPart(str):
    """A part of a text as an axis of a sweep; as a text, `prompt.text: apple`, the name of its column."""

    address: str
    old: str

    def __new__(cls, address: str, old: str) -> "TextPart":
        part = super().__new__(cls, f"{address}: {old}")
        part.address, part.old = address, old
        return part

    def __reduce__(self) -> tuple[Any, ...]:
        return TextPart, (self.address, self.old)


def replace(address: str, old: str) -> TextPart:
    """Return an axis of a sweep that replaces a part of a text by each of its values.

    Several parts of one text are replaced at once, so no value is replaced again. Each part must occur in the text; to
    keep it in one of the cells, give it as a value.

    Parameters
    ----------
    address
        The address of a text, such as `prompt.text`. It may be an axis of the sweep too.
    old
        The part, as it is written there; every occurrence is replaced.

    Raises
    ------
    GraphError
        `address` or `old` is no text, or `old` is empty.

    Examples
    --------
    >>> import nbgraph as nb
    >>> from nbgraph.invocations import JoinStrings
    >>> join = JoinStrings(id="join", string_left="a red apple", string_right="")
    >>> with nb.Studio() as studio:
    ...     grid = studio.sweep(join, {nb.replace("join.string_left", "apple"): ["pear", "plum"]}, progress=False)
    >>> grid.frame.value.tolist()
    ['a red pear', 'a red plum']
    """
    for name, given in (("address", cast(object, address)), ("old", cast(object, old))):
        if not isinstance(given, str) or not given:
            text = f'{name} is a text, as in nb.replace("prompt.text", "apple"), not {value_text(given)}'
            raise GraphError([Problem("bad_value", text)])
    return TextPart(address, old)


def short_name(name: str) -> str:
    """Return the last part of the address of an axis, or the part of a text that it replaces."""
    return name.old if isinstance(name, TextPart) else name.rpartition(".")[2]


def shown_name(name: str) -> str:
    """Return what is written before a value of an axis in a label: `cfg_scale`, or `apple ->` for a part of a text."""
    return f"{name.old} ->" if isinstance(name, TextPart) else short_name(name)


def sweep_cells(graph: Graph, values: Mapping[Axis, Any], runs: int, limit: int) -> Cells:
    """Return the cells of a sweep in order, the last axis varying fastest.

    A seed that is left open is drawn once for all cells, and again each time that they are repeated: cells with seeds
    of their own would differ in more than what is swept.

    Parameters
    ----------
    graph, values, runs
        As in `Studio.sweep`.
    limit
        The largest number of cells.

    Raises
    ------
    GraphError
        An address or value is wrong, a part does not occur in its text, or there are too many cells; with all problems.
    """
    cells = _cells(graph, values, runs, limit)
    open_seeds = [address for address in _open_seeds(graph) if not any(address in names for names, _ in cells)]
    if not open_seeds:
        return cells
    draw = SystemRandom()
    drawn = [{address: draw.randint(0, DRAWN_MAX) for address in open_seeds} for _ in range(runs)]
    once = len(cells) // len(drawn)
    return [(names, swept.with_values(drawn[number // once])) for number, (names, swept) in enumerate(cells)]


def _open_seeds(graph: Graph) -> Iterator[str]:
    """Yield the addresses of seeds that one run draws once: those below an iterate node are drawn for each item."""
    repeated: set[str] = set()
    parents = {id: [link.source for link in graph.links(id) if link.source in graph.nodes] for id in graph.nodes}
    for node_id in topological_order(parents)[0]:
        node = graph.nodes[node_id]
        if node.type == "iterate" or repeated.intersection(parents[node_id]):
            repeated.add(node_id)
            continue
        linked = {link.field for link in graph.links(node_id)}
        for name, spec in node.inputs().items():
            if spec.seed and name not in linked and getattr(node, name, None) is None:
                yield f"{node_id}.{name}"


def _cells(graph: Graph, values: Mapping[Axis, Any], runs: int, limit: int) -> Cells:
    groups = batch_data(values)
    parts = [datum.address for group in groups for datum in group if isinstance(datum.address, TextPart)]
    if not parts or runs * prod(max(len(datum.items) for datum in group) for group in groups) > limit:
        return list(Batch(graph, groups, runs, limit))
    # what is wrong with an address or a value is found as in any batch
    plain = [[datum for datum in group if not isinstance(datum.address, TextPart)] for group in groups]
    Batch(graph, [*plain, [BatchDatum(address, [_text_at(graph, address)]) for address in _new_addresses(groups)]])
    rows = [_row_of(groups, places) for places in product(*(range(len(group[0].items)) for group in groups))]
    if not rows:
        text = f"a part of a text has an empty list of values: {', '.join(parts)}; give it at least one"
        raise GraphError([Problem("bad_value", text)])
    texts = _replaced(graph, parts, rows)
    addresses = dict.fromkeys(name.address if isinstance(name, TextPart) else name for name in rows[0])
    zipped = [BatchDatum(address, texts.get(address) or [row[address] for row in rows]) for address in addresses]
    graphs = Batch(graph, [zipped], runs, limit)
    return [(dict(rows[number % len(rows)]), swept) for number, (_, swept) in enumerate(graphs)]


def _row_of(groups: Sequence[Sequence[BatchDatum]], places: Sequence[int]) -> dict[str, Any]:
    return {datum.address: datum.items[place] for group, place in zip(groups, places) for datum in group}


def _new_addresses(groups: Sequence[Sequence[BatchDatum]]) -> Iterator[str]:
    """Yield the addresses of texts of which only parts are axes."""
    names = [datum.address for group in groups for datum in group]
    parts = dict.fromkeys(name.address for name in names if isinstance(name, TextPart))
    return (address for address in parts if address not in names)


def _text_at(graph: Graph, address: str) -> Any:
    """Return the value of an input, and an empty text where there is none, or no such input."""
    node_id, _, field = address.rpartition(".")
    return graph.nodes[node_id].literals().get(field, "") if node_id in graph.nodes else ""


def _replaced(graph: Graph, parts: Sequence[TextPart], rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the texts of all cells by address, with their parts replaced."""
    texts: dict[str, list[str]] = {}
    problems: dict[str, None] = {}
    for address in dict.fromkeys(part.address for part in parts):
        own = [part for part in parts if part.address == address]
        # a part may be the beginning of a longer one
        pattern = re.compile("|".join(re.escape(part.old) for part in sorted(own, key=lambda part: -len(part.old))))
        found: list[str] = []
        for row in rows:
            text = row.get(address, _text_at(graph, address))
            by = {part.old: row[part] for part in own}
            problems.update(dict.fromkeys(_part_problems(text, address, by)))
            if not problems:
                found.append(pattern.sub(lambda match, by=by: by[match.group()], text))
        texts[address] = found
    if problems:
        raise GraphError([Problem("bad_value", problem) for problem in problems])
    return texts


def _part_problems(text: object, address: str, by: Mapping[str, object]) -> Iterator[str]:
    if not isinstance(text, str):
        yield f"{address!r} has no text of its own, so nothing in it can be replaced; it is {value_text(text)}"
        return
    for old, new in by.items():
        if old not in text:
            yield f"{old!r} does not occur in {address}, which is {value_text(text)}"
        if not isinstance(new, str):
            yield f"{old!r} in {address} is replaced by texts, not by {value_text(new)}"


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
