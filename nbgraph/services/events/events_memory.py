"""Events within one process."""

import logging
import warnings
from collections.abc import Callable
from contextlib import suppress

from nbgraph.errors import NbgraphWarning
from nbgraph.services.events.events_base import EventServiceBase, Listener
from nbgraph.services.events.events_common import Event
from nbgraph.services.shared.callbacks import Callbacks

logger = logging.getLogger("nbgraph")


class EventServiceMemory(EventServiceBase):
    """Calls the listeners one after the other, in the thread in which the event happens."""

    def __init__(self) -> None:
        self._listeners: Callbacks[Event] = Callbacks()
        self._failed: tuple[Listener, ...] = ()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        unsubscribe = self._listeners.add(listener)

        def end() -> None:
            unsubscribe()
            self._failed = tuple(each for each in self._failed if each is not listener)

        return end

    def dispatch(self, event: Event) -> None:
        for listener in self._listeners.callbacks:
            try:
                listener(event)
            except Exception as error:
                self._report(listener, event, error)

    def _report(self, listener: Listener, event: Event, error: Exception) -> None:
        """Tell the person that a listener failed, the first time; a run must not fail for it."""
        if any(each is listener for each in self._failed):
            logger.debug("a listener to events failed again", exc_info=True)
            return
        self._failed = (*self._failed, listener)
        logger.exception("a listener to events failed")
        text = f"{type(error).__name__}: {error}"
        with suppress(Warning):  # a filter may turn it into an error
            warnings.warn(
                f"what shows or records runs failed at a {type(event).__name__}: {text}. It goes on with the next "
                "event, and what it shows may be incomplete; further failures of it are only logged",
                NbgraphWarning,
                stacklevel=2,
            )

    @property
    def is_heard(self) -> bool:
        return bool(self._listeners.callbacks)
