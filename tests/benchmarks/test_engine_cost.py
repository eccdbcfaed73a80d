"""What the engine costs for each node, everything on (validation, key, cache, events, stats), as multiples of F."""

import gc
import math
import time
import tracemalloc

import pytest
from floor import floor_seconds

from nbgraph.invocations import Add, Collect, Iterate, Multiply
from nbgraph.progress import ProgressTracker
from nbgraph.services.invocation_processor.session_runner import SessionRunner
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph

SIZES = (100, 1_000, 10_000, 100_000)


def chain(size: int) -> Graph:
    node = Add(a=1, b=1)
    for _ in range(size - 1):
        node = Add(a=node.output("value"), b=1)
    return Graph.of(node)


def fan_out(size: int) -> Graph:
    root = Add(a=1, b=1)
    return Graph([Add(a=root.output("value"), b=number) for number in range(size - 1)])


def mapped_body(size: int) -> Graph:
    item = Iterate(collection=list(range((size - 1) // 4))).output("item")
    first = Add(a=item, b=1)
    second = Multiply(a=first.output("value"), b=2)
    return Graph.of(Collect(item=Add(a=second.output("value"), b=3)))


def run_seconds(graph: Graph, invoker: Invoker) -> float:
    session = GraphExecutionState(graph)
    tracker = ProgressTracker(session.id)
    tracker.listen(invoker.services.events)
    began = time.process_time()
    SessionRunner(session, invoker.services, lambda: False).run()
    seconds = time.process_time() - began
    assert session.status == "completed"
    return seconds / len(session)


def measure(make, size: int) -> tuple[float, float, float, float]:
    """Build, cold and cached CPU seconds for each node, the best of some rounds; and F measured between them."""
    rounds = max(1, min(5, 20_000 // size))
    build = cold = cached = floor = float("inf")
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        graph = make(size)
        build = min(build, (time.process_time() - began) / size)
        with Invoker(InvocationServices.memory()) as invoker:
            floor = min(floor, floor_seconds(10_000, 1))
            cold = min(cold, run_seconds(graph, invoker))
            cached = min(cached, run_seconds(graph, invoker))
    return build, cold, cached, floor


@pytest.mark.parametrize("make", [chain, fan_out, mapped_body])
def test_cost_of_a_node(make, benchmark):
    rows = []
    benchmark.pedantic(lambda: rows.extend((size, *measure(make, size)) for size in SIZES), rounds=1)
    print(f"\n{make.__name__}: multiples of F for each node")
    print(f"{'nodes':>8} {'build us':>9} {'cold':>6} {'cached':>7} {'F us':>6}")
    for size, build, cold, cached, floor in rows:
        print(f"{size:>8} {build * 1e6:>9.2f} {cold / floor:>6.2f} {cached / floor:>7.2f} {floor * 1e6:>6.2f}")
    print(f"growth exponent, 1,000 to 100,000: cold {exponent(rows, 2):.3f}, cached {exponent(rows, 3):.3f}")


def exponent(rows: list, column: int) -> float:
    (small, large) = rows[1], rows[-1]
    return 1 + math.log(large[column] / large[4] / (small[column] / small[4])) / math.log(large[0] / small[0])


def test_memory_of_a_node(benchmark):
    size = 100_000

    def measured() -> float:
        gc.collect()
        tracemalloc.start()
        graph = chain(size)
        invoker = Invoker(InvocationServices.memory())
        run_seconds(graph, invoker)
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        invoker.stop()
        return used / size

    used = benchmark.pedantic(measured, rounds=1)
    print(f"\nmemory of a chain of {size:,} nodes after a run: {used:.0f} bytes for each node")
