"""What a cluster costs and gives: sending a session, and the throughput of two workers against one."""

import statistics
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

from distributed import Client, LocalCluster

from nbgraph import Settings, Studio, text_to_image
from nbgraph.invocations import Add

PICTURES, STEPS, ROUNDS, SESSIONS = 24, 8, 3, 100
BLOCK = 25
"""Sessions, then tasks, that follow each other: Dask tells the worker of a spent task, and what it sends within 5 ms
after that waits, so one of a kind would delay the next of the other."""
MOST_MS = 10.0
"""The bound for sending a session that computes nothing."""


class Measured(NamedTuple):
    """Median seconds of a sweep, model components loaded, and milliseconds of sessions and of Dask's own tasks."""

    sweep: float
    loads: int
    sessions: Sequence[float]
    tasks: Sequence[float]


def sweep_seconds(studio: Studio, first: int) -> float:
    """Seconds of a sweep of small pictures that nothing has drawn before."""
    began = perf_counter()
    seeds = list(range(first, first + PICTURES))
    sweep = studio.sweep(text_to_image("a red apple", steps=STEPS), {"noise.seed": seeds}, progress=False, strict=True)
    seconds = perf_counter() - began
    assert [run.status for run in sweep.runs] == ["completed"] * PICTURES
    return seconds


def measured(workers: int) -> Measured:
    # one thread each, so that two workers have twice the cores of one
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster,
        Studio(settings=Settings(device="cpu", threads=1), cluster=cluster) as studio,
        Client(cluster, set_as_default=False) as client,
    ):
        sweep_seconds(studio, 1_000_000)
        seconds = statistics.median(sweep_seconds(studio, PICTURES * number) for number in range(ROUNDS))
        loads = int(studio.stats.model_loads.sum())
        sessions, tasks = list[float](), list[float]()
        for first in range(0, SESSIONS, BLOCK):
            numbers = range(first, first + BLOCK)
            sessions += [session_ms(studio, number) for number in numbers]
            tasks += [task_ms(client, number) for number in numbers]
    return Measured(seconds, loads, sessions, tasks)


def session_ms(studio: Studio, number: int) -> float:
    """Milliseconds of a session whose node takes none."""
    began = perf_counter()
    studio.run(Add(id="sum", a=number, b=1), progress=False)
    return (perf_counter() - began) * 1000


def task_ms(client: Client, number: int) -> float:
    """Milliseconds of a task of Dask that does as little: it is sent, runs, and its result is fetched."""
    began = perf_counter()
    client.submit(float, number, pure=False).result()
    return (perf_counter() - began) * 1000


def shown(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return f"{statistics.median(ordered):.1f} ms ({ordered[len(ordered) // 20]:.1f} to {ordered[-1]:.1f})"


def verdict(sessions: Sequence[float], tasks: Sequence[float]) -> str:
    """Say whether a session is within the bound, or how much of it is Dask's own."""
    session, task = statistics.median(sessions), statistics.median(tasks)
    if session <= MOST_MS:
        return "met"
    added = f"{session - task:.1f} ms" if session > task else "nothing"
    return f"limit: a round trip of Dask alone is {task:.1f} ms here, a session adds {added}"


def test_two_workers_against_one(benchmark):
    one, two = benchmark.pedantic(lambda: (measured(1), measured(2)), rounds=1)
    print(f"\n{PICTURES} pictures, {STEPS} steps: 1 worker {one.sweep:.2f} s, 2 workers {two.sweep:.2f} s")
    print(f"{one.sweep / two.sweep:.2f} times the throughput (aim: 1.7 where two cores are free)")
    print(f"model components loaded: {one.loads} and {two.loads}")
    print(f"a session that computes nothing, median and range from the 5th percentile: {shown(one.sessions)}")
    print(f"a task of Dask that computes nothing, in blocks between them: {shown(one.tasks)}")
    print(f"a session (aim: {MOST_MS:.0f} ms): {verdict(one.sessions, one.tasks)}")
    assert two.loads == 2 * one.loads
