"""What the stored services cost: listing and forgetting results, keeping what a run makes, and finding it again."""

import random
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from statistics import median

import pytest

from nbgraph.invocations import Add, Collect, Iterate
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput, IntegerOutput
from nbgraph.services.invocation_cache.entry_lists import EntryQuery
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.invocation_processor.session_runner import SessionRunner
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.studio import Studio

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


LISTS: dict[str, Callable[[InvocationCacheBase], object]] = {
    "a page": lambda cache: cache.page(EntryQuery()),
    "a page far down": lambda cache: cache.page(EntryQuery(), page=1000),
    "sorted by node": lambda cache: cache.page(EntryQuery(sort="node")),
    "sorted by seconds": lambda cache: cache.page(EntryQuery(sort="seconds")),
    "of a type": lambda cache: cache.page(EntryQuery(type="mul")),
    "a search": lambda cache: cache.page(EntryQuery("node_7776")),
    "forget a node": lambda cache: cache.forget(node="node_777"),
    "would forget": lambda cache: cache.affected(keys=[key_of(number) for number in range(500, 550)]),
    "a picture's": lambda cache: cache.rows_naming([name_of(3)]),
    "explain": lambda cache: cache.entries(node="node_600"),
}


def key_of(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=16).digest()


def listed(folder: Path) -> InvocationServices:
    """A folder with 100,000 results of two types, three of four made of the one before."""
    services = InvocationServices.sqlite(folder)
    head, chance = '{"type": "add", "code": "' + "x" * 380 + '", "inputs": ', random.Random(1)
    for start in range(0, ENTRIES, 1000):
        entries = [
            CacheEntry(
                key_of(number),
                f"node_{number}",
                ("add", "mul")[number % 7 == 0],
                head,
                f"[{number}, 7]}}".encode(),
                (key_of(number - 1),) if number % 4 else (),
                chance.random(),
                output=IntegerOutput(value=number),
            )
            for number in range(start, start + 1000)
        ]
        services.invocation_cache._put({entry.key: entry for entry in entries})
    services.flush()
    return services


def test_lists_and_look_ups_among_100_000_results_of_a_folder(benchmark, tmp_path):
    """Milliseconds of each, and as a share of reading all rows in the same round, as it was done before."""
    services = listed(tmp_path / "studio")
    cache = services.invocation_cache
    cache.peek(key_of(1))  # a kernel that has run something knows the keys

    def seconds_of(act: Callable[[InvocationCacheBase], object]) -> float:
        began = time.thread_time()
        act(cache)
        return time.thread_time() - began

    found: dict[str, list[float]] = {name: [] for name in LISTS}
    shares: dict[str, list[float]] = {name: [] for name in LISTS}
    for _ in range(3):
        whole = seconds_of(lambda cache: cache.entries())
        for name, act in LISTS.items():
            found[name].append(seconds_of(act))
            shares[name].append(found[name][-1] / whole)
    for name in LISTS:
        print(f"\n{name}: {1000 * median(found[name]):.2f} ms, {100 * median(shares[name]):.2f} % of all rows", end="")
    benchmark.extra_info.update({name: median(each) for name, each in found.items()})
    benchmark.pedantic(lambda: cache.page(EntryQuery()), rounds=1)
    services.close()


def chain_of(count: int) -> Add:
    node = Add(id="n0", a=1, b=1)
    for number in range(1, count):
        node = Add(id=f"n{number}", a=node, b=1)
    return node


def test_a_cached_chain_after_a_restart_and_a_new_one(benchmark, tmp_path):
    """CPU us a node of `studio.run`: new and cached in a folder beside memory, and the first run of a new kernel."""
    count = 2000
    found: dict[str, list[float]] = {}

    def note(name: str, studio: Studio, node: Add) -> None:
        began = time.process_time()
        studio.run(node, progress=False)
        found.setdefault(name, []).append((time.process_time() - began) / count * 1e6)

    for number in range(3):
        folder = tmp_path / str(number)
        with Studio() as memory, Studio(folder) as kept:
            for name, studio in (("memory", memory), ("folder", kept)):
                note(f"{name} new", studio, chain_of(count))
                note(f"{name} cached", studio, chain_of(count))
        with Studio(folder) as again:
            note("after a restart", again, chain_of(count))
    for name, each in found.items():
        print(f"\n{name}: {median(each):.1f} us ({min(each):.1f} to {max(each):.1f})", end="")
    over = median(again - cached for again, cached in zip(found["after a restart"], found["memory cached"]))
    print(f"\nafter a restart beside cached in memory: {over:.1f} us more")
    benchmark.extra_info.update({name: median(each) for name, each in found.items()})
    benchmark.pedantic(lambda: None, rounds=1)
