"""What a cluster costs and gives: sending a session, and the throughput of two workers against one."""

import statistics
from time import perf_counter

from distributed import LocalCluster

from nbgraph import Settings, Studio, text_to_image
from nbgraph.invocations import Add

PICTURES, STEPS, ROUNDS, SESSIONS = 24, 8, 3, 50


def sweep_seconds(studio: Studio, first: int) -> float:
    """Seconds of a sweep of small pictures that nothing has drawn before."""
    began = perf_counter()
    seeds = list(range(first, first + PICTURES))
    sweep = studio.sweep(text_to_image("a red apple", steps=STEPS), {"noise.seed": seeds}, progress=False, strict=True)
    seconds = perf_counter() - began
    assert [run.status for run in sweep.runs] == ["completed"] * PICTURES
    return seconds


def measured(workers: int) -> tuple[float, int, float]:
    """Median seconds of a sweep, model components loaded, and median seconds that sending a session adds."""
    # one thread each, so that two workers have twice the cores of one
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster,
        Studio(settings=Settings(device="cpu", threads=1), cluster=cluster) as studio,
    ):
        sweep_seconds(studio, 1_000_000)
        seconds = statistics.median(sweep_seconds(studio, PICTURES * number) for number in range(ROUNDS))
        loads = int(studio.stats.model_loads.sum())
        sent = statistics.median(session_seconds(studio, number) for number in range(SESSIONS))
    return seconds, loads, sent


def session_seconds(studio: Studio, number: int) -> float:
    """Seconds of a session whose node takes none."""
    began = perf_counter()
    studio.run(Add(id="sum", a=number, b=1), progress=False)
    return perf_counter() - began


def test_two_workers_against_one(benchmark):
    one, two = benchmark.pedantic(lambda: (measured(1), measured(2)), rounds=1)
    print(f"\n{PICTURES} pictures, {STEPS} steps: 1 worker {one[0]:.2f} s, 2 workers {two[0]:.2f} s")
    print(f"{one[0] / two[0]:.2f} times the throughput (aim: 1.7 where two cores are free)")
    print(f"model components loaded: {one[1]} and {two[1]}")
    print(f"a session that computes nothing: {one[2] * 1000:.1f} ms (aim: 10)")
    assert two[1] == 2 * one[1]
