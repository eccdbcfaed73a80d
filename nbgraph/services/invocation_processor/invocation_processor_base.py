"""The processor: takes sessions from the queue and runs them, one at a time or more."""

from abc import abstractmethod
from collections.abc import Callable

from nbgraph.errors import GraphError, NodeError, OwnWorkerError
from nbgraph.latch import Latch
from nbgraph.services.service import Service
from nbgraph.services.shared.graph.execution_state import GraphExecutionState


class Cancel:
    """Whether a session is to stop; it refers to nothing."""

    __slots__ = ("requested",)

    def __init__(self) -> None:
        self.requested = False


class Ticket:
    """What a submitted session leaves with who submitted it: to wait, to cancel, to see what failed.

    An interrupt while waiting changes nothing for others who wait. On the thread that runs the sessions, which
    `is_worker` tells, nobody may wait for one that has not ended: it never would.
    """

    def __init__(self, session: GraphExecutionState, is_worker: Callable[[], bool], *, is_checked: bool = True) -> None:
        self.session, self.is_checked = session, is_checked
        self.refusal: GraphError | None = None
        """Why the session cannot run, if only the worker thread could find that out."""
        self._is_worker = is_worker
        self.cancel = Cancel()
        self.failures: list[NodeError] = []
        self.status = "pending"
        self._ended = Latch()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the session has ended, at most so long; whether it has.

        `OwnWorkerError` if it has not, inside a node that runs on the same thread, where only 0 seconds are allowed.
        """
        if not self._ended.is_open and seconds != 0 and self._is_worker():
            raise OwnWorkerError
        return self._ended.wait(seconds)

    def end(self, status: str, failures: list[NodeError]) -> None:
        """The session has ended; everybody who waits goes on."""
        self.failures, self.status = failures, status
        self._ended.open()


class InvocationProcessorBase(Service):
    """Runs what is in the queue. Cancel is a flag, tested between nodes and at each step of a long one.

    What several sessions of one kernel need is computed once, however many threads submit them at the same time.
    """

    @abstractmethod
    def submit(self, session: GraphExecutionState, *, prepend: bool = False, is_checked: bool = True) -> Ticket:
        """Queue a session and return at once. One that is not `is_checked` is checked before it runs."""

    @property
    @abstractmethod
    def is_worker(self) -> bool:
        """Whether this very thread runs the sessions, as inside a node; there is no waiting for one here."""

    @abstractmethod
    def cancel(self, session_id: str) -> bool:
        """Cancel a session that waits or runs; False if it has ended or was never submitted."""

    @abstractmethod
    def cancel_all(self) -> int:
        """Cancel everything that waits or runs; returns how many sessions."""

    @abstractmethod
    def pause(self) -> None:
        """Finish what runs and start nothing new."""

    @abstractmethod
    def resume(self) -> None:
        """Go on after `pause`."""

    @property
    @abstractmethod
    def is_paused(self) -> bool:
        """Whether nothing new is started."""
