"""Events within one process."""

import logging
from collections.abc import Callable

from nbgraph.services.events.events_base import EventServiceBase, Listener
from nbgraph.services.events.events_common import Event
from nbgraph.services.shared.callbacks import Callbacks

logger = logging.getLogger("nbgraph")


class EventServiceMemory(EventServiceBase):
    """Calls the listeners one after the other, in the thread in which the event happens."""

    def __init__(self) -> None:
        self._listeners: Callbacks[Event] = Callbacks()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        return self._listeners.add(listener)

    def dispatch(self, event: Event) -> None:
        for listener in self._listeners.callbacks:
            try:
                listener(event)
            except Exception:
                logger.exception("a listener to events failed and is dropped")
                self._listeners.remove(listener)

    @property
    def is_heard(self) -> bool:
        return bool(self._listeners.callbacks)
