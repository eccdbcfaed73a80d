"""Every figure that has a bound, in one table: the median of some rounds, their range, and whether the bound is met."""

import os
from statistics import median

import pytest
from measures import BOUNDS, MEASURES, Figures

FEWER = {"growth": 3, "memory": 3, "lists": 3, "invalidation": 3, "first_picture": 3, "busy": 3}
MOST = int(os.environ.get("NBGRAPH_BENCH_ROUNDS", "5"))
"""Rounds of a figure, those in `FEWER` at most so many; `make bench ROUNDS=1` tries the code."""


@pytest.mark.parametrize("name", MEASURES)
def test_what_a_person_waits_for(benchmark, name: str) -> None:
    count = min(MOST, FEWER.get(name, MOST))
    rounds: list[Figures] = benchmark.pedantic(lambda: [MEASURES[name]() for _ in range(count)], rounds=1)
    print()
    for figure in rounds[0]:
        values = [each[figure] for each in rounds]
        bound = BOUNDS[figure]
        is_met = median(values) >= bound.value if bound.is_least else median(values) <= bound.value
        limit = f"{'>=' if bound.is_least else '<='} {bound.value:g}"
        shown = f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"
        print(f"{figure:<40}{limit:>9} {bound.unit:<14}{shown:<28}{'met' if is_met else 'MISSED'}")
    benchmark.extra_info.update({figure: median(each[figure] for each in rounds) for figure in rounds[0]})
