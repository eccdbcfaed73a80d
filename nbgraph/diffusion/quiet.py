"""Keeps diffusers and transformers from talking while they are driven: what matters is raised or returned."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import diffusers
import transformers

_LOCK = threading.Lock()
_DEPTH = 0
_LEVELS: tuple[int, int, bool] = (0, 0, False)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the logs and progress bars of both libraries until the last block that asked for it ends."""
    global _DEPTH, _LEVELS
    ours, theirs = diffusers.utils.logging, transformers.utils.logging
    with _LOCK:
        if _DEPTH == 0:
            _LEVELS = (ours.get_verbosity(), theirs.get_verbosity(), theirs.is_progress_bar_enabled())
            ours.set_verbosity(logging.CRITICAL)
            theirs.set_verbosity(logging.CRITICAL)
            theirs.disable_progress_bar()
        _DEPTH += 1
    try:
        yield
    finally:
        with _LOCK:
            _DEPTH -= 1
            if _DEPTH == 0:
                ours.set_verbosity(_LEVELS[0])
                theirs.set_verbosity(_LEVELS[1])
                if _LEVELS[2]:
                    theirs.enable_progress_bar()
