"""What the stored services cost: forgetting a deleted picture's results, and keeping what a run makes."""

import time
from hashlib import blake2b
from pathlib import Path

import pytest

from nbgraph.invocations import Add, Collect, Iterate
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.invocation_processor.session_runner import SessionRunner
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph

ENTRIES = 100_000
KINDS = ("memory", "sqlite")


def open_services(kind: str, folder: Path) -> InvocationServices:
    return InvocationServices.memory() if kind == "memory" else InvocationServices.sqlite(folder)


def name_of(number: int) -> str:
    return blake2b(str(number).encode(), digest_size=16).hexdigest()


def filled(kind: str, folder: Path) -> InvocationServices:
    """A cache of 100,000 entries that name a picture each."""
    services = open_services(kind, folder)
    for number in range(ENTRIES):
        output = ImageOutput(image=ImageField(image_name=name_of(number)), width=8, height=8)
        key = number.to_bytes(16, "big")
        entry = CacheEntry(key, f"l2i[{number}]", "l2i", "{}", resources=(name_of(number),), bytes=1, output=output)
        services.invocation_cache._put({key: entry})
    assert services.invocation_cache.status().size == ENTRIES
    return services


@pytest.mark.parametrize("kind", KINDS)
def test_forgetting_one_picture_among_100_000_results(benchmark, kind, tmp_path):
    services = filled(kind, tmp_path)
    cache, numbers = services.invocation_cache, iter(range(ENTRIES))
    assert benchmark.pedantic(lambda: cache.forget_resource(name_of(next(numbers))), rounds=50) == 1
    assert cache.status().size == ENTRIES - 50
    services.close()


def test_the_same_by_a_linear_scan(benchmark, tmp_path):
    services = filled("memory", tmp_path)
    entries = services.invocation_cache.entries()
    assert len(benchmark.pedantic(lambda: [e for e in entries if name_of(77) in e.text], rounds=3)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_small_nodes(benchmark, kind, tmp_path):
    """CPU seconds for each of 8,001 nodes: new, and cached; the difference between the kinds is what storing costs."""
    services = open_services(kind, tmp_path)
    invoker = Invoker(services)
    item = Iterate(collection=list(range(4000)))
    graph = Graph.of(Collect(item=Add(a=item.output("item"), b=1)))

    def run() -> float:
        session = GraphExecutionState(graph)
        services.graph_execution_manager.set(session)
        began = time.process_time()
        SessionRunner(session, services, lambda: False).run()
        services.invocation_cache.flush()
        services.performance_statistics.flush()
        return (time.process_time() - began) / len(session) * 1e6

    cold = run()
    cached = min(run() for _ in range(3))
    benchmark.extra_info.update(cold_us=cold, cached_us=cached)
    print(f"\n{kind}: {cold:.1f} us a node when new, {cached:.1f} us when cached")
    benchmark.pedantic(run, rounds=1)
    invoker.stop()
