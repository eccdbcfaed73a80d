"""Sessions on the workers of a Dask cluster: the processor of a studio that was given one.

Any thread may call it. What happens to the sessions then is in `cluster_head.py`.
"""

import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import cast

from nbgraph.errors import ClusterError
from nbgraph.services.events.events_common import SessionFinished
from nbgraph.services.invocation_processor.cluster_common import WorkerRow
from nbgraph.services.invocation_processor.cluster_connection import LETTER_BYTES, Connection
from nbgraph.services.invocation_processor.cluster_flights import CellGroup
from nbgraph.services.invocation_processor.cluster_head import ClusterHead
from nbgraph.services.invocation_processor.cluster_host import installed_versions
from nbgraph.services.invocation_processor.cluster_messages import Job, Message, StudioFacts
from nbgraph.services.invocation_processor.cluster_session import missing_modules, modules_of, pickled_classes
from nbgraph.services.invocation_processor.group_runner import can_join
from nbgraph.services.invocation_processor.invocation_processor_base import SessionHandle
from nbgraph.services.invocation_processor.node_batches import BatchLimits
from nbgraph.services.invocation_processor.node_context import NodeContext
from nbgraph.services.invocation_processor.preflight import known_models
from nbgraph.services.service import InvokerLike
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.interrupts import defer_interrupt

STOP_SECONDS = 30.0


class InvocationProcessorDask(ClusterHead):
    """Sends sessions to workers, and puts what they send back into the services of this kernel."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._checked_modules: set[str] = set()
        self._limits = BatchLimits(connection.settings.batch_size, connection.settings.batch_pixels)
        self._close = weakref.finalize(self, _close_dropped, connection, self.id)

    def start(self, invoker: InvokerLike) -> None:
        """Let all workers open the studio."""
        super().start(invoker)
        self._open_on_workers()

    def _open_on_workers(self) -> None:
        database = self._all.database
        folder, kernel = ("", "") if database is None else (str(database.folder.root), database.kernel)
        settings = self.connection.settings.model_dump(mode="json")
        message_bytes = self.connection.watch(self.id)
        own = weakref.ref(self)

        def hear(message: Message) -> None:
            if (processor := own()) is not None:
                processor.hear(message)

        facts = StudioFacts(self.id, folder, kernel, settings, installed_versions(), message_bytes, LETTER_BYTES)
        self.connection.open(facts, hear)

    def stop(self) -> None:
        self._stopping = True
        self.cancel_all()
        if self._thread is not None:
            self._inbox.put(lambda: None)
            self._thread_ended.wait(STOP_SECONDS)
            self._thread = None
        if self._close.detach() is not None:
            self.connection.close(self.id)
        super().stop()

    def submit(
        self, session: GraphExecutionState, *, prepend: bool = False, is_checked: bool = True, group: object = None
    ) -> SessionHandle:
        job = self._job(session, is_checked)
        joined = group if isinstance(group, CellGroup) and can_join(session, self._limits) else None
        handle = SessionHandle(session, lambda: self.is_worker, is_checked=is_checked, group=joined)
        with defer_interrupt():
            with self._lock:
                self._handles[session.id] = handle, job
            try:
                self.services.graph_execution_manager.set(session)
                self.services.queue.put(session.id, prepend=prepend)
            except BaseException:
                self._forget(session.id)
                raise
            self._keep_working()
        return handle

    @contextmanager
    def group(self) -> Generator[object]:
        try:
            with self._taking:
                yield CellGroup()
        finally:
            self._inbox.put(self._dispatch)

    def _job(self, session: GraphExecutionState, is_checked: bool) -> Job:
        """Return what workers are sent; raises before anything is queued if it cannot be sent."""
        if self._stopping or not self._close.alive:
            raise ClusterError("this studio is closed; open another, such as nb.Studio(folder, cluster=...)")
        if not self.connection.is_open:
            self._open_on_workers()  # a scheduler that was started again knows nothing of the studio
        classes = list(session.plan.node_types)
        modules = modules_of(classes)
        self._check_modules(modules)
        context = NodeContext(self._all, session.id, lambda: False)
        models = {model.name: model.fingerprint for model in known_models(session, context)}
        return Job(
            session=session.to_dict(),
            part=None,
            is_checked=is_checked,
            modules=modules,
            classes=pickled_classes(classes),
            models=models,
            keys=None,
            is_cache_on=True,
            is_alone=False,
        )

    def _check_modules(self, names: list[str]) -> None:
        """Raise `ClusterError` with the workers that cannot import the modules of nodes."""
        new = [name for name in names if name not in self._checked_modules]
        if not new:
            return
        workers = self.connection.workers()
        found = cast("dict[str, list[str]]", self.connection.ask_all(missing_modules, new) if workers else {})
        lacking = {name: sorted(str(workers[each]["name"]) for each in found if name in found[each]) for name in new}
        if problems := [f"{name} (workers {', '.join(on)})" for name, on in lacking.items() if on]:
            text = f"workers cannot import the modules of some nodes: {', '.join(problems)}"
            raise ClusterError(f"{text}; put them into a package that is installed there")
        self._checked_modules |= set(new if workers else ())

    @property
    def is_worker(self) -> bool:
        return threading.current_thread() is self._thread

    def cancel(self, session_id: str) -> bool:
        found = self._handles.get(session_id)
        if found is None:
            return False
        handle, _ = found
        with defer_interrupt():
            handle.cancel.requested = True
            if self.services.queue.cancel(session_id):
                handle.session.cancel()
                self.services.events.dispatch(SessionFinished(session_id, "cancelled"))
                self._end(handle, "cancelled")
            else:
                self._inbox.put(partial(self._cancel, session_id))
        return True

    def cancel_all(self) -> int:
        with self._lock:
            open_sessions = list(self._handles)
        return sum(self.cancel(session_id) for session_id in open_sessions)

    def pause(self) -> None:
        self._paused = True
        self.services.queue.changed()

    def resume(self) -> None:
        self._paused = False
        self._inbox.put(self._dispatch)
        self.services.queue.changed()

    @property
    def is_paused(self) -> bool:
        return self._paused

    def worker_rows(self) -> list[WorkerRow]:
        """Return a row for each worker that the scheduler knows, by name."""
        runs: dict[str, str] = {}
        for leg in list(self._legs.values()):
            if leg.worker:
                runs.setdefault(leg.worker, leg.flight.id)
        rows = [
            self.connection.row(address, self.facts.get(address), runs.get(address, ""))
            for address in self.connection.workers()
        ]
        return sorted(rows)

    @property
    def scheduler(self) -> str:
        """The address of the scheduler."""
        return self.connection.scheduler

    @property
    def dashboard(self) -> str:
        """The link to Dask's dashboard; empty where there is none."""
        return self.connection.dashboard


def _close_dropped(connection: Connection, studio: str) -> None:
    """Close the connection of a studio that nobody closed, on a thread of its own.

    The collector may call this on the thread of Dask's event loop, which closing waits for, or on one that holds a lock
    that the loop needs.
    """
    if threading.main_thread().is_alive():
        threading.Thread(target=connection.close, args=(studio,), name="nbgraph close", daemon=True).start()
    else:  # the process ends, and would not wait for another thread
        connection.close(studio)
