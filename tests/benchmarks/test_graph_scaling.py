"""How the cost of a graph grows: building, loading, checking, ordering and driving a session, from 1,000 nodes up.

Microseconds of processor time a node are in `extra_info`: the same at each size, if the cost grows as the graph does.
"""

import gc
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from nbgraph.invocations import Add, Collect, Integer, Iterate, Multiply, Range
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.outputs import IntegerCollectionOutput, IntegerOutput
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.plan import Plan
from nbgraph.services.shared.graph.topology import topological_order

pytestmark = pytest.mark.benchmark(timer=process_time)
SIZES = [1_000, 10_000, 100_000]
VALUE = IntegerOutput(value=1)


def chain(size: int) -> list[BaseInvocation]:
    """So many sums, each of the one before."""
    node: BaseInvocation = Add(a=1)
    for _ in range(size - 1):
        node = Add(a=node, b=1)
    return [node]


def fan_out(size: int) -> list[BaseInvocation]:
    """So many sums of one number."""
    root = Integer(value=1)
    return [Add(a=root, b=1) for _ in range(size - 1)]


def body(size: int) -> list[BaseInvocation]:
    """An iterate and a body of three nodes, prepared so many times together, and collected."""
    item = Iterate(collection=Range(stop=size // 4))
    return [Collect(item=Multiply(a=Add(a=Add(a=item, b=1), b=2), b=2))]


SHAPES = [chain, fan_out, body]


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    gc.collect()
    yield
    gc.collect()


def measure(benchmark: BenchmarkFixture, size: int, work: Callable[..., Any], setup: Callable[[], Any]) -> Any:
    """Time `work` on what `setup` makes, and note the microseconds a node."""
    result = benchmark.pedantic(work, setup=lambda: ((setup(),), {}), rounds=1 if size > 10_000 else 3)
    if benchmark.stats is not None:
        benchmark.extra_info["microseconds_a_node"] = round(benchmark.stats.stats.min / size * 1e6, 2)
    return result


def drive(session: GraphExecutionState) -> int:
    """Claim, assemble and complete every prepared node, running none but those that make lists."""
    count = 0
    while prepared := session.next():
        count += 1
        if prepared.planned.axis is not None:
            output: Any = session.iterate_output(prepared)
        else:
            session.arriving(prepared)
            output = VALUE
            if prepared.planned.node.type == "range":
                output = IntegerCollectionOutput(collection=list(range(prepared.planned.node.__dict__["stop"])))
        session.complete(prepared, output)
    assert session.status == "completed"
    return count


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES[:2], ids=lambda shape: shape.__name__)
def test_build(benchmark: BenchmarkFixture, shape: Callable[[int], list[BaseInvocation]], size: int) -> None:
    graph = measure(benchmark, size, lambda size: Graph.of(*shape(size)), lambda: size)
    assert len(graph) == size


@pytest.mark.parametrize("size", SIZES)
def test_load_and_check_and_order(benchmark: BenchmarkFixture, size: int) -> None:
    text = Graph.of(*chain(size)).to_json()

    def load(text: str) -> Graph:
        graph = Graph.from_json(text)
        topological_order({node_id: [link.source for link in graph.links(node_id)] for node_id in graph.nodes})
        return graph

    assert len(measure(benchmark, size, load, lambda: text)) == size


@pytest.mark.parametrize("size", SIZES)
def test_plan(benchmark: BenchmarkFixture, size: int) -> None:
    graph = Graph.of(*chain(size))
    assert len(measure(benchmark, size, Plan, lambda: graph).nodes) == size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_drive(benchmark: BenchmarkFixture, shape: Callable[[int], list[BaseInvocation]], size: int) -> None:
    graph = Graph.of(*shape(size))
    count = measure(benchmark, size, drive, lambda: GraphExecutionState(graph))
    assert count >= size


@pytest.mark.parametrize("size", [10, 100])
def test_drive_independent_iterates(benchmark: BenchmarkFixture, size: int) -> None:
    one, other = (Iterate(collection=list(range(size))) for _ in range(2))
    graph = Graph.of(Collect(item=Add(a=one, b=other)))
    count = measure(benchmark, size * size, drive, lambda: GraphExecutionState(graph))
    assert count == size * size + 2 * size + 1
