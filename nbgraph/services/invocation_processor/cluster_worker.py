# pyright: basic
# Dask is typed in part only
"""A worker of a cluster: opens services for a studio, runs its sessions, and answers the head.

The *head* is the kernel that a person sits at. It registers `NbgraphWorker` with the scheduler, so that workers that
join later have it too; each opens the studio's folder, as any other kernel does, or, if it does not see the folder,
services in memory that fetch from the head what they have not.

Two ways lead from a worker to the head, both through the scheduler, as a worker may not be able to reach a notebook:
events of a topic that the head subscribed to, for small messages (`HeadLink`); and what the head calls here
(`take_mail`, `fetch_resources`, `give_answer`, `cancel_leg`), on the thread of the worker's event loop.
"""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter, time
from typing import Any, TypedDict

from distributed import Worker, WorkerPlugin, get_worker
from distributed.core import Status
from distributed.utils import offload

from nbgraph.config import PREFIX, Settings
from nbgraph.diffusion.fingerprints import fingerprint_path
from nbgraph.errors import ClusterError, GraphError, IterationLimitError, NbgraphError, NodeError
from nbgraph.loading import looking_while_waiting
from nbgraph.services.events.events_common import SessionWaits
from nbgraph.services.images.portable_images import to_png
from nbgraph.services.invocation_processor.batch_runner import runner_of
from nbgraph.services.invocation_processor.cluster_link import HeadLink
from nbgraph.services.invocation_processor.cluster_outbox import MailBatch, Outbox
from nbgraph.services.invocation_processor.cluster_session import Job, session_of, with_local_paths
from nbgraph.services.invocation_processor.invocation_processor_base import InvocationProcessorBase, SessionHandle
from nbgraph.services.invocation_processor.invocation_processor_default import waiting_message
from nbgraph.services.invocation_processor.node_batches import BatchLimits
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.latents.tensor_files import to_bytes
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.head import FollowsHead
from nbgraph.services.shared.sqlite.store_folder import StoreFolder

logger = logging.getLogger("nbgraph")
COMPARED = ("nbgraph", "torch", "diffusers")
"""The packages of which a worker must have the version that the head has: results may differ between versions."""
OWN_SETTINGS = ("device", "model_folders", "threads")
"""Settings that a worker's environment decides, if it says anything about them."""
RUNNING = (Status.running, Status.paused, Status.closing_gracefully)
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class StudioFacts:
    """What a worker has to know of the studio that it works for.

    `id` names the studio's topic and plugin. `folder` is absolute, "" in memory; `kernel` is the head's name there.
    """

    id: str
    folder: str
    kernel: str
    settings: dict[str, Any]
    versions: dict[str, str]


class WorkerFacts(TypedDict):
    """What a worker says about itself: the models that it holds, names by fingerprint, and why it cannot be used."""

    name: str
    shares_folder: bool
    device: str
    models: dict[str, str]
    problem: str


class LegResult(TypedDict):
    """What a task returns: how the session, or its part, ended here, and the mail that the head has not fetched."""

    status: str
    errors: dict[str, str]
    failures: list[dict[str, Any]]
    failed: list[tuple[str, tuple[int, ...]]]
    refusal: list[tuple[str, str, str | None, str | None]]
    ran_out_of_memory: bool
    batches: list[MailBatch]
    facts: WorkerFacts


class NbgraphWorker(WorkerPlugin):
    """Opens services for a studio on each worker, and closes them when the worker, or the studio, ends."""

    def __init__(self, studio: StudioFacts) -> None:
        self.name = studio.id
        self._studio = studio

    def setup(self, worker: Worker) -> None:
        """Open the services; a worker that cannot says so to whoever sends it a session."""
        _hosts[self._studio.id, worker.address] = WorkerHost(self._studio, worker)

    async def teardown(self, worker: Worker) -> None:
        """End what runs and close the services, so that the worker can end at once."""
        host = _hosts.pop((self._studio.id, worker.address), None)
        if host is not None:
            await offload(host.close)


_hosts: "dict[tuple[str, str], WorkerHost]" = {}


def host_of(studio: str, worker: Worker) -> "WorkerHost":
    """Return what a worker has open for a studio; raises `ClusterError` if that is nothing."""
    found = _hosts.get((studio, worker.address))
    if found is None:
        raise ClusterError(f"worker {worker.name!r} has not opened the studio; look at its log")
    return found


def run_leg(studio: str, leg: str, job: Job) -> LegResult:
    """Run a session, or a part of one, on the worker that calls this: the task that the head submits."""
    return host_of(studio, get_worker()).run(leg, job)


async def take_mail(studio: str, leg: str, seen: int, dask_worker: Worker) -> list[MailBatch]:
    """Return the mail of a leg after batch number `seen`."""
    outbox = host_of(studio, dask_worker).outboxes.get(leg)
    return [] if outbox is None else await offload(outbox.take, seen)


async def fetch_resources(
    studio: str, wanted: list[tuple[str, str]], dask_worker: Worker
) -> list[tuple[str, dict[str, Any], bytes]]:
    """Return (kind, record, bytes) of images and tensors that were made on a worker."""
    return await offload(host_of(studio, dask_worker).resources, wanted)


def give_answer(studio: str, number: int, answer: Any, dask_worker: Worker) -> None:
    """Answer a question that a worker asked."""
    host_of(studio, dask_worker).link.answer(number, answer)


def cancel_leg(studio: str, leg: str, dask_worker: Worker) -> None:
    """Cancel what a worker runs: it ends within one step."""
    host_of(studio, dask_worker).cancel(leg)


def end_leg(studio: str, leg: str, dask_worker: Worker) -> None:
    """Let a worker forget a leg of which the head has everything."""
    host_of(studio, dask_worker).forget(leg)


class WorkerProcessor(InvocationProcessorBase):
    """On a worker the head decides what runs; this only knows whether it is running."""

    def __init__(self) -> None:
        self.thread = 0

    @property
    def is_worker(self) -> bool:
        return threading.get_ident() == self.thread

    def submit(
        self, session: GraphExecutionState, *, prepend: bool = False, is_checked: bool = True, group: object = None
    ) -> SessionHandle:
        raise ClusterError("a worker runs what its head sends; submit the session there")

    def group(self) -> AbstractContextManager[object]:
        return nullcontext()

    def cancel(self, session_id: str) -> bool:
        return False

    def cancel_all(self) -> int:
        return 0

    def pause(self) -> None:
        raise ClusterError("a worker is paused by its head")

    def resume(self) -> None:
        raise ClusterError("a worker is paused by its head")

    @property
    def is_paused(self) -> bool:
        return False


class WorkerHost:
    """The services of one studio on one worker, and the sessions that run with them, one at a time."""

    def __init__(self, studio: StudioFacts, worker: Worker) -> None:
        self.name = str(worker.name)
        self.outboxes: dict[str, Outbox] = {}
        self.link = HeadLink(studio.id, worker)
        self.problem = _different_versions(self.name, studio.versions)
        self._studio, self._worker = studio, worker
        self._turn = threading.Lock()
        self._ended: dict[str, GraphExecutionState] = {}
        self._processor = WorkerProcessor()
        self._invoker: Invoker | None = None
        self.shares_folder = _sees_folder(studio)
        if not self.problem:
            try:
                self._invoker = Invoker(self._services(worker_settings(studio.settings)))
            except (NbgraphError, OSError) as error:
                self.problem = f"worker {self.name!r} cannot open the studio: {error}"

    def _services(self, settings: Settings) -> InvocationServices:
        if self.shares_folder:
            services = InvocationServices.sqlite(self._studio.folder, settings)
        else:
            services = InvocationServices.remote(settings, self.link, self._localise)
        services.processor = self._processor
        services.performance_statistics.worker = self.name
        self._limits = BatchLimits(settings.batch_size, settings.batch_pixels)
        return services

    def _localise(self, output: Any) -> Any:
        return with_local_paths(output, self.services.model_manager, self.name)

    @property
    def services(self) -> InvocationServices:
        """The container; raises `ClusterError` if the studio could not be opened here."""
        if self._invoker is None:
            raise ClusterError(self.problem)
        return self._invoker.services

    def close(self) -> None:
        """Cancel what runs, wait for it, and close the services."""
        for leg in list(self.outboxes):
            self.cancel(leg)
        self._turn.acquire(timeout=STOP_SECONDS)
        if self._invoker is not None:
            self._invoker.stop()

    def cancel(self, leg: str) -> None:
        """Ask a leg to end; one that has ended, or is not here, stays as it is."""
        if (outbox := self.outboxes.get(leg)) is not None:
            outbox.is_cancelled = True

    def facts(self) -> WorkerFacts:
        """Return what is known of this worker now."""
        models = [] if self._invoker is None else self.services.model_manager.loaded()
        return WorkerFacts(
            name=self.name,
            shares_folder=self.shares_folder,
            device="" if self._invoker is None else self.services.model_manager.device_name,
            models={fingerprint_path(row.model): Path(row.model).name for row in models},
            problem=self.problem,
        )

    def run(self, leg: str, job: Job) -> LegResult:
        """Run a leg on this thread; whatever goes wrong is in the result."""
        with self._turn:
            self.link.is_gone = self._given_up()
            outputs = self.link.ask("start", leg, dict(self.facts()))
            if outputs is None or self.problem:
                return self._nothing("cancelled")
            self._processor.thread = threading.get_ident()
            try:
                session = session_of(job, outputs, self.services.model_manager, self.name)
                return self._run(leg, job, session)
            except GraphError as error:
                refusal = [(each.kind, each.message, each.node, each.field) for each in error.problems]
                return self._nothing("failed", refusal)
            except NbgraphError as error:
                return self._nothing("failed", [("worker", str(error), None, None)])
            finally:
                self._processor.thread = 0

    def _given_up(self) -> Callable[[], bool]:
        """Return a function that says whether the task on this thread was given up, or the worker closes."""
        worker, key = self._worker, self._worker.get_current_task()

        def is_given_up() -> bool:
            task = worker.state.tasks.get(key)
            return worker.status not in RUNNING or task is None or task.state == "cancelled"

        return is_given_up

    def _run(self, leg: str, job: Job, session: GraphExecutionState) -> LegResult:
        services, is_gone = self.services, self.link.is_gone
        outbox = Outbox(session, time() - perf_counter(), lambda: self.link.announce(leg))
        self.outboxes[leg] = outbox
        self._begin(job)
        result = self._nothing("failed")
        stop = services.events.subscribe(outbox)
        limits = BatchLimits(1, self._limits.pixels) if job.is_alone else self._limits
        runner = runner_of(session, services, lambda: outbox.is_cancelled or is_gone(), limits)
        try:
            with looking_while_waiting(_Waiting(session.id, outbox)):
                result["status"] = runner.run(is_checked=job.is_checked)
        except IterationLimitError as refused:
            logger.info("session %s: %s", session.id, refused)
        except GraphError as refused:
            result["refusal"] = [(each.kind, each.message, each.node, each.field) for each in refused.problems]
        except BaseException as error:
            logger.exception("session %s could not be run", session.id)
            session.errors.setdefault("session", f"{type(error).__name__}: {error}")
        finally:
            stop()
        services.flush()
        if not self.shares_folder:
            services.performance_statistics.reset_stats(session.id)  # the head has them
        if isinstance(cache := services.invocation_cache, FollowsHead):
            outbox.add_entries(cache.take_fresh())
        result["batches"] = outbox.take_all()
        if outbox.unsendable:
            result["status"], result["failures"] = "failed", [_unsendable(outbox.unsendable, self.name)]
        else:
            result["failures"] = [_failure(each) for each in runner.failures]
        result["errors"], result["failed"] = session.errors, outbox.failed
        result["ran_out_of_memory"] = runner.ran_out_of_memory
        result["facts"] = self.facts()
        self._ended[leg] = session
        return result

    def _begin(self, job: Job) -> None:
        cache = self.services.invocation_cache
        if job.is_cache_on != cache.enabled:
            (cache.enable if job.is_cache_on else cache.disable)()
        if job.is_alone:
            self.services.model_manager.unload()
        if isinstance(cache, FollowsHead):
            cache.begin(job.keys or [])

    def forget(self, leg: str) -> None:
        """Forget a leg of which the head has everything: what only it needed may be deleted."""
        self.outboxes.pop(leg, None)
        session = self._ended.pop(leg, None)
        if session is not None and not self.shares_folder:
            self.services.retention.ended(session)

    def resources(self, wanted: list[tuple[str, str]]) -> list[tuple[str, dict[str, Any], bytes]]:
        """Return (kind, record, bytes) of images and tensors that are here."""
        images, latents = self.services.images, self.services.latents
        found: list[tuple[str, dict[str, Any], bytes]] = []
        for kind, name in wanted:
            if kind == "image":
                found.append((kind, asdict(images.record(name)), to_png(images.get(name))))
            else:
                found.append((kind, asdict(latents.record(name)), to_bytes(latents.get(name)[0])))
        return found

    def _nothing(self, status: str, refusal: list[Any] | None = None) -> LegResult:
        return LegResult(
            status=status,
            errors={},
            failures=[],
            failed=[],
            refusal=refusal or [],
            ran_out_of_memory=False,
            batches=[],
            facts=self.facts(),
        )


class _Waiting:
    """Reports to the head for what a session waits while a module is loaded."""

    def __init__(self, session_id: str, outbox: Outbox) -> None:
        self._session_id, self._outbox, self._shown = session_id, outbox, ""

    def __call__(self, module: str) -> None:
        message = waiting_message(module)
        if message != self._shown:
            self._shown = message
            self._outbox(SessionWaits(self._session_id, message))


def worker_settings(given: dict[str, Any]) -> Settings:
    """Return the head's settings, but those that this worker's environment decides."""
    own = {name for name in OWN_SETTINGS if f"{PREFIX}{name.upper()}" in os.environ}
    return Settings(**{name: value for name, value in given.items() if name not in own})


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that have to be equal, "" for one that is not installed."""
    found: dict[str, str] = {}
    for name in COMPARED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def _different_versions(worker: str, wanted: dict[str, str]) -> str:
    """Return what is wrong with the versions on this worker, "" if they are those of the head."""
    found = installed_versions()
    different = [
        f"{name} {found[name] or '(none)'} (here: {wanted[name]})" for name in wanted if found[name] != wanted[name]
    ]
    return f"worker {worker!r} has {', '.join(different)}; install the same versions there" if different else ""


def _sees_folder(studio: StudioFacts) -> bool:
    """Return whether this worker sees the folder of the head: the lock file by which the head shows that it is open."""
    return bool(studio.folder) and StoreFolder(Path(studio.folder)).lease(studio.kernel).exists()


def _failure(error: NodeError) -> dict[str, Any]:
    names = ("node", "type", "message", "inputs", "traceback", "place")
    return {name: getattr(error, name) for name in names}


def _unsendable(what: str, worker: str) -> dict[str, Any]:
    node, _, why = what.partition(": ")
    name, _, kind = node.partition(" (")
    text = f"its result cannot be sent from worker {worker!r} ({why}); return images, numbers, texts, lists or dicts"
    return {"node": name, "type": kind.rstrip(")"), "message": text, "inputs": {}, "traceback": "", "place": ""}
