"""Lists of callbacks, called when something changed or was deleted."""

import logging
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from nbgraph.errors import NbgraphWarning

Value = TypeVar("Value")
logger = logging.getLogger("nbgraph")


class Callbacks(Generic[Value]):
    """Callbacks, called in the order in which they were added, each with the same value.

    One that raises stops neither the others nor the caller, and stays subscribed: its first failure is reported as an
    `NbgraphWarning`, further ones are only logged.

    Parameters
    ----------
    failed
        The beginning of the warning; `{kind}` in it is the class of the value.
    """

    def __init__(self, failed: str = "a listener for changes failed at a {kind}") -> None:
        self.callbacks: tuple[Callable[[Value], None], ...] = ()
        self._failed = failed
        self._failing: tuple[Callable[[Value], None], ...] = ()

    def add(self, callback: Callable[[Value], None]) -> Callable[[], None]:
        """Add a callback; return a function that removes it."""
        # a new tuple each time, since a callback may add or remove others while they are called
        self.callbacks = (*self.callbacks, callback)
        return lambda: self.remove(callback)

    def remove(self, callback: Callable[[Value], None]) -> None:
        """Remove a callback; do nothing if it is not subscribed."""
        self.callbacks = tuple(each for each in self.callbacks if each is not callback)
        self._failing = tuple(each for each in self._failing if each is not callback)

    def __call__(self, value: Value) -> None:
        for callback in self.callbacks:
            try:
                callback(value)
            except Exception as error:
                self._report(callback, value, error)

    def _report(self, callback: Callable[[Value], None], value: Value, error: Exception) -> None:
        if any(each is callback for each in self._failing):
            logger.debug("a listener failed again", exc_info=True)
            return
        self._failing = (*self._failing, callback)
        logger.exception("a listener failed")
        text = f"{self._failed.format(kind=type(value).__name__)}: {type(error).__name__}: {error}"
        with suppress(Warning):  # a filter of the user may turn it into an error
            warnings.warn(
                f"{text}. It is called again at the next event, and what it shows may be incomplete; further failures "
                "of it are only logged",
                NbgraphWarning,
                stacklevel=3,
            )
