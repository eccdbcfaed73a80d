"""Modules without memory for their weights, built in one thread while others build and draw as always.

accelerate's `init_empty_weights`, which loaders of diffusers use, replaces a method of every module of the process: a
module that another thread builds at that moment comes out on the meta device. Here the same holds for one thread.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import accelerate  # pyright: ignore[reportMissingTypeStubs]
import torch
from torch.overrides import TorchFunctionMode

_LOCK = threading.RLock()


class EmptyWeights(TorchFunctionMode):
    """Inside, on this thread, memory that is not filled yet is not taken: `torch.empty` gives tensors on meta.

    Modules allocate their parameters so. What they compute (tables of angles, positions) becomes real, unlike under
    `torch.device("meta")`, and modules that other threads build meanwhile are left alone.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.empty:
            return func(*args, **{**(kwargs or {}), "device": "meta"})
        return func(*args, **(kwargs or {}))


@contextmanager
def empty_weights_of_this_thread() -> Generator[None]:
    """Let accelerate's `init_empty_weights`, called within the block, hold in the calling thread alone."""
    with _LOCK:
        loader, for_all = threading.get_ident(), accelerate.init_empty_weights

        def init_empty_weights(include_buffers: bool | None = None) -> Any:
            if threading.get_ident() != loader:
                return for_all(include_buffers)
            return EmptyWeights() if not include_buffers else nullcontext()

        accelerate.init_empty_weights = init_empty_weights
        try:
            yield
        finally:
            accelerate.init_empty_weights = for_all
