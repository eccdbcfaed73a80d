"""Events: state changes first, then whoever listens is told. Nothing in the engine depends on a listener."""

from abc import abstractmethod
from collections.abc import Callable

from nbgraph.services.events.events_common import Event
from nbgraph.services.service import Service

Listener = Callable[[Event], None]


class EventServiceBase(Service):
    """Hands events to listeners, in the thread in which they happen, in order.

    A listener that raises stops no run and stays: the first failure is a `NbgraphWarning`, the others are logged.
    """

    @abstractmethod
    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(event)` for every event from now on; returns what ends it."""

    @abstractmethod
    def dispatch(self, event: Event) -> None:
        """Tell every listener."""

    @property
    @abstractmethod
    def is_heard(self) -> bool:
        """Whether anybody listens; who makes many events may leave them out otherwise."""
