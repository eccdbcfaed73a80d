"""Silence diffusers and transformers: what matters is raised or returned."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager

import diffusers
import transformers

_LOCK = threading.Lock()
_depth = 0
_levels: tuple[int, int, bool] = (0, 0, False)


@contextmanager
def quiet() -> Generator[None]:
    """Silence the logs and progress bars of both libraries until the last block that asked for it ends."""
    global _depth, _levels
    ours, theirs = diffusers.utils.logging, transformers.utils.logging
    with _LOCK:
        if _depth == 0:
            _levels = (ours.get_verbosity(), theirs.get_verbosity(), theirs.is_progress_bar_enabled())
            ours.set_verbosity(logging.CRITICAL)
            theirs.set_verbosity(logging.CRITICAL)
            theirs.disable_progress_bar()
        _depth += 1
    try:
        yield
    finally:
        with _LOCK:
            _depth -= 1
            if _depth == 0:
                ours.set_verbosity(_levels[0])
                theirs.set_verbosity(_levels[1])
                if _levels[2]:
                    theirs.enable_progress_bar()
