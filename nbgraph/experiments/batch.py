"""A batch: one graph and lists of values for its inputs, with one session for each combination.

Batch(graph, [
    [BatchDatum("noise.seed", [1, 2]), BatchDatum("prompt.text", ["a", "b"])],   # zipped: two pairs
    [BatchDatum("denoise.cfg_scale", [2, 4])],                                   # times these two: four sessions
], runs=3)                                                                       # all of it three times: twelve
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, SupportsIndex

from nbgraph.errors import GraphError, Problem, Problems
from nbgraph.invocations.types import NodeValue
from nbgraph.services.shared.graph.graph import Graph

MAX_SESSIONS = 10_000
SAME_FOR_ALL_VALUES = {"unknown_node", "unknown_field"}


class BatchDatum:
    """The values that one input takes, one after the other; its address is `node.field`."""

    def __init__(self, address: str, items: Iterable[NodeValue]) -> None:
        self.address = address
        self.items: Sequence[Any] = items if isinstance(items, Sequence) else list(items)

    def __repr__(self) -> str:
        return f"BatchDatum({self.address!r}, {self.items!r})"


class Batch:
    """Values and graphs, made one at a time: `for values, graph in batch`; `len(batch)` is the number of sessions.

    Parameters
    ----------
    graph
        The graph, which is not changed.
    data
        Groups of data. The data of a group are zipped; the groups are multiplied, the last one changing fastest.
    runs
        How often all of it is run.
    max_sessions
        A batch of more sessions is refused, never cut short.

    Raises
    ------
    GraphError
        An address is not an input, a value does not fit, lists of a group are not equally long, or the batch is too
        large; with all problems.
    """

    def __init__(
        self,
        graph: Graph,
        data: Sequence[Sequence[BatchDatum]] = (),
        runs: int = 1,
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        if not isinstance(runs, SupportsIndex):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise GraphError([Problem("bad_value", f"a batch runs a whole number of times, not {runs!r} times")])
        self.graph = graph
        self.data = [list(group) for group in data if group]
        self.runs = runs
        problems = Problems()
        self._check_shape(problems)
        count = runs * prod(max(len(datum.items) for datum in group) for group in self.data)
        if count > max_sessions:
            text = f"the batch has {count:,} sessions, over the limit of {max_sessions:,}; make it smaller, or several"
            problems.add("too_many_sessions", text)
        else:
            self._check_values(problems)
        problems.raise_any()

    def __len__(self) -> int:
        return self.runs * prod(len(group[0].items) for group in self.data)

    def __iter__(self) -> Iterator[tuple[dict[str, NodeValue], Graph]]:
        rows = [range(len(group[0].items)) for group in self.data]
        for _ in range(self.runs):
            for places in product(*rows):
                values = {
                    datum.address: datum.items[place] for group, place in zip(self.data, places) for datum in group
                }
                yield values, self.graph.with_values(values)

    def __repr__(self) -> str:
        return f"Batch({len(self)} sessions, {', '.join(datum.address for group in self.data for datum in group)})"

    def _check_shape(self, problems: Problems) -> None:
        """Check runs, lengths, and addresses that are given twice."""
        if self.runs < 1:
            problems.add("bad_value", f"a batch runs once or more often, not {self.runs} times")
        seen: set[str] = set()
        for group in self.data:
            for datum in group:
                if datum.address in seen:
                    problems.add("duplicate_field", f"{datum.address!r} is given values twice; leave one out")
                if not datum.items:
                    problems.add("bad_value", f"{datum.address!r} has an empty list of values; give it at least one")
                seen.add(datum.address)
            if len({len(datum.items) for datum in group}) > 1:
                lengths = ", ".join(f"{datum.address!r} has {len(datum.items)}" for datum in group)
                problems.add("unequal_lengths", f"lists that are zipped are equally long, and {lengths} values")

    def _check_values(self, problems: Problems) -> None:
        """Check that the graph has the inputs, and that each takes all its values."""
        for datum in (datum for group in self.data for datum in group):
            kinds = {_kind(item) for item in datum.items}
            if len(kinds) > 1:
                text = f"{datum.address!r} has values of different types: {', '.join(sorted(kinds))}; choose one"
                problems.add("mixed_types", text)
            for item in datum.items:
                try:
                    self.graph.with_values({datum.address: item})
                except GraphError as error:
                    problems.found.extend(error.problems)
                    if SAME_FOR_ALL_VALUES & {problem.kind for problem in error.problems}:
                        break


def _kind(item: NodeValue) -> str:
    return "number" if isinstance(item, int | float) and not isinstance(item, bool) else type(item).__name__
