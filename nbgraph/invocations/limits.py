"""Limits of what nodes make from small inputs, so that no graph fills the memory or runs forever."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

from nbgraph.errors import CancelledError, NbgraphError

MAX_TEXT = 10_000_000
"""The longest text a node makes, in characters."""
MAX_LIST = 1_000_000
"""The longest list a node makes from a number, or from lists."""
MAX_LISTED = 2**64
"""The largest magnitude of a whole number in a list that a node makes."""
_LOOK_EVERY = 256


def text_problem(length: int) -> str:
    """Return the problem of a text of that length; empty if there is none."""
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
    """Return the problem of numbers between which a list is made; empty if there is none."""
    if all(abs(number) <= MAX_LISTED for number in numbers):
        return ""
    return "makes a list of numbers beyond 2**64; use smaller ones"


@contextmanager
def bounded(seconds: float, is_cancelled: Callable[[], bool], what: str) -> Generator[None]:
    """Limit the time of a library's Python code that may never end.

    A profile function does it: it is called in the same thread, and may raise. So the errors are raised where the code
    calls a function or resumes a generator, not within one long call of C. The thread has no other profiler meanwhile.

    Parameters
    ----------
    seconds
        The time limit.
    is_cancelled
        Called every 256 function calls.
    what
        What the code does, for the errors: "finding the prompts".

    Raises
    ------
    NbgraphError
        The time is over.
    CancelledError
        `is_cancelled()` returned True.
    """
    ends, calls, before = monotonic() + seconds, 0, sys.getprofile()
    error: Exception | None = None

    def look(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls, error
        calls += 1
        # reading the clock at each call would slow the code down
        if calls % _LOOK_EVERY:
            return
        if is_cancelled():
            error = CancelledError(f"cancelled while {what}")
        elif monotonic() > ends:
            error = NbgraphError(f"took more than {seconds:g} s {what}; make it simpler")
        if error:
            sys.setprofile(before)
            raise error

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)
    if error:  # it came while something was deleted, where Python only reports errors
        raise error
