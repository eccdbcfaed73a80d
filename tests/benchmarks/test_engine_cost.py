"""What the engine costs for each node, everything on (validation, key, cache, events, stats), as multiples of F.

F is measured before each graph is built: with a large heap around it F is slower, which would flatter the engine.
Beside it stands the bare loop: the same features with nothing between them.
"""

import gc
import math
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from bare_graph import bare_chain
from bare_loop import run_bare
from floor import floor_seconds

from nbgraph.gc_pause import gc_pause
from nbgraph.invocations import Add, Collect, Iterate, Multiply
from nbgraph.services.events.events_common import Event
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.invocation_processor.session_runner import SessionRunner
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.plan import Plan

SIZES = (100, 1_000, 10_000, 100_000)
FITTED_FROM = 1_000
FLOOR_RUNS = 5_000
WORKER = ThreadPoolExecutor(1)
"""Sessions run in a thread of their own, as in a studio, and by its clock: that of the process lags up to 4 ms behind
what another thread has used."""


def chain(size: int) -> Graph:
    node = Add(a=1, b=1)
    for _ in range(size - 1):
        node = Add(a=node.output("value"), b=1)
    return Graph.of(node)


def fan_out(size: int) -> Graph:
    root = Add(a=1, b=1)
    return Graph.of(*[Add(a=root.output("value"), b=number) for number in range(size - 1)])


def mapped_body(size: int) -> Graph:
    item = Iterate(collection=list(range((size - 1) // 4))).output("item")
    first = Add(a=item, b=1)
    second = Multiply(a=first.output("value"), b=2)
    return Graph.of(Collect(item=Add(a=second.output("value"), b=3)))


class Counter:
    """Who listens: without anybody, events would cost less."""

    def __init__(self) -> None:
        self.heard = 0

    def __call__(self, event: Event) -> None:
        self.heard += 1


class Cost(NamedTuple):
    """CPU seconds of all nodes together, and of one F."""

    size: int
    floor: float
    build: float
    plan: float
    cold: float
    cached: float
    bare_cold: float
    bare_cached: float


def timed(work: Callable, clock: Callable[[], float] = time.process_time) -> tuple[float, object]:
    began = clock()
    result = work()
    return clock() - began, result


def run(session: GraphExecutionState, invoker: Invoker) -> float:
    counter = Counter()
    end = invoker.services.events.subscribe(counter)
    runner = SessionRunner(session, invoker.services, lambda: False)
    seconds, status = WORKER.submit(timed, runner.run, time.thread_time).result()
    end()
    assert status == "completed"
    assert counter.heard >= len(session)
    return seconds


def bare(plan: Plan) -> tuple[float, float]:
    """Seconds of the bare loop, cold and cached, without the collector of cycles; of plans with iterations none."""
    if plan.axes:
        return 0.0, 0.0
    cache: dict[bytes, CacheEntry] = {}
    with gc_pause():
        cold, cached = (timed(lambda: run_bare(plan, cache, Counter()))[0] for _ in range(2))
    return cold, cached


def rounds_of(size: int) -> int:
    """How often to measure, to take the best: short runs are the ones that a busy machine disturbs most."""
    return max(3, min(100, 20_000 // size))


def measure(make: Callable[[int], Graph], size: int) -> Cost:
    """The best of some rounds, each with its own F, graph and empty cache."""
    rounds = []
    for _ in range(rounds_of(size)):
        gc.collect()
        floor = floor_seconds(FLOOR_RUNS, 1)
        build, graph = timed(lambda: make(size))
        with Invoker(InvocationServices.memory()) as invoker:
            plan, session = timed(lambda graph=graph: GraphExecutionState(graph))
            cold = run(session, invoker)
            cached = run(GraphExecutionState(graph), invoker)
        rounds.append((floor, build, plan, cold, cached, *bare(session.plan)))
        del graph, session, invoker
    return Cost(size, *map(min, zip(*rounds)))


@pytest.mark.parametrize("make", [chain, fan_out, mapped_body])
def test_cost_of_a_node(make, benchmark):
    costs: list[Cost] = []
    benchmark.pedantic(lambda: costs.extend(measure(make, size) for size in SIZES), rounds=1)
    print(f"\n{make.__name__}: microseconds of CPU time a node, and as multiples of F")
    of_engine = ("cold", "cached") if make is mapped_body else ("build", "plan", "cold", "cached")
    names = of_engine if make is mapped_body else (*of_engine, "bare_cold", "bare_cached")
    print(f"{'nodes':>8} {'F':>6}" + "".join(f"{name.replace('_', ' '):>17}" for name in names))
    for cost in costs:
        parts = [getattr(cost, name) / cost.size for name in names]
        shown = "".join(f"{part * 1e6:>10.2f}{part / cost.floor:>6.2f}F" for part in parts)
        print(f"{cost.size:>8} {cost.floor * 1e6:>6.2f}{shown}")
    fitted = ", ".join(f"{name} {exponent(costs, name):.3f}" for name in of_engine)
    print(f"growth exponent from {FITTED_FROM:,} to {SIZES[-1]:,} nodes: {fitted}")


def exponent(costs: list[Cost], name: str) -> float:
    """The growth of what all nodes cost, in F, by how many there are."""
    return slope([(cost.size, getattr(cost, name) / cost.floor) for cost in costs if cost.size >= FITTED_FROM])


def slope(costs: list[tuple[int, float]]) -> float:
    """The slope of the straight line through the logarithms of sizes and what they cost."""
    points = [(math.log(size), math.log(cost)) for size, cost in costs]
    mean_x, mean_y = (sum(each) / len(points) for each in zip(*points))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def test_cost_of_the_floor_where_all_it_makes_is_kept(benchmark):
    """F is measured with little kept. With as much kept as a graph keeps it costs more, by what memory costs."""
    sizes = [size for size in SIZES if size >= FITTED_FROM]
    floors = benchmark.pedantic(lambda: [floor_seconds(size) for size in sizes], rounds=1)
    print("\nF with so many kept: " + ", ".join(f"{size:,}: {each * 1e6:.2f} us" for size, each in zip(sizes, floors)))
    print(f"its growth exponent: {slope([(size, size * each) for size, each in zip(sizes, floors)]):.3f}")


def test_cost_of_building_beside_that_of_what_is_built(benchmark):
    """What a chain must hold costs more a node where it is long, by what memory costs; building cannot cost less."""

    def best(make: Callable[[int], object], size: int) -> float:
        rounds = []
        for _ in range(rounds_of(size)):
            gc.collect()
            rounds.append(timed(lambda: make(size))[0])
        return min(rounds)

    sizes = [size for size in SIZES if size >= FITTED_FROM]
    makes = {"built": chain, "what it holds": bare_chain}
    costs = benchmark.pedantic(
        lambda: {name: [(size, best(make, size)) for size in sizes] for name, make in makes.items()}, rounds=1
    )
    for name, found in costs.items():
        parts = ", ".join(f"{size:,}: {cost / size * 1e6:.2f} us" for size, cost in found)
        print(f"\nchain, {name}: {parts}; growth exponent {slope(found):.3f}")


@pytest.mark.parametrize("make", [chain, mapped_body])
def test_memory_of_a_node(make, benchmark):
    size = SIZES[-1]

    def measured() -> tuple[float, float]:
        gc.collect()
        tracemalloc.start()
        graph = make(size)
        invoker = Invoker(InvocationServices.memory())
        session = GraphExecutionState(graph)
        run(session, invoker)
        held, _ = tracemalloc.get_traced_memory()
        del session
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        invoker.stop()
        return used / size, held / size

    used, held = benchmark.pedantic(measured, rounds=1)
    print(f"\n{make.__name__}, {size:,} nodes, after a run: {used:.0f} bytes a node; {held:.0f} with its session held")
