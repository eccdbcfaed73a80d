"""`nbgraph worker` starts a worker of Dask with one thread, its GPU, and torch's threads."""

import sys
from importlib.machinery import ModuleSpec

import pytest
from typer.testing import CliRunner

from nbgraph.cli import worker_program
from nbgraph.cli.app import app


def test_the_command_has_one_thread_and_passes_options_on(monkeypatch: pytest.MonkeyPatch):
    started: list[list[str]] = []
    monkeypatch.setattr(worker_program, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setattr(worker_program.os, "execve", lambda _, command, environment: started.append(command))
    words = [
        "worker",
        "--scheduler",
        "tls://10.0.0.5:8786",
        "--gpu",
        "1",
        "--name",
        "left",
        "--",
        "--tls-key",
        "k.pem",
    ]
    CliRunner().invoke(app, words)
    (command,) = started
    assert command[:4] == [sys.executable, "-m", "distributed.cli.dask_worker", "tls://10.0.0.5:8786"]
    assert " ".join(command[4:]) == (
        "--nthreads 1 --nworkers 1 --memory-limit 0 --no-dashboard --resources GPU=1 --name left --tls-key k.pem"
    )


def test_a_worker_has_its_gpu_and_the_threads_of_the_machine_unless_told():
    variable = "DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON__OMP_NUM_THREADS"
    on_gpu = worker_program.worker_environment({"PATH": "/bin"}, "1", cores=8)
    assert on_gpu == {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1", variable: "8"}
    assert worker_program.worker_environment({"OMP_NUM_THREADS": "2"}, None, cores=8)[variable] == "2"


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker_program, "find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["worker", "--scheduler", "tcp://127.0.0.1:1"])
    assert (done.exit_code, "pip install 'nbgraph[dask]'" in done.stderr) == (2, True)
