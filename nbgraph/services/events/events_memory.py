"""Events within one process."""

from collections.abc import Callable

from nbgraph.services.events.events_base import EventServiceBase, Listener
from nbgraph.services.events.events_common import Event
from nbgraph.services.shared.callbacks import Callbacks


class EventServiceMemory(EventServiceBase):
    """Calls the listeners one after the other, in the thread in which the event happens."""

    def __init__(self) -> None:
        self._listeners: Callbacks[Event] = Callbacks("what shows or records runs failed at a {kind}")
        self._of_nodes: Callbacks[Event] = Callbacks()  # those of the listeners that hear of each node

    def subscribe(self, listener: Listener, *, each_node: bool = True) -> Callable[[], None]:
        end = self._listeners.add(listener)
        if not each_node:
            return end
        end_of_nodes = self._of_nodes.add(listener)

        def unsubscribe() -> None:
            end()
            end_of_nodes()

        return unsubscribe

    def dispatch(self, event: Event) -> None:
        self._listeners(event)

    @property
    def hears_nodes(self) -> bool:
        return bool(self._of_nodes.callbacks)

    @property
    def is_heard(self) -> bool:
        return bool(self._listeners.callbacks)
