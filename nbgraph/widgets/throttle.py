"""Throttle: many calls become few, in a thread of their own."""

import logging
from collections.abc import Callable
from threading import Lock, Timer
from time import monotonic

from nbgraph.services.shared.interrupts import defer_interrupt

logger = logging.getLogger(__name__)
QUIET_SECONDS = 0.02
UPDATE_SECONDS = 0.25


class Throttle:
    """Calls `act` some time after it was called itself; further calls until then are covered by the same `act`.

    Parameters
    ----------
    act
        Called without arguments, on a thread of its own. Its exceptions are logged.
    quiet
        Seconds without a call after which `act` is due.
    every
        The least seconds between two calls of `act`.
    latest
        Seconds after the first call when `act` runs although calls keep coming; by default `quiet` or `every`,
        whichever is longer.
    """

    def __init__(
        self,
        act: Callable[[], object],
        *,
        quiet: float = QUIET_SECONDS,
        every: float = UPDATE_SECONDS,
        latest: float | None = None,
    ) -> None:
        self._act, self._quiet, self._every = act, quiet, every
        self._latest = max(quiet, every) if latest is None else latest
        self._timer: Timer | None = None
        self._first = self._last = 0.0
        self._acted = monotonic() - every
        self._lock = Lock()

    def __call__(self) -> None:
        # An interrupt between the start of a thread and its first instruction would leave a timer that never fires.
        with defer_interrupt(), self._lock:
            self._last = monotonic()
            if self._timer is None:
                self._first = self._last
                self._arm()

    def flush(self) -> None:
        """Run `act` now, on this thread, if a call is waiting."""
        if self._stop_timer():
            self._run()

    def cancel(self) -> None:
        """Drop the waiting call."""
        self._stop_timer()

    def _stop_timer(self) -> bool:
        """Stop the timer; return whether there was one."""
        with self._lock:
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
                self._acted = monotonic()
            return timer is not None

    def _due(self) -> float:
        return min(max(self._last + self._quiet, self._acted + self._every), self._first + self._latest)

    def _arm(self) -> None:
        self._timer = Timer(max(0.0, self._due() - monotonic()), self._fire)
        self._timer.daemon = True
        self._timer.start()

    def _fire(self) -> None:
        with self._lock:
            if self._timer is None:
                return
            # Later calls have moved the time: one timer that looks again is cheaper than a thread for each call.
            if self._due() > monotonic():
                self._arm()
                return
            self._timer, self._acted = None, monotonic()
        self._run()

    def _run(self) -> None:
        try:
            self._act()
        except Exception:
            logger.exception("a throttled call failed")
