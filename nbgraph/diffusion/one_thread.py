"""Confine to one thread what loaders change for the whole process while they construct a module.

diffusers and transformers construct a model under `torch.set_default_dtype`: tensors that another thread makes at that
moment get the precision of the model that is loaded, and diffusers leaves it set if the construction fails.
accelerate's `init_empty_weights` replaces a method of every module: one that another thread builds at that moment is on
the meta device. Within the blocks of this module both hold in the calling thread alone.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import accelerate  # pyright: ignore[reportMissingTypeStubs]
import torch
from torch.overrides import TorchFunctionMode

_DTYPE_LOCK, _EMPTY_LOCK = threading.RLock(), threading.RLock()
_MAKES_FLOATS = frozenset({torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.linspace})
_MAKES_WHAT_IT_IS_GIVEN = frozenset({torch.tensor, torch.full, torch.arange})
"""These make floats of floats, and integers of integers."""


class _DefaultDtype(TorchFunctionMode):
    """Sets the dtype of floats that are made without one, in the thread that entered the mode and in no other."""

    def __init__(self, usual: torch.dtype) -> None:
        super().__init__()
        self.dtype = self._usual = usual

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given: dict[str, Any] = kwargs or {}
        if self.dtype == self._usual or given.get("dtype") is not None:
            return func(*args, **given)
        is_float = func in _MAKES_FLOATS or (
            func in _MAKES_WHAT_IT_IS_GIVEN and func(*args, **given).dtype == self._usual
        )
        return func(*args, **given | ({"dtype": self.dtype} if is_float else {}))


@contextmanager
def default_dtype_of_this_thread() -> Generator[None]:
    """Let `torch.set_default_dtype`, called in this thread within the block, hold in this thread and block alone."""
    with _DTYPE_LOCK:
        thread, set_for_all, get_for_all = threading.get_ident(), torch.set_default_dtype, torch.get_default_dtype
        mode = _DefaultDtype(get_for_all())

        def set_default_dtype(dtype: torch.dtype) -> None:
            if threading.get_ident() == thread:
                mode.dtype = dtype
            else:
                set_for_all(dtype)

        def get_default_dtype() -> torch.dtype:
            return mode.dtype if threading.get_ident() == thread else get_for_all()

        torch.set_default_dtype, torch.get_default_dtype = set_default_dtype, get_default_dtype
        try:
            with mode:
                yield
        finally:
            torch.set_default_dtype, torch.get_default_dtype = set_for_all, get_for_all


class EmptyWeights(TorchFunctionMode):
    """Within the block, on this thread, `torch.empty` gives tensors on meta, so that empty weights take no memory.

    Modules allocate their parameters by it. Computed buffers (tables of angles, positions) become real, unlike under
    `torch.device("meta")`, and modules that other threads build meanwhile are not affected.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.empty:
            return func(*args, **{**(kwargs or {}), "device": "meta"})
        return func(*args, **(kwargs or {}))


@contextmanager
def empty_weights_of_this_thread() -> Generator[None]:
    """Let accelerate's `init_empty_weights`, called within the block, hold in the calling thread alone."""
    with _EMPTY_LOCK:
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
