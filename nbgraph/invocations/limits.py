"""Bounds of what nodes make from small inputs, so that no graph fills the memory or never ends."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any

from nbgraph.errors import CancelledError, NbgraphError

MAX_TEXT = 10_000_000
"""The longest text a node makes, in characters."""
MAX_LIST = 1_000_000
"""The longest list a node makes from a mere number, or from lists."""
MAX_LISTED = 2**64
"""The largest whole number, and below zero the smallest, in a list that a node makes."""
_LOOK_EVERY = 256


def text_problem(length: int) -> str:
    """What is wrong with a text of that length, or an empty text."""
    if length <= MAX_TEXT:
        return ""
    return f"makes a text of {length:,} characters, and a node makes at most {MAX_TEXT:,}; join shorter ones"


def check_text(length: int) -> None:
    """Raise `NbgraphError` for a text over the limit, before it is made."""
    if problem := text_problem(length):
        raise NbgraphError(f"this {problem}")


def check_list(length: int) -> None:
    """Raise `NbgraphError` for a list over the limit, before it is made."""
    if length > MAX_LIST:
        raise NbgraphError(f"this makes a list of {length:,} items, and a node makes at most {MAX_LIST:,}; shorten it")


def numbers_problem(*numbers: int) -> str:
    """What is wrong with numbers between which a list is made, or an empty text."""
    if all(abs(number) <= MAX_LISTED for number in numbers):
        return ""
    return "makes a list of numbers beyond 2**64; take smaller ones"


@contextmanager
def bounded(seconds: float, is_cancelled: Callable[[], bool], what: str) -> Iterator[None]:
    """Run a library's Python code that may never end: `NbgraphError` after so many seconds, `CancelledError` on cancel.

    Both are raised where the code calls a function or goes on with a generator, so not within one long call of C. While
    it runs, this thread has no other profiler.
    """
    ends, calls, before = monotonic() + seconds, 0, sys.getprofile()

    def look(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += 1
        if calls % _LOOK_EVERY:
            return
        if is_cancelled():
            sys.setprofile(before)
            raise CancelledError(f"cancelled while {what}")
        if monotonic() > ends:
            sys.setprofile(before)
            raise NbgraphError(f"took more than {seconds:g} s {what}; make it simpler")

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)
