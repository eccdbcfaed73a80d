"""Events: state changes first, then listeners are called. Nothing in the engine depends on a listener."""

from abc import abstractmethod
from collections.abc import Callable

from nbgraph.services.events.events_common import Event
from nbgraph.services.service import Service

Listener = Callable[[Event], None]


class EventServiceBase(Service):
    """Passes events to listeners in order, on the thread in which they happen.

    A listener that raises stops no run and stays subscribed: its first failure is a `NbgraphWarning`, later ones are
    logged.
    """

    @abstractmethod
    def subscribe(self, listener: Listener, *, each_node: bool = True) -> Callable[[], None]:
        """Call `listener(event)` for every event from now on.

        Parameters
        ----------
        listener
            Called on the thread that runs the session.
        each_node
            False for a listener that reads the log of `SessionStarted`, and may miss `NodeStarted` and `NodeCompleted`.

        Returns
        -------
        Callable
            A function that unsubscribes.
        """

    @abstractmethod
    def dispatch(self, event: Event) -> None:
        """Call every listener with an event.

        Parameters
        ----------
        event
            What happened, in a session or to a model. Listeners share it: they read it only.
        """

    @property
    @abstractmethod
    def hears_nodes(self) -> bool:
        """True if a listener wants `NodeStarted` and `NodeCompleted`."""

    @property
    @abstractmethod
    def is_heard(self) -> bool:
        """True if there is a listener; otherwise producers of many events may skip them."""
