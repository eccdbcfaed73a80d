"""What a person pays and waits for: the figures of `make bench`, each with its bound, and of `make bench-compare`.

Each function measures one round and returns its figures. A figure is a ratio to something that is measured in the same
round, right before and after it: F (see `floor.py`), or the same done without nbgraph. What a person waits for is
shown in seconds of a quiet machine: so many F, each of 3.3 us. Only names that a person uses are used here, so that the
same code measures an older commit.
"""

import gc
import json
import math
import sys
import time
import tracemalloc
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import NamedTuple

from floor import floor_seconds
from picture_measures import QUIET_FLOOR, Figures, busy, first_picture, first_studio
from plain_call import pictures, real_sizes

import nbgraph as nb
from nbgraph.invocations import Add, BlankImage, Collect, Iterate, Multiply
from nbgraph.invocations.base import BaseInvocation
from nbgraph.sweep import Sweep

NODES, BODY = 1_000, 3
FLOOR_RUNS = 3_000
SIZES = (1_000, 10_000, 100_000)
ENTRIES = 100_000
CELLS = 1_000


class Bound(NamedTuple):
    """The limit of a figure, in its unit; for some the least it may be."""

    value: float
    unit: str
    is_least: bool = False


BOUNDS = {
    "chain, new": Bound(4, "F a node"),
    "chain, cached": Bound(2, "F a node"),
    "fan-out with a collect, new": Bound(5, "F a node"),
    "fan-out with a collect, cached": Bound(2.2, "F a node"),
    "map, new": Bound(4, "F a body node"),
    "map, cached": Bound(2.5, "F a body node"),
    "growth of building": Bound(1.05, "exponent"),
    "growth of planning": Bound(1.05, "exponent"),
    "growth of a run": Bound(1.05, "exponent"),
    "memory of a cached chain": Bound(2.5, "KB a node"),
    "storing in a folder": Bound(16, "us a node"),
    "of it, journal, stats and graph": Bound(16, "us a node"),
    "a cached chain after a restart": Bound(40, "us a node"),
    "cache table, a page": Bound(20, "ms"),
    "cache table, by node": Bound(20, "ms"),
    "cache table, by bytes": Bound(20, "ms"),
    "cache table, by hits": Bound(20, "ms"),
    "cache table, by seconds": Bound(20, "ms"),
    "cache table, by resources": Bound(20, "ms"),
    "cache table, a search": Bound(20, "ms"),
    "cache.forget(node)": Bound(20, "ms"),
    "what a deletion would drop": Bound(20, "ms"),
    "selective invalidation": Bound(10, "us an entry"),
    "sweep.frame": Bound(50, "ms"),
    "a sweep cell beyond its nodes": Bound(0.5, "ms"),
    "first nb.Studio() in a kernel": Bound(0.3, "s"),
    "first picture beside plain diffusers": Bound(1.1, "times"),
    "a picture beside two busy loops": Bound(2, "times"),
    "its processor time beside them": Bound(1.2, "times"),
    "a graph beside the plain pipeline call": Bound(1.02, "times"),
    "of the shipped model, a graph beside it": Bound(1.02, "times"),
    "eight seeds beside eight alone": Bound(2, "times as many", is_least=True),
}


def chain(size: int) -> BaseInvocation:
    node = Add(id="n0", a=1, b=1)
    for number in range(1, size):
        node = Add(id=f"n{number}", a=node.output("value"), b=1)
    return node


def fan_out(size: int) -> BaseInvocation:
    root = Add(a=1, b=1)
    return Collect(item=[Add(a=root.output("value"), b=number) for number in range(size - 2)])


def mapped(size: int) -> BaseInvocation:
    item = Iterate(collection=list(range(size // BODY))).output("item")
    second = Multiply(a=Add(a=item, b=1).output("value"), b=2)
    return Collect(item=Add(a=second.output("value"), b=3))


def in_floors(act: Callable[..., object], *given: object, **options: object) -> float:
    """CPU seconds as multiples of F, which is measured right before and after."""
    before = floor_seconds(FLOOR_RUNS, 1)
    began = time.process_time()
    act(*given, **options)
    seconds = time.process_time() - began
    return seconds / ((before + floor_seconds(FLOOR_RUNS, 1)) / 2)


def quiet_seconds(act: Callable[..., object], *given: object, **options: object) -> float:
    """CPU seconds that a quiet machine would take."""
    return in_floors(act, *given, **options) * QUIET_FLOOR


def runs() -> Figures:
    """All of `studio.run`, for three shapes of a graph, new and with all results cached."""
    found: Figures = {}
    with nb.Studio() as studio:
        studio.run(chain(100), progress=False)  # the first run of a process also hashes code
    for name, make in (("chain", chain), ("fan-out with a collect", fan_out), ("map", mapped)):
        target = make(NODES)
        gc.collect()
        with nb.Studio() as studio:
            for how in ("new", "cached"):
                found[f"{name}, {how}"] = in_floors(studio.run, target, progress=False) / NODES
    return found


def growth() -> Figures:
    """Exponents by which cost grows from 1,000 nodes to 100,000."""
    costs: dict[str, list[tuple[int, float]]] = {"building": [], "planning": [], "a run": []}
    for size in SIZES:
        gc.collect()
        target = chain(size)
        costs["building"].append((size, in_floors(nb.Graph.of, target)))
        graph = nb.Graph.of(target)
        costs["planning"].append((size, in_floors(nb.GraphExecutionState, graph)))
        with nb.Studio() as studio:
            costs["a run"].append((size, in_floors(studio.run, graph, progress=False)))
        del target, graph
    return {f"growth of {name}": slope(found) for name, found in costs.items()}


def slope(costs: list[tuple[int, float]]) -> float:
    """Return the slope of the straight line through the logarithms of sizes and costs."""
    points = [(math.log(size), math.log(cost)) for size, cost in costs]
    mean_x, mean_y = (sum(each) / len(points) for each in zip(*points))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def folder_runs() -> Figures:
    """A chain in a folder: new beside new in memory, and in another studio on the folder after that was closed.

    What storing is made of, us a node, by timers around each part on a busy machine, of 22: SQLite's rows of results
    and of what they were made of 8 (10.4 with a statement for each row), their texts 3; the graph as text 5.5, of which
    the values of nodes take 4; stats 2, journal 1.5, all else 2. Without the three indices of `entry_table.py` 2.5
    would be saved, without the trigger that counts 1: lists of the cache, and its limits, would then read all rows.
    Neither the file system (the same in memory, no time of the system), nor the collector (1.1), nor waiting for the
    interpreter is a part of it. Its rounds scatter, with F at 2.7 to 5.2 us within one run, from 10 to 32 around a
    median of 20 to 24; no less beside a process that counts or walks through memory.
    """
    size = 2_000

    def microseconds(studio: nb.Studio) -> float:
        target = chain(size)
        gc.collect()
        return quiet_seconds(studio.run, target, progress=False) / size * 1e6

    with TemporaryDirectory() as folder:
        with nb.Studio() as memory, nb.Studio(folder) as kept:
            microseconds(memory)  # the first run of a process also hashes code
            memory.cache.clear()
            new_in_memory, new = microseconds(memory), microseconds(kept)
            with memory.cache.off(), kept.cache.off():
                uncached_in_memory, uncached = microseconds(memory), microseconds(kept)
        with nb.Studio(folder) as again:
            restarted = microseconds(again)
    return {
        "storing in a folder": new - new_in_memory,
        "of it, journal, stats and graph": uncached - uncached_in_memory,
        "a cached chain after a restart": restarted,
    }


def memory() -> Figures:
    """What a chain leaves once it ran: nodes, graph, results, stats; the run is still held."""
    with nb.Studio() as studio:
        studio.run(chain(100), progress=False)
        gc.collect()
        tracemalloc.start()
        target = chain(SIZES[1])
        run = studio.run(target, progress=False)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert run.status == "completed"
    return {"memory of a cached chain": held / SIZES[1] / 1000}


def lists() -> Figures:
    """What is asked of the cache of a folder with 100,000 results; the best of three of each, in one round."""
    from nbgraph.services.invocation_cache.entry_lists import EntryQuery

    with TemporaryDirectory() as folder, nb.Studio(folder) as studio:
        item = Iterate(id="item", collection=list(range(ENTRIES))).output("item")
        studio.run(Collect(id="all", item=Add(id="sum", a=item, b=1)), progress=False)
        cache = studio.services.invocation_cache
        keys = [row.key for row in cache.page(EntryQuery(), page=7).items]

        def milliseconds(act: Callable[[], object]) -> float:
            return min(quiet_seconds(act) for _ in range(3)) * 1e3

        found = {
            "cache table, a page": milliseconds(lambda: cache.page(EntryQuery())),
            **{
                f"cache table, by {sort}": milliseconds(lambda sort=sort: cache.page(EntryQuery(sort=sort)))
                for sort in ("node", "bytes", "hits", "seconds", "resources")
            },
            "cache table, a search": milliseconds(lambda: cache.page(EntryQuery("sum[777"))),
            "what a deletion would drop": milliseconds(lambda: cache.affected(keys=keys)),
        }
        found["cache.forget(node)"] = quiet_seconds(studio.cache.forget, "sum[77]") * 1e3
        return found


def invalidation() -> Figures:
    """The result that names a picture, dropped among 100,000 that name none, in memory."""
    count = 400  # enough that the clock of the process tells them apart
    with nb.Studio() as studio:
        item = Iterate(collection=list(range(ENTRIES))).output("item")
        studio.run(Collect(item=Add(a=item, b=1)), progress=False)
        blanks = [BlankImage(width=8, height=8 + number) for number in range(count)]
        names = [studio.run(blank, progress=False)[blank].image_name for blank in blanks]
        cache = studio.services.invocation_cache
        gc.collect()
        seconds = quiet_seconds(lambda: [cache.forget_resource(name) for name in names])
    return {"selective invalidation": seconds / count * 1e6}


def sweeps() -> Figures:
    """A sweep of 1,000 cells: what a cell costs, its one small node included, and the frame."""
    with nb.Studio() as studio:
        made: list[Sweep] = []
        whole = quiet_seconds(
            lambda: made.append(studio.sweep(Add(id="add", a=1, b=2), {"add.a": range(CELLS)}, progress=False))
        )
        _ = made[0].frame  # the first one imports pandas
        frame = min(quiet_seconds(lambda: made[0].frame) for _ in range(3))
    return {"sweep.frame": frame * 1e3, "a sweep cell beyond its nodes": whole / CELLS * 1e3}


MEASURES: dict[str, Callable[[], Figures]] = {
    each.__name__: each
    for each in (
        *(runs, growth, memory, folder_runs, lists, invalidation, sweeps),
        *(first_studio, first_picture, busy, pictures, real_sizes),
    )
}

if __name__ == "__main__":
    print(json.dumps(MEASURES[sys.argv[1]]()))
