"""A default dtype for one thread: what loaders construct in another precision changes no picture drawn meanwhile.

diffusers and transformers construct a model under `torch.set_default_dtype`, which holds for the whole process: tensors
that another thread makes at that moment, while it draws, come out in the precision of the model that is loaded. And
diffusers leaves it so if the construction fails.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_LOCK = threading.RLock()
_MAKES_FLOATS = frozenset({torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.linspace})
_MAKES_WHAT_IT_IS_GIVEN = frozenset({torch.tensor, torch.full, torch.arange})
"""These make floats of floats, and integers of integers."""


class _DefaultDtype(TorchFunctionMode):
    """Gives floats that are made without a dtype that of the mode, in the thread that entered it and in no other."""

    def __init__(self, usual: torch.dtype) -> None:
        super().__init__()
        self.dtype = self._usual = usual

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if self.dtype == self._usual or given.get("dtype") is not None:
            return func(*args, **given)
        is_float = func in _MAKES_FLOATS or (
            func in _MAKES_WHAT_IT_IS_GIVEN and func(*args, **given).dtype == self._usual
        )
        return func(*args, **given | ({"dtype": self.dtype} if is_float else {}))


@contextmanager
def default_dtype_of_this_thread() -> Iterator[None]:
    """Let `torch.set_default_dtype`, called in this thread within the block, hold in this thread and block alone."""
    with _LOCK:
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
