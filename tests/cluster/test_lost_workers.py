"""Workers and heads that are killed: no session is lost, none is doubled, and images are counted."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from distributed import Client, LocalCluster, Worker

from nbgraph import NodeError, Studio
from nbgraph.services.invocation_processor import cluster_intake, invocation_processor_dask
from nbgraph.services.invocation_processor.cluster_worker import open_studios
from tests.cluster.cluster_nodes import fatal, lines, noise, note, patient, pattern, uncached

KILLS = 10 if os.environ.get("NBGRAPH_SOAK") else 1
ROOT = Path(__file__).parents[2]


def test_a_worker_that_is_killed_in_mid_step_loses_and_doubles_nothing(far: Studio, tmp_path: Path):
    for kill in range(KILLS):
        notes = str(tmp_path / f"notes-{kill}")
        first = uncached(id="changed", image=pattern(id="pattern", value=kill), value=1)
        deadly = far.submit(fatal(id="fatal", image=first, notes=notes))
        others = [far.submit(pattern(id="other", value=100 + 10 * kill + number)) for number in range(4)]
        assert [run.wait(60).status for run in (deadly, *others)] == ["completed"] * 5
        (killed,) = lines(notes)
        assert deadly["fatal"].value not in (int(killed), os.getpid())
    frame = far.images.frame
    assert sorted(frame.groupby("session").size()) == sorted([2, 1, 1, 1, 1] * KILLS)
    assert sorted(far.queue.frame.status) == ["completed"] * 5 * KILLS
    assert far.queue.frame.session.is_unique


def test_a_worker_that_is_lost_after_a_run_and_before_its_images_are_fetched_is_replaced(
    open_studio: Callable[..., Studio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    notes, fetch = str(tmp_path / "notes"), cluster_intake.fetch_resources

    async def fetch_or_die(studio: str, wanted: list[tuple[str, str]], dask_worker: Worker) -> Any:
        if not lines(notes):
            note(notes, "killed")
            os.kill(os.getpid(), signal.SIGKILL)
        return await fetch(studio, wanted, dask_worker)

    monkeypatch.setattr(cluster_intake, "fetch_resources", fetch_or_die)
    monkeypatch.setattr(invocation_processor_dask, "LETTER_BYTES", 0)
    studio = open_studio()
    run = studio.submit(noise(id="noise", side=200)).wait(60)
    assert (run.status, lines(notes), len(studio.images.frame)) == ("completed", ["killed"], 1)


def test_a_run_that_kills_each_worker_fails_instead_of_killing_them_all(
    open_studio: Callable[..., Studio], tmp_path: Path
):
    studio = open_studio()
    notes = str(tmp_path / "notes")
    with pytest.raises(NodeError, match="the worker that ran it was lost 2 times"):
        studio.run(fatal(id="fatal", image=pattern(id="pattern"), notes=notes, times=9), progress=False)
    assert len(lines(notes)) == 2


def test_a_worker_that_joins_late_takes_part(far: Studio, cluster: LocalCluster):
    cluster.scale(3)
    processes: set[int] = set()
    end = monotonic() + 60
    while len(processes) < 3 and monotonic() < end:
        runs = [far.submit(patient(id="patient", seconds=0.3)) for _ in range(4)]
        assert [run.wait(60).status for run in runs] == ["completed"] * 4
        processes |= {run["patient"].value for run in runs}
    cluster.scale(2)
    assert len(processes) == 3


HEAD = """
import sys
from distributed import Client
from nbgraph import Studio
from nbgraph.services.invocation_processor import cluster_connection
from tests.cluster.cluster_nodes import *
cluster_connection.GONE_SECONDS = 0.1
from nbgraph.invocations import Collect
folder, address, count = sys.argv[1:]
studio = Studio(folder, cluster=address)
items = patient(id="patient", value=Iterate(id="each", collection=list(range(int(count)))), seconds=0.1)
run = studio.submit(Collect(id="all", item=items), strict=True)
while len(run.session.outputs) < 20:
    sleep(0.02)
print(run.id, studio.services.processor.id, flush=True)
sleep(60)
"""


def test_a_run_of_a_head_that_was_killed_is_interrupted_and_resumed_and_workers_close_what_it_had_opened(
    cluster: LocalCluster, open_studio: Callable[..., Studio], tmp_path: Path
):
    folder, count = tmp_path / "studio", 60
    command = [sys.executable, "-c", HEAD, str(folder), cluster.scheduler_address, str(count)]
    head = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert head.stdout is not None
    session, head_id = head.stdout.readline().split()
    assert opened_by_workers(cluster) == {head_id}
    head.send_signal(signal.SIGKILL)
    head.wait()
    wait_until(lambda: head_id not in opened_by_workers(cluster))
    assert head_id not in cluster.scheduler.plugins
    studio = open_studio(folder)
    assert studio.queue.frame.status.tolist() == ["interrupted"]
    done = len(studio.services.graph_execution_manager.get(session))
    assert done >= 20
    run = studio.resume(session).wait(60)
    assert (run.status, len(run["all"].collection)) == ("completed", count)
    wait_until(lambda: not cluster.scheduler.tasks)


def opened_by_workers(cluster: LocalCluster) -> set[str]:
    """Return the ids of the studios that workers have open."""
    with Client(cluster, set_as_default=False) as client:
        return {studio for found in client.run(open_studios).values() for studio in found}


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something holds, at most a minute."""
    end = monotonic() + 60
    while not is_so():
        assert monotonic() < end
        sleep(0.1)
