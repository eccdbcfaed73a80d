"""The command `nbgraph worker`: a worker for the cluster of somebody's studio, started by hand."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import NoReturn

from nbgraph.errors import ClusterError

THREADS = "OMP_NUM_THREADS"
FIXED = ("--nthreads", "1", "--nworkers", "1", "--memory-limit", "0", "--no-dashboard")
"""One session at a time, and no limit of memory by Dask: it would end a worker that holds a model."""


def start_worker(scheduler: str, gpu: str | None, name: str | None, more: Sequence[str]) -> NoReturn:
    """Replace this process by a worker, which runs until the scheduler ends or it is interrupted.

    Parameters
    ----------
    scheduler
        The address of the scheduler.
    gpu
        The GPU to use, as `CUDA_VISIBLE_DEVICES` names it; the worker then offers the resource `GPU`.
    name
        The name that stats and tables show.
    more
        Options of `dask worker`, such as `--tls-ca-file`.

    Raises
    ------
    ClusterError
        Dask is not installed here.
    """
    if find_spec("distributed") is None:
        raise ClusterError("a worker needs dask.distributed; install it with: pip install 'nbgraph[dask]'")
    command = worker_command(scheduler, gpu, name, more)
    environment = worker_environment(os.environ, gpu, os.cpu_count() or 1)
    # in place of this process, so that whoever ends it ends the worker
    os.execve(command[0], command, environment)  # noqa: S606


def worker_command(scheduler: str, gpu: str | None, name: str | None, more: Sequence[str]) -> list[str]:
    """Return the command that starts a worker."""
    options = [*FIXED, *(["--resources", "GPU=1"] if gpu is not None else []), *(["--name", name] if name else [])]
    return [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, *options, *more]


def worker_environment(environment: Mapping[str, str], gpu: str | None, cores: int) -> dict[str, str]:
    """Return the environment of a worker: its GPU, and torch's threads, of which Dask would allow one."""
    found = dict(environment)
    if gpu is not None:
        found["CUDA_VISIBLE_DEVICES"] = gpu
    variable = f"DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON__{THREADS}"
    found.setdefault(variable, environment.get(THREADS, str(cores)))
    return found
