"""Events within one process."""

import logging
from collections.abc import Callable

from psygnal import Signal

from nbgraph.services.events.events_base import EventServiceBase, Listener
from nbgraph.services.events.events_common import Event

logger = logging.getLogger("nbgraph")


class EventServiceMemory(EventServiceBase):
    """Delivers by a psygnal signal, synchronously."""

    happened = Signal(object)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        def guarded(event: Event) -> None:
            try:
                listener(event)
            except Exception:
                logger.exception("a listener to events failed and is dropped")
                end()

        def end() -> None:
            self.happened.disconnect(guarded, missing_ok=True)

        self.happened.connect(guarded)
        return end

    def dispatch(self, event: Event) -> None:
        if len(self.happened):
            self.happened.emit_fast(event)

    @property
    def is_heard(self) -> bool:
        return len(self.happened) > 0
