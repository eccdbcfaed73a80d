"""Kernels that are killed, interrupted, or beside each other. `NBGRAPH_SOAK=1` does the full number of trials."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker

SOAK = os.environ.get("NBGRAPH_SOAK") == "1"
KILLS = 200 if SOAK else 20
INTERRUPTS = 1000 if SOAK else 100
STOPS = 500 if SOAK else 50
HERE = Path(__file__).parent


@pytest.fixture
def killer() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported everything and forks kernels on demand."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, HERE / "crash_child.py"], stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.kill()


def start_and_kill(killer: subprocess.Popen[str], folder: Path, log: Path, seed: int) -> None:
    """Let a kernel work, and kill it at a random moment after it was told that a picture is kept."""
    assert killer.stdin is not None
    assert killer.stdout is not None
    before = pictures_in(log)
    killer.stdin.write(f"{folder} {log} {seed}\n")
    killer.stdin.flush()
    child = int(killer.stdout.readline())
    deadline = time.monotonic() + 60
    while pictures_in(log) == before:
        assert time.monotonic() < deadline, "the kernel did nothing"
        time.sleep(0.002)
    time.sleep(random.Random(seed).uniform(0, 0.3))
    os.kill(child, signal.SIGKILL)
    while psutil.pid_exists(child):
        time.sleep(0.001)


def pictures_in(log: Path) -> int:
    return log.read_text().count("image") if log.exists() else 0


def acknowledged(log: Path) -> tuple[dict[str, str], dict[str, str], set[str], list[str]]:
    """(images, tensors, deletions begun, sessions): names with their content."""
    lines = [line.split() for line in log.read_text().splitlines()]
    begun = {words[1] for words in lines if words[0] == "deleting"}
    images = {words[1]: words[2] for words in lines if words[0] == "image" and words[1] not in begun}
    tensors = {words[1]: words[2] for words in lines if words[0] == "tensors"}
    return images, tensors, begun, [words[1] for words in lines if words[0] == "session"]


def test_killed_kernels_lose_nothing_that_was_acknowledged(killer, folder, tmp_path):
    log, openings, seed = tmp_path / "log", [], int(os.environ.get("NBGRAPH_SEED", "1"))
    for trial in range(KILLS):
        start_and_kill(killer, folder, log, seed * 1000 + trial)
        began = time.monotonic()
        invoker = Invoker(InvocationServices.sqlite(folder))
        openings.append(time.monotonic() - began)
        services = invoker.services
        images, tensors, begun, sessions = acknowledged(log)
        records = {record.image_name: record for record in services.images.list(per_page=10**6).items}
        lost = [name for name in images if name not in records or records[name].content != images[name]]
        lost += [name for name in tensors if services.latents.content(name) != tensors[name]]
        torn = [name for name in records if not services.images.is_intact(name)]
        torn += [record.name for record in services.latents.list(per_page=10**6).items
                 if not services.latents.is_intact(record.name)]  # fmt: skip
        assert (lost, torn) == ([], []), f"seed {seed}, trial {trial}"
        assert {item.status for item in services.queue.rows()} <= {"completed", "interrupted"}
        if trial % 5 == 4:
            resume_and_check(invoker, sessions[-1])
        invoker.stop()
    services = InvocationServices.sqlite(folder)
    report = services.clean(grace_seconds=0)
    again = services.clean(grace_seconds=0)
    assert (report.missing, report.damaged) == ([], [])
    assert report.orphans_removed + again.orphans_removed == report.orphans, "some were seen when it was opened before"
    assert services.clean(grace_seconds=0).orphans == 0
    assert not list((folder / "tmp").iterdir())
    services.close()
    openings.sort()
    print(f"{KILLS} kills, {len(images)} images kept, {report.orphans} orphans, slowest reopenings {openings[-3:]} s")


def resume_and_check(invoker: Invoker, session_id: str) -> None:
    """A session that a killed kernel left goes on, and runs nothing again that its journal has."""
    services = invoker.services
    done = len(services.graph_execution_manager.get(session_id))
    before = len(services.performance_statistics.rows(session_id))
    if services.queue.item(session_id).status == "completed":
        return
    handle = invoker.resume(session_id)
    assert handle.wait(60)
    assert handle.status == "completed"
    assert len(handle.session.outputs_of("all")[()].collection) == 2000
    assert len(services.performance_statistics.rows(session_id)) - before == 4001 - done


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_interrupts_break_nothing_and_wedge_nobody(kind, tmp_path):
    command = [sys.executable, HERE / "interrupt_child.py", kind, tmp_path / "studio", str(INTERRUPTS // 2), "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(kind, found)
    assert (found["broken"], found["wedged"]) == ([], 0)
    assert found["delivered"] > 0.9 * (INTERRUPTS // 2)


def test_stop_at_any_moment_of_imports_model_loading_and_pictures_leaves_a_kernel_that_runs():
    command = [sys.executable, HERE / "stop_child.py", str(STOPS), os.environ.get("NBGRAPH_SEED", "1")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(found)
    assert (found["wedged"], found["failed"]) == ([], [])
    assert found["late"] == [], "a cancelled run ends with the step that it is in"
    assert found["delivered"] > 0.9 * STOPS
    assert found["while_loading"] > 0
