"""Sessions on one worker thread of this process."""

import logging
import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic

from nbgraph.errors import CancelledError, GraphError, IterationLimitError, NodeError, StoreError
from nbgraph.latch import Bell, Latch
from nbgraph.loading import looking_while_waiting
from nbgraph.services.events.events_common import SessionFinished, SessionWaits
from nbgraph.services.invocation_processor.batch_runner import runner_of
from nbgraph.services.invocation_processor.group_runner import Cell, CellRunner, GroupRunner, can_join
from nbgraph.services.invocation_processor.invocation_processor_base import InvocationProcessorBase, SessionHandle
from nbgraph.services.invocation_processor.node_batches import BatchLimits, HeldNode
from nbgraph.services.invocation_queue.invocation_queue_common import QueueItem, QueueStatus
from nbgraph.services.neighbours import Events
from nbgraph.services.service import InvokerLike
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.interrupts import defer_interrupt

logger = logging.getLogger("nbgraph")
IDLE_SECONDS = 1.0
STOP_SECONDS = 30.0


class InvocationProcessorDefault(InvocationProcessorBase):
    """One daemon thread; it starts with a session, waits for the next one, and ends after a second without any.

    As one thread runs all sessions of a kernel one after the other, what two of them need is computed once: the first
    computes it, the second finds it in the cache. Kernels that share a folder run beside each other, and may both
    compute what neither has finished; each has its own resources then, and the cache keeps the first result. That costs
    time and is never wrong, where one kernel waiting for another would stand still when that one is stopped or hangs.
    """

    def __init__(self, batches: BatchLimits = BatchLimits()) -> None:  # noqa: B008 - it is frozen
        self._batches = batches
        self._handles: dict[str, SessionHandle] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._thread_ended = Latch()
        self._stopping = False
        self._paused = False
        self._taken: SessionHandle | None = None
        """A session that was taken from the queue, and is next."""
        self._taking = threading.Lock()

    def start(self, invoker: InvokerLike) -> None:
        super().start(invoker)
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True
        self.cancel_all()
        if self._thread is not None:
            self.services.queue.bell.ring()
            self._thread_ended.wait(STOP_SECONDS)  # an interrupt of `Thread.join` would mark a live thread as dead
            self._thread = None
        super().stop()

    def submit(
        self, session: GraphExecutionState, *, prepend: bool = False, is_checked: bool = True, group: object = None
    ) -> SessionHandle:
        joined = group if group is not None and can_join(session, self._batches) else None
        handle = SessionHandle(session, lambda: self.is_worker, is_checked=is_checked, group=joined)
        with defer_interrupt():
            with self._lock:
                self._handles[session.id] = handle
            try:
                self.services.graph_execution_manager.set(session)
                self.services.queue.put(session.id, prepend=prepend)
            except BaseException:
                self._forget(handle)
                raise
            self._keep_working()
        return handle

    @contextmanager
    def group(self) -> Generator[object]:
        # without it the first session would begin, alone, before the second is queued
        with self._taking:
            yield object()

    @property
    def is_worker(self) -> bool:
        return threading.current_thread() is self._thread

    def cancel(self, session_id: str) -> bool:
        handle = self._handles.get(session_id)
        if handle is None:
            return False
        with defer_interrupt():
            handle.cancel.requested = True
            if self.services.queue.cancel(session_id):
                handle.session.cancel()
                self.services.events.dispatch(SessionFinished(session_id, "cancelled"))
                self._close(handle, "cancelled")
        return True

    def cancel_all(self) -> int:
        return sum(self.cancel(handle.session.id) for handle in self._open_handles())

    def pause(self) -> None:
        self._paused = True
        self.services.queue.changed()

    def resume(self) -> None:
        self._paused = False
        self.services.queue.bell.ring()
        self.services.queue.changed()

    @property
    def is_paused(self) -> bool:
        return self._paused

    def _keep_working(self) -> None:
        with self._lock:
            if self._thread is None or self._thread_ended.is_open:
                ended, bell = Latch(), self.services.queue.bell
                own = weakref.ref(self, lambda _: bell.ring())
                self._thread_ended = ended
                self._thread = threading.Thread(
                    target=_work, args=(own, bell, ended), name="nbgraph worker", daemon=True
                )
                self._thread.start()

    def take_sessions(self) -> bool:
        """Run what waits, on the worker thread; if that itself fails, nobody is left waiting. False to end the thread.

        A thread that failed ends, and the next session starts another.
        """
        try:
            self._take_sessions()
        except BaseException as error:
            logger.exception("the worker thread ended")
            text = f"the worker thread ended: {type(error).__name__}: {error}; the next run starts another"
            for handle in self._open_handles():
                handle.failures.append(NodeError(handle.session.id, "session", text, {}))
                self._close(handle, "failed")
            return False
        return not self._stopping

    def _take_sessions(self) -> None:
        while not (self._stopping or self._paused):
            handle = self._next_ticket()
            if handle is None:
                return
            if handle.group is None:
                self._run(handle)
            else:
                self._run_group(handle)
            del handle  # nor is it held while the queue is asked for the next one

    def _next_ticket(self) -> SessionHandle | None:
        """Take the next session of the queue that was submitted here; None if there is none."""
        handle, self._taken = self._taken, None
        while handle is None:
            with self._taking:
                item = self._take()
            if item is None:
                return None
            handle = self._handles.get(item.session_id)
        return handle

    def may_end(self) -> bool:
        """Return whether the worker thread has nothing to do, and may end; the next session starts another."""
        with self._lock:
            if self._stopping or not self._handles:
                self._thread = None
                return True
        return False

    def _take(self) -> QueueItem | None:
        try:
            return self.services.queue.take()
        except StoreError as error:
            logger.warning("the queue cannot be read now: %s", error)
            return None

    def _run(self, handle: SessionHandle) -> None:
        status: QueueStatus = "failed"
        try:
            with self.services.retention.running():
                status = self._run_and_note(handle)
            self.services.retention.ended(handle.session)
        finally:
            self._close(handle, status)

    def _run_group(self, first: SessionHandle) -> None:
        """Run a session, and those behind it in the queue that belong to its group."""
        group, waiting, ended = first.group, [first], list[GraphExecutionState]()

        def take() -> Cell | None:
            if not waiting and (self._stopping or self._paused):
                return None
            handle = waiting.pop() if waiting else self._next_ticket()
            if handle is None or handle.group is not group:
                self._taken = handle  # it is next when the group has ended
                return None
            ended.append(handle.session)
            cancel = handle.cancel
            runner = CellRunner(handle.session, self.services, lambda: cancel.requested)
            waiting_shown = _Waiting(handle, self.services.events)
            return Cell(runner, self._steps(handle, runner), lambda: looking_while_waiting(waiting_shown))

        del first
        with self.services.retention.running():
            GroupRunner(take, self.services, self._batches).run()
        for session in ended:
            self.services.retention.ended(session)

    def _steps(self, handle: SessionHandle, runner: CellRunner) -> Generator[HeldNode]:
        """Run a session of a group to its end; yield each node that may share a call."""
        outcome = _Outcome()
        try:
            with self._noted(handle, outcome):
                handle.failures = runner.failures
                yield from runner.steps(is_checked=handle.is_checked)
        finally:
            self._close(handle, outcome.status)

    def _run_and_note(self, handle: SessionHandle) -> QueueStatus:
        outcome = _Outcome()
        with self._noted(handle, outcome):
            cancel = handle.cancel  # not the handle: what nodes keep of their context would keep the session
            runner = runner_of(handle.session, self.services, lambda: cancel.requested, self._batches)
            handle.failures = runner.failures
            with looking_while_waiting(_Waiting(handle, self.services.events)):
                runner.run(is_checked=handle.is_checked)
        return outcome.status

    @contextmanager
    def _noted(self, handle: SessionHandle, outcome: "_Outcome") -> Generator[None]:
        """Note the start and the end of a session that the block runs, and why it could not be run."""
        session, began = handle.session, monotonic()
        self.services.note(f"run {session.id} started, {len(session.graph.nodes)} nodes")
        try:
            yield
            outcome.status = session.status  # type: ignore[assignment]
        except IterationLimitError as refused:
            logger.info("session %s: %s", session.id, refused)
        except GraphError as refused:
            handle.refusal = refused
        except BaseException as error:
            logger.exception("session %s could not be run", session.id)
            session.errors.setdefault("session", f"{type(error).__name__}: {error}")
        finally:
            self._note_end(session, outcome.status)
            for failure in handle.failures:
                text = f"run {session.id}: {failure.node} ({failure.type}): {failure.message}\n{failure.traceback}"
                self.services.note(text, logging.ERROR)
            self.services.note(f"run {session.id} {outcome.status} after {monotonic() - began:.2f} s")

    def _note_end(self, session: GraphExecutionState, status: QueueStatus) -> None:
        """Store how a session ended. A failure is only logged, so that those who wait for it are released."""
        try:
            self.services.queue.finish(session.id, status, next(iter(session.errors.values()), ""))
            self.services.graph_execution_manager.set(session)
            self.services.invocation_cache.flush()
            self.services.performance_statistics.flush()
        except Exception:
            logger.exception("the end of session %s could not be stored", session.id)

    def _close(self, handle: SessionHandle, status: str) -> None:
        self._forget(handle)
        handle.end(status, handle.failures)

    def _forget(self, handle: SessionHandle) -> None:
        with defer_interrupt(), self._lock:
            # a session that was resumed meanwhile has another one
            if self._handles.get(handle.session.id) is handle:
                del self._handles[handle.session.id]

    def _open_handles(self) -> list[SessionHandle]:
        with defer_interrupt(), self._lock:
            return list(self._handles.values())


class _Outcome:
    """How a session ended; it has failed until something else is known."""

    def __init__(self) -> None:
        self.status: QueueStatus = "failed"


class _Waiting:
    """Shows for what a session waits while a module is loaded, and ends the waiting if the session is cancelled."""

    def __init__(self, handle: SessionHandle, events: Events) -> None:
        self._handle, self._events = handle, events
        self._shown = ""

    def __call__(self, module: str) -> None:
        message = waiting_message(module)
        if message != self._shown:
            self._shown = message
            self._events.dispatch(SessionWaits(self._handle.session.id, message))
        if module and self._handle.cancel.requested:
            raise CancelledError(f"cancelled while {message}")


def waiting_message(module: str) -> str:
    """Return the message for a module that is being loaded; empty once it is."""
    if not module:
        return ""
    is_large = module.startswith("nbgraph.diffusion.")
    return f"loading {'torch and diffusers' if is_large else module.partition('.')[0]} ..."


def _work(own: "weakref.ref[InvocationProcessorDefault]", bell: Bell, ended: Latch) -> None:
    """Run the worker thread. Between sessions it refers to nothing, so that an unused studio can be freed."""
    try:
        while (processor := own()) is not None and processor.take_sessions():
            del processor
            if not bell.wait(IDLE_SECONDS) and ((processor := own()) is None or processor.may_end()):
                return
    finally:
        ended.open()
