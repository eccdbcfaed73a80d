"""Events within one process."""

from collections.abc import Callable

from nbgraph.services.events.events_base import EventServiceBase, Listener
from nbgraph.services.events.events_common import Event
from nbgraph.services.shared.callbacks import Callbacks


class EventServiceMemory(EventServiceBase):
    """Calls the listeners one after the other, in the thread in which the event happens."""

    def __init__(self) -> None:
        self._listeners: Callbacks[Event] = Callbacks("what shows or records runs failed at a {kind}")

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        return self._listeners.add(listener)

    def dispatch(self, event: Event) -> None:
        if self._listeners.callbacks:  # there is an event for every node: without a listener it costs one call
            self._listeners(event)

    @property
    def is_heard(self) -> bool:
        return bool(self._listeners.callbacks)
