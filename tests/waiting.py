"""Waiting for what another thread or process does: as long as a busy machine may take, and no longer than needed."""

from collections.abc import Callable
from time import monotonic, sleep

from nbgraph import loading

PATIENCE = 60.0
"""Seconds after which what has not happened never will."""


def comes_true(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Return whether a condition holds, now or within some seconds."""
    end = monotonic() + seconds
    while not condition() and monotonic() < end:
        sleep(0.01)
    return bool(condition())


def imports_have_ended() -> bool:
    """Return whether no module is being imported any more: one that an earlier test began holds the collector."""
    return comes_true(lambda: not loading._started)
