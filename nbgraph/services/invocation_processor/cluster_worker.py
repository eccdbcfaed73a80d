"""A worker of a cluster, as the head and Dask see it: it opens services for a studio, and answers what it is asked.

The head registers `NbgraphWorker` with the scheduler, so that workers that join later have it too. Two ways lead from a
worker to the head, both through the scheduler, as a worker may not be able to reach a notebook: messages of a topic
(`HeadLink`), and what the head calls here (`take_mail`, `fetch_resources`, `give_answer`, `cancel_leg`, `end_legs`), on
the thread of the worker's event loop.
"""

from typing import cast

from nbgraph.errors import ClusterError
from nbgraph.services.invocation_processor.cluster_dask import (
    DaskWorker,
    WorkerPlugin,
    on_thread,
    this_worker,
    unpacked,
)
from nbgraph.services.invocation_processor.cluster_host import WorkerHost
from nbgraph.services.invocation_processor.cluster_messages import Job, Letter, Resource, ResourceName, StudioFacts


class NbgraphWorker(WorkerPlugin):
    """Opens services for a studio on each worker, and closes them when the worker, the studio or its kernel ends."""

    def __init__(self, studio: StudioFacts) -> None:
        self.name = studio.id
        self._studio = studio

    def open_on(self, worker: DaskWorker) -> None:
        """Open the services; a worker that cannot says so to whoever sends it a session."""
        _hosts[self._studio.id, worker.address] = WorkerHost(self._studio, worker)

    async def close_on(self, worker: DaskWorker) -> None:
        """End what runs and close the services, so that the worker can end at once."""
        host = _hosts.pop((self._studio.id, worker.address), None)
        if host is not None:
            await on_thread(host.close)


_hosts: dict[tuple[str, str], WorkerHost] = {}


def host_of(studio: str, worker: DaskWorker) -> WorkerHost:
    """Return what a worker has open for a studio; raises `ClusterError` if that is nothing."""
    found = _hosts.get((studio, worker.address))
    if found is None:
        raise ClusterError(f"worker {worker.name!r} has not opened the studio; look at its log")
    return found


def open_studios() -> list[str]:
    """Return the studios that workers in this process have open."""
    return sorted({studio for studio, _ in _hosts})


def run_legs(studio: str, jobs: bytes) -> dict[str, Letter]:
    """Run packed jobs on the worker that calls this: the task that the head submits."""
    found = unpacked(jobs)
    assert isinstance(found, list)
    return host_of(studio, this_worker()).run(cast("list[Job]", found))


async def take_mail(studio: str, leg: str, seen: int, dask_worker: DaskWorker) -> Letter:
    """Return the mail of a leg after batch number `seen`."""
    return await on_thread(host_of(studio, dask_worker).mail, leg, seen)


async def fetch_resources(studio: str, wanted: list[ResourceName], dask_worker: DaskWorker) -> list[Resource]:
    """Return (kind, record, bytes) of images and tensors that were made on a worker."""
    return await on_thread(host_of(studio, dask_worker).resources, wanted)


def give_answer(studio: str, number: int, answer: object, dask_worker: DaskWorker) -> None:
    """Answer a question that a worker asked."""
    host_of(studio, dask_worker).link.answer(number, answer)


def cancel_leg(studio: str, leg: str, dask_worker: DaskWorker) -> None:
    """Cancel what a worker runs: it ends within one step."""
    host_of(studio, dask_worker).cancel(leg)


def end_legs(studio: str, legs: list[str], dask_worker: DaskWorker) -> None:
    """Let a worker forget legs of which the head has everything."""
    host_of(studio, dask_worker).forget(legs)
