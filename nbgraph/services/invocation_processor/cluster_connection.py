"""The head's connection to a Dask scheduler: made from what a person gave, checked, and used by one thread.

Nothing here waits for a worker: one that hangs would hold up all others. What is called on a worker is answered by a
message in the inbox of the processor.
"""

import logging
import os
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import cast

import psutil

from nbgraph.config import Settings
from nbgraph.errors import ChoiceError, ClusterError
from nbgraph.loading import load
from nbgraph.services.invocation_processor import cluster_dask as dask
from nbgraph.services.invocation_processor.cluster_common import WorkerRow
from nbgraph.services.invocation_processor.cluster_dask import DaskClient, DaskCluster, DaskFuture, WorkerInfo
from nbgraph.services.invocation_processor.cluster_host import COMPARED, installed_versions
from nbgraph.services.invocation_processor.cluster_messages import Job, Message, StudioFacts, WorkerFacts
from nbgraph.services.invocation_processor.cluster_placement import (
    GPU,
    Placement,
    local_workers,
    named_gpus,
    usable_workers,
)
from nbgraph.services.invocation_processor.cluster_worker import NbgraphWorker, run_legs

LOCAL = "local"
POSSIBLE = ["'local'", "the address of a scheduler, such as 'tcp://10.0.0.5:8786'", "a Client or Cluster of Dask"]
CONNECT_SECONDS = 10
FRESH_SECONDS = 1.0
GONE_SECONDS = 30.0
"""A head that is away for so long is gone: workers close what they have open for it."""
MESSAGE_BYTES = 32 * 2**10
"""Dask keeps the last thousand messages of a connection in memory, so larger ones are fetched."""
LETTER_BYTES = 64 * 2**20
"""Of images and tensors, so many come with the end of a session, or with its mail; others are fetched by themselves."""
GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""On Linux one of these exists where there is a GPU that torch may use; looking is quicker than importing torch."""


@dataclass
class Connection:
    """A client of ours at a scheduler, and the cluster, if it was started here.

    `settings` are what workers get: a local cluster divides the machine among them.
    """

    client: DaskClient
    settings: Settings
    own_cluster: DaskCluster | None = None
    """The cluster that was started for this studio, and ends with it."""
    is_fixed: bool = False
    """Whether the number of workers follows no load."""
    message_bytes: int = 0
    _workers: dict[str, WorkerInfo] = field(default_factory=dict[str, WorkerInfo])
    _seen: float = 0.0
    _opened_at: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the scheduler is there, and the one at which the studio was opened.

        Raises
        ------
        ClusterError
            The connection to the scheduler is lost.
        """
        if not (found := dask.scheduler_id(self.client)):
            raise ClusterError("the scheduler of the cluster is gone; start it again, and open the studio once more")
        return found == self._opened_at

    def open(self, studio: StudioFacts, hear: Callable[[Message], None]) -> None:
        """Have all workers open the studio, now and when they join, and hear their messages."""
        self._opened_at = dask.scheduler_id(self.client)
        self.client.subscribe_topic(studio.id, lambda event: hear(cast(Message, dask.unpacked(event[1]))))
        dask.register_worker_plugin(self.client, NbgraphWorker(studio))

    def watch(self, studio: str) -> int:
        """Have the scheduler notice when this kernel is gone; return the size of the largest message that it passes on.

        A scheduler that takes no code from clients keeps messages for good, so few and small ones are sent by it.
        """
        return MESSAGE_BYTES if dask.watch_head(self.client, studio, GONE_SECONDS) else 0

    def close(self, studio: str) -> None:
        """Have all workers close the studio, and disconnect; end the cluster if it was started here."""
        for what in (dask.unregister_worker_plugin, dask.unwatch_head):
            with suppress(Exception):  # the scheduler may be gone
                what(self.client, studio)
        with suppress(Exception):
            self.client.close()
        if self.own_cluster is not None:
            with suppress(Exception):
                self.own_cluster.close()

    def workers(self) -> Mapping[str, WorkerInfo]:
        """Return what the scheduler knows of each worker, by address; asked at most once a second."""
        if monotonic() - self._seen > FRESH_SECONDS:
            try:
                self._workers = dask.workers_of(self.client)
            except Exception:  # the scheduler is gone, or does not answer now
                self._workers = {}
            self._seen = monotonic()
        return self._workers

    def has(self, worker: str) -> bool:
        """Return whether the scheduler knows a worker now."""
        self._seen = 0.0  # what is known may be a second old
        return worker in self.workers()

    def was_lost_with(self, worker: str, task: str) -> bool:
        """Return whether a worker is gone, and was to run a task when the scheduler lost it."""
        return not self.has(worker) and task in dask.lost_tasks(self.client, worker)

    def usable(self, facts: Mapping[str, WorkerFacts]) -> list[str]:
        """Return the workers that may get sessions; see `usable_workers`."""
        offered = {address: each["resources"] for address, each in self.workers().items()}
        return usable_workers(offered, {address: each["problem"] for address, each in facts.items()})

    def restore(self) -> None:
        """Start the workers again that a cluster of ours has given up: Dask does where one is away for 15 seconds."""
        cluster = self.own_cluster
        if cluster is not None and len(self.workers()) < len(cluster.worker_spec):
            cluster.scale(len(cluster.worker_spec))

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
        return dask.scheduler_address(self.client)

    @property
    def dashboard(self) -> str:
        """The link to Dask's dashboard; empty where the scheduler has none, as without the package bokeh."""
        return self.client.dashboard_link if dask.has_dashboard(self.client) else ""

    def ask_all(self, function: Callable[..., object], *arguments: object) -> dict[str, object]:
        """Return what a function returns on each worker, by address; it waits for all of them."""
        return self.client.run(function, *arguments)

    def submit(self, studio: str, jobs: Sequence[Job], where: Placement, priority: int) -> DaskFuture:
        """Submit jobs as one task."""
        has_gpus = any(GPU in each["resources"] for each in self.workers().values())
        return dask.start_task(
            self.client,
            jobs[0].leg,  # its name, as in `Shipment.task`
            run_legs,
            # packed once, so that Dask does not look into it
            (studio, dask.packed(list(jobs))),
            where.workers,
            where.any_other,
            {GPU: 1} if has_gpus else None,
            priority,
        )

    def call(
        self, worker: str, then: Callable[[object], None], function: Callable[..., object], *arguments: object
    ) -> None:
        """Call a function on a worker; `then` gets what it returned or raised, on the thread of the event loop."""
        dask.call_on_worker(self.client, worker, then, function, *arguments)


def connect(cluster: object, settings: Settings) -> Connection:
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
    keep_interrupts()
    if cluster == LOCAL:
        found = _local(settings)
    elif isinstance(cluster, str):
        found = Connection(_client(cluster), settings)
    elif dask.is_client(cluster):
        client = cast(DaskClient, cluster)
        if client.status != "running":
            raise ClusterError("the Client that was given is closed; give an open one, or the scheduler's address")
        given = client.cluster or dask.scheduler_address(client)
        found = Connection(_client(given, client.security), settings, is_fixed=dask.has_fixed_workers(client.cluster))
    elif hasattr(cluster, "scheduler_address"):
        found = Connection(_client(cluster), settings, is_fixed=dask.has_fixed_workers(cluster))
    else:
        raise ChoiceError("cluster", cluster, POSSIBLE)
    try:
        _compare_versions(found.client)
    except BaseException:
        found.close("")
        raise
    return found


def keep_interrupts() -> None:
    """Take Python's own handler of interrupts back from dask-jobqueue, which replaces it when it is imported.

    Its handler ends the process: the button Stop of a notebook would end the kernel.
    """
    handler = signal.getsignal(signal.SIGINT)
    is_theirs = getattr(handler, "__module__", "") == "dask_jobqueue.runner"
    if is_theirs and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _client(given: object, security: object = None) -> DaskClient:
    try:
        return dask.open_client(given, security, CONNECT_SECONDS)
    except (OSError, ValueError, TypeError, ImportError) as error:
        shown = given if isinstance(given, str) else type(given).__name__
        why = f"{type(error).__name__}: {str(error)[:200]}"
        text = f"the scheduler at {shown!r} cannot be reached ({why}); start one with: dask scheduler"
        raise ClusterError(text) from None


def _compare_versions(client: DaskClient) -> None:
    """Raise `ClusterError` with every worker that has other versions than this process."""
    wanted = installed_versions()
    found: dict[str, list[str]] = defaultdict(list)
    names = {address: each["name"] for address, each in dask.workers_of(client).items()}
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
    workers = local_workers(gpus, cores, os.environ.get("OMP_NUM_THREADS", ""))
    # one session at a time on each; a limit of Dask's own would kill a worker whose models take what they may
    common = {"nthreads": 1, "memory_limit": 0, "host": "127.0.0.1", "silence_logs": logging.WARN}
    cluster = dask.start_cluster(
        {
            # set before the worker's process starts, as torch reads them once; Dask itself would set one thread
            number: {**common, "env": worker.environment, "resources": worker.resources or None}
            for number, worker in enumerate(workers)
        },
        logging.WARN,
    )
    memory = settings.model_ram_bytes or psutil.virtual_memory().total // 2
    device = None if gpus else settings.device
    shared = settings.model_copy(update={"model_ram_bytes": memory // len(workers), "device": device})
    return Connection(_client(cluster), shared, cluster, is_fixed=True)


def visible_gpus() -> list[str]:
    """Return the GPUs that torch may use here, as `CUDA_VISIBLE_DEVICES` names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return named_gpus(named)
    if sys.platform == "darwin" or (sys.platform == "linux" and not any(Path(each).exists() for each in GPU_FILES)):
        return []
    return [str(number) for number in range(load("torch").cuda.device_count())]
