"""Every figure that has a bound, in one table: the median of some rounds, their range, and whether the bound is met."""

import os
from statistics import median

import pytest
from limits import LIMITS
from measures import BOUNDS, MEASURES, Figures

FEWER = {"growth": 3, "memory": 3, "lists": 3, "invalidation": 3, "busy": 3, "real_sizes": 1}
QUICK = {"runs": 3, "folder_runs": 3, "first_studio": 2}
MOST = int(os.environ.get("NBGRAPH_BENCH_ROUNDS", "5"))
"""Rounds of a figure, those in `FEWER` at most so many, of those in `QUICK` so many times more, as they vary most;
`make bench ROUNDS=1` tries the code."""


def line_of(figure: str, values: list[float]) -> str:
    """Return a figure's line: its bound, its median and range, and whether it is met, or what of it is known."""
    shown = f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"
    bound = BOUNDS.get(figure)
    if bound is None:
        return f"{figure:<40}{'':>24}{shown:<28}for comparison"
    is_met = median(values) >= bound.value if bound.is_least else median(values) <= bound.value
    limit = f"{'>=' if bound.is_least else '<='} {bound.value:g}"
    verdict = "met" if is_met else f"missed; of it: {LIMITS[figure]()}" if figure in LIMITS else "MISSED"
    return f"{figure:<40}{limit:>9} {bound.unit:<14}{shown:<28}{verdict}"


@pytest.mark.parametrize("name", MEASURES)
def test_what_a_person_waits_for(benchmark, name: str) -> None:
    count = min(MOST, FEWER.get(name, MOST)) * QUICK.get(name, 1)
    rounds: list[Figures] = benchmark.pedantic(lambda: [MEASURES[name]() for _ in range(count)], rounds=1)
    print()
    for figure in rounds[0]:
        values = [each[figure] for each in rounds]
        print(line_of(figure, values))
    benchmark.extra_info.update({figure: median(each[figure] for each in rounds) for figure in rounds[0]})
