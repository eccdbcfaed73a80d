"""What is shown of a cluster; this module does not import Dask, which only a studio on a cluster needs."""

from typing import NamedTuple, Protocol, runtime_checkable


class WorkerRow(NamedTuple):
    """One worker: memory in bytes, utilisation in percent (of the GPU None where it is not known).

    `models` are the names of those in memory, `run` is the session that it runs, `resources` are Dask's.
    `shares_folder` is None as long as the worker has not said whether it sees the studio's folder. A worker with a
    `problem`, such as another version of torch, gets no sessions.
    """

    worker: str
    host: str
    device: str
    models: str
    run: str
    memory: int
    cpu_percent: float
    gpu_percent: float | None
    threads: int
    resources: str
    shares_folder: bool | None
    address: str
    problem: str


@runtime_checkable
class ClusterLike(Protocol):
    """A processor that runs sessions on a cluster."""

    def worker_rows(self) -> list[WorkerRow]:
        """Return a row for each worker that the scheduler knows, by name."""
        ...

    @property
    def scheduler(self) -> str:
        """The address of the scheduler."""
        ...

    @property
    def dashboard(self) -> str:
        """The link to Dask's dashboard; empty where there is none."""
        ...
