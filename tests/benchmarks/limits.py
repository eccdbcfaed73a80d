"""What a figure that misses its bound is made of, measured in the same run, right after the figure.

Each function returns a line of parts that cannot be left out. They need not add up to the bound: the rest is open.
"""

import gc
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bare_loop import run_bare
from floor import floor_seconds
from measures import NODES, chain, in_floors
from picture_measures import MODEL, PLAIN, QUIET_FLOOR, child
from plain_call import SMALL_PAIRS, SMALL_SIDE, SMALL_STEPS, beside, by_graph, plain_call, seconds_of
from pydantic_core import to_json

import nbgraph as nb
from nbgraph.invocations import Add, Collect, Iterate
from nbgraph.services.shared.sqlite.batch import insert_rows

ROUNDS, LONG_BODY, LOOKS = 5, 30, 40
STORED, AT_ONCE = 2_000, 1_024
TABLES = ("cache_entries", "cache_sources")
MADE = f"SELECT sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql != '' AND tbl_name IN {TABLES}"
OTHER_PACKAGES = """
import sys
import nbgraph as nb
nb.Studio()
top = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(*(name for name in sys.modules if name.partition(".")[0] in top - {"nbgraph", "floor", "__main__"}))
"""
IMPORTS = """
import time
from importlib import import_module
import ipykernel.kernelapp
from floor import floor_seconds
before = floor_seconds(3_000, 1)
began = time.process_time()
for name in NAMES.split():
    import_module(name)
seconds = time.process_time() - began
print(seconds / ((before + floor_seconds(3_000, 1)) / 2))
"""
CLASSES = """
import time
from pydantic import BaseModel
from floor import floor_seconds
meta, spent, depth = type(BaseModel), 0.0, 0
make = meta.__new__
def timed(*given, **options):
    global spent, depth
    depth += 1
    began = time.process_time()
    try:
        return make(*given, **options)
    finally:
        depth -= 1
        spent += (time.process_time() - began) * (depth == 0)
meta.__new__ = timed
before = floor_seconds(3_000, 1)
import nbgraph.studio
print(spent / ((before + floor_seconds(3_000, 1)) / 2))
"""
STUDIO_ALONE = "import time; import nbgraph as nb; nb.Studio(); print(time.process_time())"


def of_a_chain() -> str:
    """Say what a chain costs before its first node, and its loop without anything between the features."""
    parts: list[tuple[float, float, float]] = []
    for _ in range(ROUNDS):
        target = chain(NODES)
        gc.collect()
        building = in_floors(nb.Graph.of, target)
        graph = nb.Graph.of(target)
        planning = in_floors(nb.GraphExecutionState, graph)
        plan = nb.GraphExecutionState(graph).plan
        parts.append((building, planning, in_floors(run_bare, plan, {}, id)))
    building, planning, loop = (median(column) / NODES for column in zip(*parts))
    return (
        f"Graph.of {building:.2f}, the plan {planning:.2f}, the features of the loop with nothing between them"
        f" {loop:.2f}, all measured now; test_run_cost.py says why calls between them stay"
    )


def of_a_map() -> str:
    """Say what a node of a map costs where a block of many is handed out at once."""
    costs: list[float] = []
    for _ in range(ROUNDS):
        node = Iterate(collection=list(range(NODES // LONG_BODY))).output("item")
        for _ in range(LONG_BODY):
            node = Add(a=node, b=1).output("value")
        target = Collect(item=node)
        gc.collect()
        with nb.Studio() as studio:
            costs.append(in_floors(studio.run, target, progress=False) / NODES)
    return f"with a body of {LONG_BODY} nodes it is {median(costs):.2f}; the rest is a block for every three"


def of_storing() -> str:
    """Say what of it is not the run loop's, and how far F moves from one look to the next."""
    rows = median(_stored_rows() for _ in range(ROUNDS))
    session = nb.GraphExecutionState(nb.Graph.of(chain(STORED)))
    text = median(in_floors(lambda: to_json(session.to_dict())) for _ in range(ROUNDS)) * QUIET_FLOOR / STORED * 1e6
    looks = sorted(floor_seconds(3_000, 1) * 1e6 for _ in range(LOOKS))
    return (
        f"SQLite takes {rows:.1f} for the rows of results alone, and the graph as JSON {text:.1f}; it is the difference"
        f" of two runs in F, which was {looks[0]:.1f} to {looks[-1]:.1f} us in {LOOKS} looks just now (half of them"
        f" {looks[LOOKS // 4]:.1f} to {looks[-LOOKS // 4]:.1f})"
    )


def _stored_rows() -> float:
    with TemporaryDirectory() as folder:
        with nb.Studio(folder) as studio:
            studio.run(chain(STORED), progress=False)
        with closing(sqlite3.connect(Path(folder) / "nbgraph.db", isolation_level=None)) as kept:
            made = [sql for (sql,) in kept.execute(MADE)]
            rows = {name: kept.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}  # noqa: S608
        with closing(sqlite3.connect(Path(folder) / "other.db", isolation_level=None)) as other:
            other.execute("PRAGMA journal_mode=WAL")
            other.execute("PRAGMA synchronous=NORMAL")
            for sql in made:
                other.execute(sql)
            return in_floors(_insert, other, rows) * QUIET_FLOOR / STORED * 1e6


def _insert(connection: sqlite3.Connection, rows: dict[str, list[tuple]]) -> None:
    for name, all_rows in rows.items():
        places = f"({', '.join('?' * len(all_rows[0]))})"
        for start in range(0, len(all_rows), AT_ONCE):
            connection.execute("BEGIN")
            insert_rows(connection, f"INSERT INTO {name}", places, all_rows[start : start + AT_ONCE])
            connection.execute("COMMIT")


def of_a_first_studio() -> str:
    """Say what the packages that a studio needs take without nbgraph, and what pydantic takes to make its classes."""
    codes = (IMPORTS.replace("NAMES", repr(child(OTHER_PACKAGES))), CLASSES)
    packages, classes = (median(float(child(code)) for _ in range(ROUNDS)) * QUIET_FLOOR for code in codes)
    return (
        f"the packages that it imports take {packages:.2f} s, and pydantic {classes:.2f} s to make the classes of node"
        " types, fields and messages, both measured now"
    )


def of_a_first_picture() -> str:
    """Say what share of a plain picture a studio is, without which there is no picture."""
    codes = (PLAIN.format(model=MODEL), STUDIO_ALONE, "import time; print(time.process_time())")
    plain, studio, nothing = (median(float(child(code)) for _ in range(3)) for code in codes)
    times = 1 + (studio - nothing) / plain
    return f"import and a studio take {studio - nothing:.2f} s, all of a plain picture {plain:.1f} s: {times:.2f} times"


def of_a_small_picture() -> str:
    """Say what the plain call takes on a thread of its own, as in a graph, and what a run takes beside its nodes."""
    import torch

    torch.set_num_threads(1)
    plain = plain_call(MODEL, SMALL_STEPS, SMALL_SIDE)

    def threaded(seed: int) -> float:
        with ThreadPoolExecutor(1) as pool:
            return seconds_of(lambda: pool.submit(plain, seed).result())

    times, itself = beside(threaded, plain, SMALL_PAIRS)
    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        ours = by_graph(studio, MODEL, SMALL_STEPS, SMALL_SIDE, is_cached=True)
        ours(1)
        cached = median(ours(1) for _ in range(ROUNDS)) * 1e3
        seconds = median(plain(seed) for seed in range(ROUNDS))
    return (
        f"on a thread of its own, as in a graph, the plain call is {times:.3f} times itself on the caller's (which is"
        f" {itself:.3f} times the one before); a run with all results cached takes {cached:.1f} ms of {seconds:.2f} s"
    )


LIMITS: dict[str, Callable[[], str]] = {
    "chain, new": of_a_chain,
    "fan-out with a collect, new": of_a_chain,
    "map, new": of_a_map,
    "storing in a folder": of_storing,
    "first nb.Studio() in a kernel": of_a_first_studio,
    "first picture beside plain diffusers": of_a_first_picture,
    "of the shipped model, a graph beside it": of_a_small_picture,
}
"""By figure; one that misses its bound and is not here has no known reason."""
