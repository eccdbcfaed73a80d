"""Interrupts at every step of a call: what a person's Stop may hit, without leaving it to chance."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import nbgraph

ROOT = str(Path(nbgraph.__file__).parent)
SOAK = os.environ.get("NBGRAPH_SOAK") == "1"
MOST = 50_000


def interrupted_at_every_step(
    act: Callable[[], Any], stride: int = 1, only: str = ROOT, stop_after: int = MOST
) -> Iterator[int]:
    """Call `act` again and again, with an interrupt at its first instruction, its second, and so on.

    Only instructions of files below `only` count. A `stride` of 5 takes every fifth, for calls that are long; with
    NBGRAPH_SOAK=1 it is every one. Yields after each call in which the interrupt came; ends when `act` came through
    without one, or after so many interrupts where it never would. Runs in the main thread.
    """
    for step in islice(range(0, MOST, 1 if SOAK else stride), stop_after):
        if not _interrupted_at(act, step, only):
            return
        yield step
    if stop_after == MOST:
        raise AssertionError(f"more than {MOST} steps")


def _interrupted_at(act: Callable[[], Any], step: int, only: str) -> bool:
    left = step
    fired = False

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left, fired
        if not frame.f_code.co_filename.startswith(only):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not fired:
            if left == 0:
                fired = True
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
            left -= 1
        return trace

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.settrace(trace)
    try:
        act()
    except KeyboardInterrupt:
        assert fired
    finally:
        sys.settrace(None)
        signal.signal(signal.SIGINT, before)
    return fired
