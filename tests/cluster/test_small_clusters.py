"""Clusters whose workers are in this process, which start at once: what they offer, encryption, load, several heads."""

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep

import pytest
from distributed import Client, LocalCluster, Scheduler, SpecCluster, Worker
from distributed.security import Security
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph import NodeError, Settings, Studio
from nbgraph.errors import ClusterError, GraphError, StoreError
from nbgraph.invocations import Add
from nbgraph.invocations.fields import ImageField
from nbgraph.services.invocation_processor import cluster_connection, cluster_host, cluster_intake
from nbgraph.services.invocation_processor.invocation_processor_dask import InvocationProcessorDask
from tests.cluster.cluster_nodes import lasting, patient, pattern, uncached
from tests.waiting import comes_true


@pytest.fixture
def in_process() -> Iterator[Callable[[list[dict[str, float]]], Studio]]:
    """Open a studio on workers in this process, one for each mapping of resources."""
    opened: list[Studio | SpecCluster] = []

    def open_it(offered: list[dict[str, float]]) -> Studio:
        workers = {
            number: {"cls": Worker, "options": {"nthreads": 1, "resources": resources, "memory_limit": 0}}
            for number, resources in enumerate(offered)
        }
        scheduler = {"cls": Scheduler, "options": {"protocol": "inproc://", "dashboard_address": None}}
        cluster = SpecCluster(workers=workers, worker=workers[0], scheduler=scheduler)
        studio = Studio(cluster=cluster)
        opened.extend((cluster, studio))
        return studio

    yield open_it
    for each in reversed(opened):
        each.close()


def test_sessions_go_only_to_workers_that_offer_a_gpu_if_any_does(in_process: Callable[..., Studio]):
    studio = in_process([{}, {"GPU": 1.0}])
    runs = [studio.submit(patient(id="patient", value=number, seconds=0.01)) for number in range(4)]
    assert [run.wait(20).status for run in runs] == ["completed"] * 4
    assert set(studio.stats.worker) == {"1"}


def test_a_cluster_that_follows_the_load_ends_its_workers_and_starts_them_again():
    with LocalCluster(n_workers=0, processes=False, threads_per_worker=1, dashboard_address=None) as cluster:
        cluster.adapt(minimum=0, maximum=2, interval="50ms", wait_count=2)
        with Studio(cluster=cluster) as studio:
            for round_ in range(2):
                runs = [studio.submit(patient(id="patient", value=each, seconds=0.05)) for each in range(4)]
                assert [run.wait(30).status for run in runs] == ["completed"] * 4, round_
                while cluster.scheduler.workers:
                    sleep(0.05)


def test_a_scheduler_with_tls_is_used_as_any_other():
    security = Security.temporary()
    with (
        LocalCluster(
            n_workers=1, processes=False, threads_per_worker=1, dashboard_address=None, security=security,
            protocol="tls://",
        ) as cluster,
        Studio(cluster=cluster) as studio,
    ):  # fmt: skip
        assert studio.services.processor.scheduler.startswith("tls://")
        assert studio.run(pattern(id="pattern"), progress=False)["pattern"].image.size == (8, 8)


def test_two_kernels_use_one_cluster_beside_each_other(in_process: Callable[..., Studio]):
    one = in_process([{}, {}])
    with Studio(cluster=one.services.processor.scheduler) as other:
        slow = one.submit(patient(id="patient", seconds=30))
        while slow.progress.step < 3:
            sleep(0.01)
        runs = [other.submit(pattern(id="pattern", value=number)) for number in range(4)]
        assert [run.wait(20).status for run in runs] == ["completed"] * 4
        assert not slow.is_done
        slow.cancel()
        assert len(one.images.frame) == 0
        assert len(other.images.frame) == 4
    assert one.run(Add(id="sum", a=1, b=2), progress=False)["sum"].value == 3


def test_a_run_of_a_worker_that_ends_in_an_orderly_way_is_not_cancelled_but_runs_elsewhere(
    in_process: Callable[..., Studio], tmp_path: Path
):
    studio = in_process([{}, {}])
    cluster = studio.services.processor.connection.client.cluster
    run = studio.submit(lasting(id="lasting", notes=str(tmp_path / "notes")))
    while not run.progress.step:
        sleep(0.01)
    (ending,) = [row.worker for row in studio.cluster.frame.itertuples() if row.run]
    cluster.sync(cluster.workers[int(ending)].close)
    assert (run.wait(30).status, run["lasting"].value) == ("completed", 2)
    assert str(1 - int(ending)) in run.stats.worker.tolist()


def test_a_worker_that_was_gone_before_a_run_was_sent_to_it_counts_as_no_loss_of_the_run(
    in_process: Callable[..., Studio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cluster_connection, "FRESH_SECONDS", 60.0)  # the head hears late that a worker is gone
    studio = in_process([{}, {}, {}])
    connection = studio.services.processor.connection
    cluster, gone = connection.client.cluster, next(iter(connection.workers()))
    assert connection.has(gone)
    cluster.sync(worker_at(cluster, gone).close)
    assert comes_true(lambda: gone not in cluster.scheduler.workers)
    run = studio.submit(lasting(id="lasting", notes=str(tmp_path / "notes")))
    assert comes_true(lambda: run.progress.step)
    (ending,) = [row.address for row in studio.cluster.frame.itertuples() if row.run]
    cluster.sync(worker_at(cluster, ending).close)
    assert (run.wait(30).status, run["lasting"].value) == ("completed", 2)


def worker_at(cluster: SpecCluster, address: str) -> Worker:
    """Return the worker of an address."""
    (found,) = [worker for worker in cluster.workers.values() if worker.address == address]
    return found


def test_a_run_whose_workers_are_restarted_is_interrupted_with_the_reason_and_can_be_resumed(
    in_process: Callable[..., Studio],
):
    studio = in_process([{}])
    run = studio.submit(patient(id="patient", seconds=60))
    assert comes_true(lambda: run.progress.step)
    connection = studio.services.processor.connection
    with Client(connection.client.cluster, set_as_default=False) as client, suppress(TimeoutError):
        client.restart(timeout=0.5)  # nothing starts a worker again that is in this process
    assert run.wait(30).status == "interrupted"
    assert run.session.errors["session"].startswith("the workers of the cluster were restarted by Client.restart(); ")
    resumed = studio.resume(run)
    connection.client.cluster.scale(2)
    assert comes_true(lambda: resumed.progress.step)
    resumed.cancel()


def test_a_processor_that_is_collected_on_the_thread_of_the_event_loop_closes_its_connection(
    in_process: Callable[..., Studio],
):
    cluster = in_process([{}]).services.processor.connection.client.cluster
    dropped = [InvocationProcessorDask(cluster_connection.connect(cluster, Settings()))]
    client = dropped[0].connection.client
    client.loop.add_callback(dropped.clear)
    assert comes_true(lambda: client.status == "closed", 10)


def test_a_run_whose_cluster_is_closed_is_interrupted_and_the_next_one_is_refused(in_process: Callable[..., Studio]):
    studio = in_process([{}])
    run = studio.submit(patient(id="patient", seconds=60))
    while not run.progress.step:
        sleep(0.01)
    studio.services.processor.connection.client.cluster.close()
    assert run.wait(30).status == "interrupted"
    with pytest.raises(ClusterError, match="the scheduler of the cluster is gone; start it again"):
        studio.submit(Add(id="sum", a=1, b=2))


def test_a_worker_of_another_version_that_joins_late_is_shown_and_gets_nothing(
    in_process: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch
):
    studio = in_process([{}])
    monkeypatch.setattr(cluster_host, "installed_versions", lambda: {"nbgraph": "9", "torch": "9", "diffusers": ""})
    cluster = studio.services.processor.connection.client.cluster
    cluster.scale(2)
    cluster.wait_for_workers(2)
    runs = [studio.submit(patient(id="patient", value=number, seconds=0.1)) for number in range(4)]
    assert [run.wait(20).status for run in runs] == ["completed"] * 4
    assert studio.stats.worker.nunique() == 1
    assert "has nbgraph 9 (here: " in studio.cluster.frame.problem.max()


def test_where_no_worker_can_be_used_the_error_says_why(
    in_process: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cluster_host, "_different_versions", lambda worker, wanted: f"worker {worker!r} has torch 1.0")
    studio = in_process([{}, {}])
    with pytest.raises(NodeError, match="no worker can be used: worker '0' has torch 1.0; worker '1' has torch 1.0"):
        studio.run(Add(id="sum", a=1, b=2), progress=False)


def test_a_model_that_the_worker_lacks_is_named(in_process: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch):
    studio = in_process([{}])
    node = nb.text_to_image("a red apple", seed=1, steps=1)
    monkeypatch.setattr(cluster_host, "session_of", refuse_models)
    with pytest.raises(GraphError, match="worker '0' has no model 'emoji'"):
        studio.run(node, progress=False)


def test_a_question_of_a_worker_that_the_head_cannot_answer_ends_the_run(
    in_process: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch
):
    studio = in_process([{}])
    studio.services.images.save(PillowImage.new("RGB", (8, 8)))

    def fail(*_: object) -> object:
        raise StoreError("the folder is gone")

    monkeypatch.setattr(cluster_intake, "answer_of", fail)
    (name,) = studio.images.frame.image_name
    run = studio.submit(uncached(id="changed", image=ImageField(image_name=name)))
    assert run.wait(30).status == "failed"
    assert "the kernel could not answer worker inproc://" in str(run.session.errors)
    assert "StoreError: the folder is gone" in str(run.session.errors)


def refuse_models(job: cluster_host.Job, *rest: object) -> object:
    raise nb.errors.ModelError(f"worker '0' has no model {next(iter(job.models))!r}: there is none")


def test_the_handler_of_interrupts_that_dask_jobqueue_sets_is_taken_back():
    before = signal.getsignal(signal.SIGINT)
    theirs = lambda *_: None  # noqa: E731
    theirs.__module__ = "dask_jobqueue.runner"
    try:
        signal.signal(signal.SIGINT, theirs)
        cluster_connection.keep_interrupts()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        own = lambda *_: None  # noqa: E731
        signal.signal(signal.SIGINT, own)
        cluster_connection.keep_interrupts()
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)
