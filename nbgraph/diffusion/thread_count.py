"""How many threads torch computes with on the CPU.

Torch takes a thread for each core. That is right for a large model, on a busy machine too, as long as threads sleep
while they wait (see `nbgraph/threads.py`). The denoiser of a small model has steps of microseconds: beside other
programs each of them ends when its slowest thread was given a core. One thread may be quicker there, but it rounds
otherwise than several: a picture then differs from that of the plain pipeline, so nobody gets it without asking.
"""

import ctypes
import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import psutil
import torch

Threads = int | Literal["auto"] | None
COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which a person chooses how many threads there are."""
SMALL_BYTES = 64 * 2**20
"""A denoiser with fewer bytes of weights is small."""


@contextmanager
def thread_count(threads: Threads, denoiser_bytes: int) -> Generator[None]:
    """Within the block, let torch compute with so many threads where it is called from this thread of Python.

    Parameters
    ----------
    threads
        A number; None for as many as torch has; or "auto": one for a small denoiser, else as many as torch has, and so
        for every model where that number was chosen, by a variable of `COUNTS` or by `torch.set_num_threads`.
    denoiser_bytes
        Bytes of the weights of the denoiser that is used; 0 for none.
    """
    before = torch.get_num_threads()  # torch sets up its threads in the first call, and would undo what is set before
    wanted = before
    if isinstance(threads, int):
        wanted = threads
    elif threads == "auto" and 0 < denoiser_bytes < SMALL_BYTES and not _is_chosen(before):
        wanted = 1
    if wanted == before:
        yield
        return
    _set_count(wanted)
    try:
        yield
    finally:
        _set_count(before)


def _is_chosen(count: int) -> bool:
    """Return whether a person chose this number of threads: it is none that torch takes by itself."""
    return any(name in os.environ for name in COUNTS) or count not in _usual_counts()


def _usual_counts() -> set[int]:
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    return {os.cpu_count() or 1, psutil.cpu_count(logical=False) or 1, len(allowed)}


def _set_count(count: int) -> None:
    """Set the number of threads for this thread of Python.

    `torch.set_num_threads` would set it for every thread that has not called torch yet as well, a person's among them.
    """
    openmp = _openmp()
    if openmp is None:
        torch.set_num_threads(count)
    else:
        openmp.omp_set_num_threads(count)


@cache
def _openmp() -> Any | None:
    """Return the OpenMP library that torch is linked with; None where it cannot be reached through torch."""
    library: Any = torch
    linked = ctypes.CDLL(library._C.__file__)  # on Linux and macOS a name is looked for in what it is linked with, too
    return linked if hasattr(linked, "omp_set_num_threads") else None
