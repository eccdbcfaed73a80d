"""S, what a person pays: all of `studio.run`, beside what the run loop alone takes, as multiples of F for each node.

Rounds are paired: F is measured right before and right after each run, in processor time, so that a machine that is
busy or clocks down in between shows in both. The median of the rounds is printed, and their range. A map counts its
body nodes, as its items cost next to nothing.

The bounds are 4, 5 and 4 F a node for a cold chain, fan-out and map. Of 10,000 nodes, measured in turn with the tree
before, on two busy cores, medians:

    chain     4.4    Graph.of 0.8, the session with its plan 0.45, validation 0.2, the run loop 2.75, the rest 0.15
    fan-out   4.6    Graph.of 0.9, the session with its plan 0.55, validation 0.3, the run loop 2.75, the rest 0.1
    map       4.0    the run loop 3.8, which hands out a block for every three nodes of the body

The chain misses its bound by 0.4, and the limit is known. `bare_loop.py`, what the features of the loop cost with
nothing between them, takes 1.95. All steps of the loop written into one function, without a call between them, take
2.25: that saves 7 to 13 % of a chain, less than the 15 % for which clarity is given up. Without saving results, cache
look-ups, stats rows or the pause of the collector the loop takes 0.0 to 0.15 less. Graph.of takes 0.3 to follow the
edges, 0.2 for ids, 0.15 for edges, and the rest for three dictionaries with an entry for each node.

From 1,000 to 100,000 nodes S grows by an exponent of 0.9 to 1.0; `measures.py` prints it beside its bound of 1.05.
"""

import gc
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import pytest
from floor import floor_seconds

import nbgraph as nb
from nbgraph.invocations import Add, Collect, Iterate, Multiply
from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.invocation_processor.session_runner import SessionRunner

SIZES = (100, 1_000, 10_000)
ROUNDS = {100: 15, 1_000: 9, 10_000: 5}
FLOOR_RUNS = 3_000
BODY = 3


class Round(NamedTuple):
    """Multiples of F for each node: all of `studio.run`, and its run loop, cold and with all results cached."""

    cold: float
    cached: float
    loop_cold: float
    loop_cached: float


def chain(size: int) -> BaseInvocation:
    node = Add(a=1, b=1)
    for _ in range(size - 1):
        node = Add(a=node.output("value"), b=1)
    return node


def fan_out(size: int) -> BaseInvocation:
    root = Add(a=1, b=1)
    return Collect(item=[Add(a=root.output("value"), b=number) for number in range(size - 2)])


def mapped(size: int) -> BaseInvocation:
    item = Iterate(collection=list(range(size // BODY))).output("item")
    first = Add(a=item, b=1)
    second = Multiply(a=first.output("value"), b=2)
    return Collect(item=Add(a=second.output("value"), b=3))


@pytest.fixture
def loop_seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What each run loop took, in the processor time of its thread."""
    found: list[float] = []
    whole = SessionRunner.run

    def timed(self: SessionRunner, **how: bool) -> str:
        began = time.thread_time()
        try:
            return whole(self, **how)
        finally:
            found.append(time.thread_time() - began)

    monkeypatch.setattr(SessionRunner, "run", timed)
    return found


def paired(work: Callable[[], object], loop_seconds: list[float], size: int) -> tuple[float, float]:
    """What the work takes, and the run loop in it, each as multiples of F for one node."""
    loop_seconds.clear()
    before = floor_seconds(FLOOR_RUNS, 1)
    began = time.process_time()
    work()
    seconds = time.process_time() - began
    floor = (before + floor_seconds(FLOOR_RUNS, 1)) / 2
    return seconds / size / floor, loop_seconds[0] / size / floor


def one_round(make: Callable[[int], BaseInvocation], size: int, loop_seconds: list[float]) -> Round:
    target = make(size)
    gc.collect()
    with nb.Studio() as studio:
        cold, loop_cold = paired(lambda: studio.run(target, progress=False), loop_seconds, size)
        cached, loop_cached = paired(lambda: studio.run(target, progress=False), loop_seconds, size)
    return Round(cold, cached, loop_cold, loop_cached)


@pytest.mark.parametrize("make", [chain, fan_out, mapped])
def test_cost_of_a_run(make: Callable[[int], BaseInvocation], benchmark, loop_seconds: list[float]) -> None:
    one_round(make, 100, loop_seconds)

    def measure() -> dict[int, list[Round]]:
        return {size: [one_round(make, size, loop_seconds) for _ in range(ROUNDS[size])] for size in SIZES}

    found = benchmark.pedantic(measure, rounds=1)
    print(f"\n{make.__name__}: multiples of F a node, median (range)")
    print(f"{'nodes':>8}" + "".join(f"{name.replace('_', ' '):>22}" for name in Round._fields))
    for size, rounds in found.items():
        columns = [[getattr(each, name) for each in rounds] for name in Round._fields]
        shown = [f"{median(each):.2f} ({min(each):.2f} to {max(each):.2f})" for each in columns]
        print(f"{size:>8}" + "".join(f"{each:>22}" for each in shown))
