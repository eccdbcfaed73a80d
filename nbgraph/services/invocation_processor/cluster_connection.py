# pyright: basic
# Dask is typed in part only
"""The head's connection to a Dask scheduler: made from what a person gave, checked, and used by one thread.

Nothing here waits for a worker: one that hangs would hold up all others. What is called on a worker is answered by a
message in the inbox of the processor.
"""

import logging
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
from distributed import Client, LocalCluster, Nanny, Scheduler, SpecCluster

from nbgraph.config import Settings
from nbgraph.errors import ChoiceError, ClusterError
from nbgraph.loading import load
from nbgraph.services.invocation_processor.cluster_common import WorkerRow
from nbgraph.services.invocation_processor.cluster_session import Job
from nbgraph.services.invocation_processor.cluster_worker import (
    COMPARED,
    NbgraphWorker,
    StudioFacts,
    WorkerFacts,
    installed_versions,
    run_leg,
)

LOCAL = "local"
POSSIBLE = ["'local'", "the address of a scheduler, such as 'tcp://10.0.0.5:8786'", "a Client or Cluster of Dask"]
CONNECT_SECONDS = 10
FRESH_SECONDS = 1.0
THREAD_VARIABLES = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""On Linux one of these exists where there is a GPU that torch may use; looking is quicker than importing torch."""


@dataclass
class Connection:
    """A client of ours at a scheduler, and the cluster, if it was started here.

    `settings` are what workers get: a local cluster divides the machine among them.
    """

    client: Any
    settings: Settings
    cluster: Any = None
    owns_cluster: bool = False
    is_fixed: bool = False
    """Whether the number of workers follows no load."""
    _workers: dict[str, Any] = field(default_factory=dict[str, Any])
    _seen: float = 0.0

    def open(self, studio: StudioFacts, hear: Callable[[dict[str, Any]], None]) -> None:
        """Have all workers open the studio, now and when they join, and hear their messages."""
        self.client.subscribe_topic(studio.id, lambda event: hear(event[1]))
        self.client.register_plugin(NbgraphWorker(studio))

    def close(self, studio: str) -> None:
        """Have all workers close the studio, and disconnect; end the cluster if it was started here."""
        with suppress(Exception):  # the scheduler may be gone
            self.client.unregister_worker_plugin(studio)
        with suppress(Exception):
            self.client.close()
        if self.owns_cluster:
            with suppress(Exception):
                self.cluster.close()

    def workers(self) -> Mapping[str, Any]:
        """Return what the scheduler knows of each worker, by address; asked at most once a second."""
        if monotonic() - self._seen > FRESH_SECONDS:
            try:
                self._workers = dict(self.client.scheduler_info()["workers"])
            except Exception:  # the scheduler is gone, or does not answer now
                self._workers = {}
            self._seen = monotonic()
        return self._workers

    def restore(self) -> None:
        """Start the workers again that a cluster of ours has given up: Dask does where one is away for 15 seconds."""
        if self.owns_cluster and len(self.workers()) < len(self.cluster.worker_spec):
            self.cluster.scale(len(self.cluster.worker_spec))

    def row(self, address: str, facts: WorkerFacts | None, run: str) -> WorkerRow:
        """Return what is shown of a worker: what the scheduler knows, and what it said about itself, if it did."""
        known = self._workers[address]
        metrics = known["metrics"]
        return WorkerRow(
            worker=str(known["name"]),
            host=known["host"],
            device="" if facts is None else facts["device"],
            models="" if facts is None else ", ".join(sorted(facts["models"].values())),
            run=run,
            memory=metrics.get("memory", 0),
            cpu_percent=float(metrics.get("cpu", 0.0)),
            gpu_percent=metrics.get("gpu", {}).get("utilization"),
            threads=known["nthreads"],
            resources=", ".join(f"{name} {count:g}" for name, count in known["resources"].items()),
            shares_folder=None if facts is None else facts["shares_folder"],
            address=address,
            problem="" if facts is None else facts["problem"],
        )

    @property
    def scheduler(self) -> str:
        """The address of the scheduler."""
        return str(self.client.scheduler.address)

    @property
    def dashboard(self) -> str:
        """The link to Dask's dashboard; empty where the scheduler has none, as without the package bokeh."""
        services = self.client.scheduler_info(n_workers=0)["services"]
        return str(self.client.dashboard_link) if "dashboard" in services else ""

    def ask_all(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Return what a function returns on each worker, by address; it waits for all of them."""
        return self.client.run(function, *arguments)

    def submit(self, studio: str, leg: str, job: Job, workers: list[str], any_other: bool, priority: int) -> Any:
        """Submit a leg as a task; with `workers`, only to these, or, with `any_other`, to others if these are gone."""
        has_gpus = any("GPU" in each["resources"] for each in self.workers().values())
        return self.client.submit(
            run_leg,
            studio,
            leg,
            job,
            key=leg,
            workers=workers or None,
            allow_other_workers=bool(workers) and any_other,
            resources={"GPU": 1} if has_gpus else None,
            priority=priority,
            pure=False,
        )

    def call(self, worker: str, then: Callable[[Any], None], function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function on a worker; `then` gets what it returned or raised, on the thread of the event loop."""

        async def calling() -> None:
            try:
                found = await self.client.run(function, *arguments, workers=[worker])
                answer = found[worker]
            except Exception as error:
                answer = error
            then(answer)

        self.client.loop.add_callback(calling)


def connect(cluster: Any, settings: Settings) -> Connection:
    """Return a connection to a cluster, of which all workers have been looked at.

    Parameters
    ----------
    cluster
        `"local"`, the address of a scheduler, or a `Client` or `Cluster` of Dask.
    settings
        The studio's settings.

    Raises
    ------
    ClusterError
        The scheduler cannot be reached, or a worker has other versions of nbgraph, torch or diffusers.
    ChoiceError
        `cluster` is none of these.
    """
    if cluster == LOCAL:
        found = _local(settings)
    elif isinstance(cluster, str):
        found = Connection(_client(cluster), settings)
    elif isinstance(cluster, Client):
        if cluster.status != "running":
            raise ClusterError("the Client that was given is closed; give an open one, or the scheduler's address")
        given = cluster.cluster or Connection(cluster, settings).scheduler
        found = Connection(_client(given, cluster.security), settings, cluster.cluster)
    elif hasattr(cluster, "scheduler_address"):
        found = Connection(_client(cluster), settings, cluster, is_fixed=_is_fixed(cluster))
    else:
        raise ChoiceError("cluster", cluster, POSSIBLE)
    try:
        _compare_versions(found.client)
    except BaseException:
        found.client.close()
        if found.owns_cluster:
            found.cluster.close()
        raise
    return found


def _client(given: Any, security: Any = None) -> Client:
    """Return a client of our own: closing it, and the topics that it hears, concern nobody else's."""
    try:
        return Client(given, security=security, timeout=CONNECT_SECONDS, set_as_default=False, name="nbgraph")
    except (OSError, ValueError, TypeError, ImportError) as error:
        shown = given if isinstance(given, str) else type(given).__name__
        why = f"{type(error).__name__}: {str(error)[:200]}"
        text = f"the scheduler at {shown!r} cannot be reached ({why}); start one with: dask scheduler"
        raise ClusterError(text) from None


def _is_fixed(cluster: Any) -> bool:
    return isinstance(cluster, LocalCluster) and getattr(cluster, "_adaptive", None) is None


def _compare_versions(client: Any) -> None:
    """Raise `ClusterError` with every worker that has other versions than this process."""
    wanted = installed_versions()
    found: dict[str, list[str]] = defaultdict(list)
    names = {address: each["name"] for address, each in client.scheduler_info()["workers"].items()}
    for name in COMPARED if names else ():
        # a function of the standard library: a worker without nbgraph could not import one of ours
        for worker, there in client.run(version, name, on_error="return").items():
            if there != wanted[name]:
                shown = there if isinstance(there, str) else "not installed"
                found[str(names.get(worker, worker))].append(f"{name} {shown} (here: {wanted[name]})")
    if found:
        listed = "; ".join(f"worker {each!r} has {', '.join(what)}" for each, what in sorted(found.items()))
        raise ClusterError(f"{listed}; install the same versions there, results may differ between versions")


def _local(settings: Settings) -> Connection:
    """Start a cluster on this machine: a worker for each GPU, or one for two cores without any."""
    gpus = visible_gpus()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = len(gpus) or max(1, cores // 2)
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores // count))
    memory = settings.model_ram_bytes or psutil.virtual_memory().total // 2
    specs: dict[Any, Any] = {}
    for number in range(count):
        # set before the worker's process starts, as torch reads them once; Dask itself would set one thread
        environment = dict.fromkeys(THREAD_VARIABLES, threads)
        options: dict[str, Any] = {"nthreads": 1, "memory_limit": 0, "host": "127.0.0.1", "silence_logs": logging.WARN}
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[number]
            options["resources"] = {"GPU": 1}
        specs[number] = {"cls": Nanny, "options": {**options, "env": environment}}
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}}
    start: Any = SpecCluster  # its level of logs is annotated as a flag
    cluster = start(workers=specs, scheduler=scheduler, silence_logs=logging.WARN, name="nbgraph")
    device = None if gpus else settings.device
    shared = settings.model_copy(update={"model_ram_bytes": memory // count, "device": device})
    return Connection(_client(cluster), shared, cluster, owns_cluster=True, is_fixed=True)


def visible_gpus() -> list[str]:
    """Return the GPUs that torch may use here, as `CUDA_VISIBLE_DEVICES` names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [each.strip() for each in named.split(",") if each.strip() and each.strip() != "-1"]
    if sys.platform == "darwin" or (sys.platform == "linux" and not any(Path(each).exists() for each in GPU_FILES)):
        return []
    return [str(number) for number in range(load("torch").cuda.device_count())]
