"""The processor: takes sessions from the queue and runs them."""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager

from nbgraph.errors import GraphError, NodeError, OwnWorkerError
from nbgraph.latch import Latch
from nbgraph.services.service import Service
from nbgraph.services.shared.graph.execution_state import GraphExecutionState


class Cancel:
    """The cancel flag of a session. It refers to nothing, so that nodes may hold it."""

    __slots__ = ("requested",)

    def __init__(self) -> None:
        self.requested = False


class SessionHandle:
    """The handle of a submitted session: wait for it, cancel it, read its failures.

    An interrupted waiter does not affect others. A node must not wait for a session of its own worker thread: it would
    wait for itself.
    """

    def __init__(
        self,
        session: GraphExecutionState,
        is_worker: Callable[[], bool],
        *,
        is_checked: bool = True,
        group: object = None,
    ) -> None:
        self.session, self.is_checked, self.group = session, is_checked, group
        self.refusal: GraphError | None = None
        """Why the session cannot run, if only the worker thread could find that out."""
        self._is_worker = is_worker
        self.cancel = Cancel()
        self.failures: list[NodeError] = []
        self.status = "pending"
        self._ended = Latch()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the session has ended.

        Parameters
        ----------
        seconds
            The longest to wait; None waits without limit, 0 only asks.

        Returns
        -------
        bool
            Whether the session has ended.

        Raises
        ------
        OwnWorkerError
            Called inside a node, on the thread that runs sessions, for a session that has not ended.
        """
        if not self._ended.is_open and seconds != 0 and self._is_worker():
            raise OwnWorkerError
        return self._ended.wait(seconds)

    def end(self, status: str, failures: list[NodeError]) -> None:
        """Record how the session ended, and wake everybody who waits.

        Parameters
        ----------
        status
            `completed`, `failed` or `cancelled`.
        failures
            The errors of the nodes that failed, in order.
        """
        self.failures, self.status = failures, status
        self._ended.open()


class InvocationProcessorBase(Service):
    """Runs queued sessions. Cancel is a flag, tested between nodes and at each step of a long one.

    What several sessions of one kernel need at the same time is computed once.
    """

    @abstractmethod
    def submit(
        self, session: GraphExecutionState, *, prepend: bool = False, is_checked: bool = True, group: object = None
    ) -> SessionHandle:
        """Queue a session and return at once.

        Parameters
        ----------
        session
            The session to run.
        prepend
            Run it before what is already waiting.
        is_checked
            False if the session could not be checked completely yet; the worker then checks it before it runs.
        group
            The same object for sessions whose nodes may share calls of a model, such as the cells of a sweep; None for
            a session that runs alone.
        """

    @abstractmethod
    def group(self) -> AbstractContextManager[object]:
        """Return a context that gives a new group: sessions submitted to it within the block begin after the block."""

    @property
    @abstractmethod
    def is_worker(self) -> bool:
        """True on a thread that runs sessions, as inside a node."""

    @abstractmethod
    def cancel(self, session_id: str) -> bool:
        """Cancel a waiting or running session.

        Returns
        -------
        bool
            False if it has ended or was never submitted.
        """

    @abstractmethod
    def cancel_all(self) -> int:
        """Cancel all waiting and running sessions; return how many."""

    @abstractmethod
    def pause(self) -> None:
        """Finish the running session and start no other."""

    @abstractmethod
    def resume(self) -> None:
        """Start sessions again after `pause`."""

    @property
    @abstractmethod
    def is_paused(self) -> bool:
        """True while no session is started."""
