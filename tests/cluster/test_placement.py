"""Which worker a session goes to, and which workers are started on one machine."""

from collections.abc import Callable

import pytest

from nbgraph import Studio
from nbgraph.invocations import Add
from nbgraph.services.invocation_processor.cluster_flights import even_size
from nbgraph.services.invocation_processor.cluster_placement import (
    Placement,
    local_workers,
    named_gpus,
    place,
    usable_workers,
)
from tests.pictures import apple

IDLE = ["a", "b", "c"]


def test_a_session_goes_first_to_a_worker_that_holds_its_models():
    held = {"a": {"other"}, "b": {"unet", "vae"}, "c": {"unet"}}
    assert place({"unet", "vae"}, IDLE, IDLE, held, 3) == Placement("b", ["b"], True)
    assert place({"unet", "vae"}, ["a", "c"], IDLE, held, 3) == Placement("c", ["c"], True)
    assert place(set(), IDLE, IDLE, held, 3) == Placement("a", ["a"], True)


def test_where_no_worker_is_idle_dask_chooses_among_those_that_can_be_used():
    assert place({"unet"}, [], IDLE, {}, 3) == Placement("", [], False)
    assert place({"unet"}, [], ["a", "c"], {}, 3) == Placement("", ["a", "c"], False)
    assert place({"unet"}, ["c"], ["a", "c"], {}, 3) == Placement("c", ["c"], False)


def test_workers_with_a_problem_or_without_the_gpu_that_others_have_get_nothing():
    offered = {"a": {"GPU": 1.0}, "b": {}, "c": {"GPU": 2.0}}
    assert usable_workers(offered, {}) == ["a", "c"]
    assert usable_workers(offered, {"a": "another torch", "c": ""}) == ["c"]
    assert usable_workers({"a": {}, "b": {"disk": 1.0}}, {}) == ["a", "b"]


@pytest.mark.parametrize(
    ("cells", "workers", "size"), [(24, 2, 6), (16, 2, 8), (8, 2, 4), (3, 2, 2), (8, 8, 1), (9, 1, 5), (5, 0, 5)]
)
def test_cells_of_a_sweep_are_spread_evenly_in_as_few_calls_as_can_be(cells: int, workers: int, size: int):
    assert even_size(cells, workers, 8) == size


def test_each_gpu_gets_a_worker_that_sees_no_other():
    workers = local_workers(["1", "3"], cores=8, threads="")
    assert [each.environment["CUDA_VISIBLE_DEVICES"] for each in workers] == ["1", "3"]
    assert [each.resources for each in workers] == [{"GPU": 1.0}] * 2
    assert {each.environment["OMP_NUM_THREADS"] for each in workers} == {"4"}


@pytest.mark.parametrize(("cores", "threads", "expected"), [(8, "", ["2"] * 4), (1, "", ["1"]), (4, "3", ["3", "3"])])
def test_without_a_gpu_two_cores_share_a_worker(cores: int, threads: str, expected: list[str]):
    workers = local_workers([], cores, threads)
    assert [each.environment["OMP_NUM_THREADS"] for each in workers] == expected
    assert all("CUDA_VISIBLE_DEVICES" not in each.environment and not each.resources for each in workers)


@pytest.mark.parametrize(
    ("variable", "gpus"),
    [("0,2", ["0", "2"]), ("", []), ("-1", []), ("1,-1,2", ["1"]), (" GPU-8932f937 , 1", ["GPU-8932f937", "1"])],
)
def test_visible_gpus_are_read_as_cuda_reads_them(variable: str, gpus: list[str]):
    assert named_gpus(variable) == gpus


def test_a_model_stays_on_the_worker_that_loaded_it(open_studio: Callable[..., Studio]):
    studio = open_studio()
    for seed in range(4):
        studio.run(apple(seed=seed, steps=1), progress=False)
        # another session, which needs no model, must not move the next one to the other worker
        studio.run(Add(id="sum", a=seed, b=1), progress=False)
    assert studio.stats[studio.stats.source == "denoise"].worker.nunique() == 1
    assert studio.stats.groupby("worker", observed=True).model_loads.sum().gt(0).sum() == 1
