"""Defer the Stop button while a change must not be torn apart."""

import signal
from importlib import import_module
from threading import get_ident, main_thread
from types import FrameType
from typing import Any

# The functions of `signal` turn numbers and handlers into enums: 10 us a block, more than most blocks take.
_signal = import_module("_signal")


def defer_interrupt() -> "DeferredInterrupt":
    """Defer an interrupt (Stop, Ctrl-C) inside the `with` block until the block has ended.

    Python raises `KeyboardInterrupt` in the main thread between any two instructions, so only one of two changes that
    belong together could be made, or a lock stay held. In other threads this does nothing. Blocks may be nested.

    >>> with defer_interrupt() as interrupt:
    ...     interrupt.requested
    False
    """
    return DeferredInterrupt()


class DeferredInterrupt:
    """The block that `defer_interrupt` returns. Code that waits inside it polls `requested`, and gives up once set."""

    __slots__ = ("_previous", "requested")

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> "DeferredInterrupt":
        if get_ident() == main_thread().ident and _signal.getsignal(signal.SIGINT) is not None:
            self._previous = _signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        previous = self._previous
        if previous is None:
            return
        _signal.signal(signal.SIGINT, previous)
        # by the previous handler: that of an outer block defers the interrupt again
        if self.requested:
            if callable(previous):
                previous(signal.SIGINT, None)
            elif previous == signal.SIG_DFL:
                raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
