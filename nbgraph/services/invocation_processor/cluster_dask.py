"""The narrow door to dask.distributed: what is used of it, with types.

Dask is typed in part only. The protocols of this module are what the others see; no other module imports Dask.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypedDict, TypeVar, cast

from distributed import Client, LocalCluster, Nanny, Scheduler, SchedulerPlugin, SpecCluster, Worker, get_worker
from distributed import WorkerPlugin as DaskWorkerPlugin
from distributed.core import Status
from distributed.protocol import pickle as dask_pickle
from distributed.utils import offload

RUNNING = (Status.running, Status.paused, Status.closing_gracefully)
SEND_SECONDS = 0.001
CLOSE_SECONDS = 5.0
T = TypeVar("T")
_pickle: Any = dask_pickle


class Metrics(TypedDict, total=False):
    """What a worker measured last; `gpu` is there where it has one that NVML knows."""

    memory: int
    cpu: float
    gpu: Mapping[str, float]


class WorkerInfo(TypedDict):
    """What the scheduler knows of a worker."""

    name: object
    host: str
    nthreads: int
    resources: Mapping[str, float]
    metrics: Metrics


class Loop(Protocol):
    """An event loop, on a thread of its own."""

    def add_callback(self, callback: Callable[..., object], /, *arguments: object) -> None:
        """Call a function soon; any thread may ask for it."""
        ...

    def call_later(self, delay: float, callback: Callable[..., object], /, *arguments: object) -> object:
        """Call a function some seconds later; on the thread of the loop."""
        ...


class DaskWorker(Protocol):
    """The worker of this process, as `WorkerPlugin` and `get_worker` have it."""

    name: object
    address: str
    thread_id: int
    loop: Loop

    def log_event(self, topic: str, msg: object) -> None:
        """Send a message to who subscribed to a topic."""
        ...


class WorkerPlugin(DaskWorkerPlugin):
    """Code that runs on each worker when it joins or is there already, and when it ends."""

    def setup(self, worker: Worker) -> None:
        self.open_on(cast(DaskWorker, worker))

    async def teardown(self, worker: Worker) -> None:
        await self.close_on(cast(DaskWorker, worker))

    def open_on(self, worker: DaskWorker) -> None:
        """Begin on a worker."""
        raise NotImplementedError

    async def close_on(self, worker: DaskWorker) -> None:
        """End on a worker, on the thread of its event loop."""
        raise NotImplementedError


class DaskFuture(Protocol):
    """A task that was submitted; when nothing refers to it any more, Dask forgets the task."""

    def result(self) -> object:
        """Return what the task returned, or raise what it raised."""
        ...

    def cancel(self) -> object:
        """Give the task up."""
        ...

    def add_done_callback(self, fn: Callable[["DaskFuture"], object]) -> None:
        """Call a function when the task has ended, on a thread of Dask's."""
        ...


class DaskCluster(Protocol):
    """A cluster that can be given more or fewer workers."""

    worker_spec: Mapping[object, object]

    def scale(self, n: int) -> object:
        """Ask for a number of workers."""
        ...

    def close(self) -> object:
        """End all workers, and the scheduler."""
        ...


class DaskClient(Protocol):
    """A connection to a scheduler."""

    id: str
    status: str
    cluster: object
    security: object
    loop: Loop
    dashboard_link: str

    def submit(self, func: Callable[..., object], *arguments: object, **options: object) -> DaskFuture:
        """Run a function as a task."""
        ...

    def run(self, function: Callable[..., object], *arguments: object, **options: object) -> dict[str, object]:
        """Run a function on all workers, outside of tasks; return its results by address."""
        ...

    def close(self) -> object:
        """Disconnect."""
        ...

    def subscribe_topic(self, topic: str, handler: Callable[[tuple[float, bytes]], object]) -> object:
        """Call a function with (time, message) for each event of a topic, on the thread of the loop."""
        ...


def open_client(given: object, security: object, seconds: float) -> DaskClient:
    """Return a client of our own: closing it, and the topics that it hears, concern nobody else's."""
    client = Client(given, security=security, timeout=seconds, set_as_default=False, name="nbgraph")
    # what is sent within 10 ms after another message waits for the rest of them: twice that for a quick session
    if hasattr(client.scheduler_comm, "interval"):
        cast(Any, client.scheduler_comm).interval = SEND_SECONDS
    return cast(DaskClient, client)


def is_client(given: object) -> bool:
    """Return whether this is a `Client` that waits for what it asks."""
    return isinstance(given, Client)


def has_fixed_workers(cluster: object) -> bool:
    """Return whether the number of workers of a cluster follows no load."""
    return isinstance(cluster, LocalCluster) and getattr(cluster, "_adaptive", None) is None


def start_cluster(workers: Mapping[int, Mapping[str, object]], silence: int) -> DaskCluster:
    """Start a cluster on this machine that only this machine can reach, with the options of each worker."""
    specs = {name: {"cls": Nanny, "options": dict(options)} for name, options in workers.items()}
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}}
    start = cast(Callable[..., object], SpecCluster)
    return cast(DaskCluster, start(workers=specs, scheduler=scheduler, silence_logs=silence, name="nbgraph"))


def scheduler_address(client: DaskClient) -> str:
    """Return the address of the scheduler."""
    return str(cast(Any, client).scheduler.address)


def scheduler_id(client: DaskClient) -> str:
    """Return the id of the scheduler, which another one at its address has not; "" while there is no connection."""
    real = cast(Any, client)
    return str(real._scheduler_identity.get("id", "")) if real.status == "running" else ""


def workers_of(client: DaskClient) -> dict[str, WorkerInfo]:
    """Return what the scheduler knows of each worker, by address."""
    return dict(cast(Any, client).scheduler_info()["workers"])


def lost_tasks(client: DaskClient, worker: str) -> set[str]:
    """Return the tasks that a worker was to run when the scheduler lost it, which the scheduler knows for an hour."""
    events = cast("Sequence[tuple[float, Mapping[str, Any]]]", cast(Any, client).get_events(worker) or ())
    return {str(key) for _, event in events for key in event.get("processing-tasks", ())}


def has_dashboard(client: DaskClient) -> bool:
    """Return whether the scheduler has a page of its own."""
    return "dashboard" in cast(Client, client).scheduler_info(n_workers=0)["services"]


def start_task(
    client: DaskClient,
    key: str,
    function: Callable[..., object],
    arguments: tuple[object, ...],
    workers: list[str],
    any_other: bool,
    resources: dict[str, float] | None,
    priority: int,
) -> DaskFuture:
    """Submit a task; with `workers` only to these, or, with `any_other`, to others if these are gone."""
    return client.submit(
        function,
        *arguments,
        key=key,
        workers=workers or None,
        allow_other_workers=bool(workers) and any_other,
        resources=resources,
        priority=priority,
        pure=False,
    )


def why_cancelled(error: BaseException) -> str:
    """Return the reason that Dask gives for a task that was cancelled; "" if it gives none."""
    return str(getattr(error, "reason", ""))


def call_on_worker(
    client: DaskClient, worker: str, then: Callable[[object], None], function: Callable[..., object], *arguments: object
) -> None:
    """Call a function on a worker; `then` gets what it returned or raised, on the thread of the event loop."""

    async def calling() -> None:
        try:
            answer = (await cast("Awaitable[dict[str, object]]", client.run(function, *arguments, workers=[worker])))[
                worker
            ]
        except Exception as error:
            answer = error
        then(answer)

    client.loop.add_callback(calling)


def register_worker_plugin(client: DaskClient, plugin: WorkerPlugin) -> None:
    """Have all workers set a plugin up, now and when they join."""
    cast(Client, client).register_plugin(plugin)


def unregister_worker_plugin(client: DaskClient, name: str) -> None:
    """Have all workers tear a plugin down; one that hangs, or just starts, does so after a while."""
    real = cast(Any, client)
    real.sync(real._unregister_worker_plugin, name=name, nanny=None, callback_timeout=CLOSE_SECONDS)


def this_worker() -> DaskWorker:
    """Return the worker that runs the task on this thread."""
    return cast(DaskWorker, get_worker())


def task_is_given_up(worker: DaskWorker) -> Callable[[], bool]:
    """Return a function that says whether the task on this thread was given up, or the worker closes."""
    real = cast(Worker, worker)
    key = real.get_current_task()

    def is_given_up() -> bool:
        task = real.state.tasks.get(key)
        return real.status not in RUNNING or task is None or task.state == "cancelled"

    return is_given_up


async def on_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a function on a thread of Dask's, beside the event loop."""
    return await offload(function, *arguments)


def packed(value: object) -> bytes:
    """Return a value as Dask sends it."""
    return bytes(_pickle.dumps(value))


def unpacked(data: bytes) -> object:
    """Return the value that a process of the same cluster packed."""
    return _pickle.loads(data)


def watch_head(client: DaskClient, studio: str, gone_seconds: float) -> bool:
    """Have the scheduler notice when this client is gone, so that workers close the studio.

    It drops the log of the studio's topic too, which would grow with each message.

    Returns
    -------
    bool
        False where the scheduler takes no code from clients.
    """
    try:
        cast(Client, client).register_plugin(_head_watch(client.id, studio, gone_seconds))
    except Exception:
        return False
    return True


def unwatch_head(client: DaskClient, studio: str) -> None:
    """End what `watch_head` began."""
    cast(Client, client).unregister_scheduler_plugin(studio)


def _head_watch(head: str, studio: str, gone_seconds: float) -> SchedulerPlugin:
    # a class of a function is sent as code, so that the scheduler needs no nbgraph
    class HeadWatch(SchedulerPlugin):
        name = studio

        async def start(self, scheduler: Scheduler) -> None:
            self.scheduler = scheduler

        def log_event(self, topic: str, msg: object) -> None:
            if topic == studio and (broker := getattr(self.scheduler, "_broker", None)) is not None:
                broker.truncate(topic)

        def remove_client(self, scheduler: Scheduler, client: str) -> None:
            if client == head:
                loop: Any = scheduler.loop
                loop.call_later(gone_seconds, self.forget)

        async def forget(self) -> None:
            # a client that lost its connection for a moment is there again, under its id
            if head in self.scheduler.clients:
                return
            with suppress(Exception):
                await self.scheduler.unregister_worker_plugin(comm=None, name=studio)
            with suppress(Exception):
                await self.scheduler.unregister_scheduler_plugin(name=studio)

    return HeadWatch()
