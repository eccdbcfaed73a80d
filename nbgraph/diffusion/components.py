"""The components of a model that one operation is given: modules by name, and the description of their model."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.refs import Patch
from nbgraph.diffusion.working_sets import Working
from nbgraph.errors import ModelError, suggest

_BYTES_OF_A_TOKEN = 128
"""What an entry of a vocabulary takes, with its merge and its index: an estimate."""


@dataclass(frozen=True)
class Components:
    """Modules, tokenizers and the like by name, all on `device`, the denoiser in `dtype`.

    They are shared: whoever holds them reads them, and changes nothing in them.
    """

    model: ModelDescription
    modules: dict[str, Any]
    device: torch.device
    dtype: torch.dtype
    patches: tuple[Patch, ...] = ()
    tiled: bool = False
    """Whether the VAE works in tiles, since it ran out of memory before."""
    working: Working | None = None

    def watch(self, task: str, pixels: int) -> AbstractContextManager[None]:
        """Measure what a block takes of the device beside the weights, as one call of `task` with so many pixels."""
        return nullcontext() if self.working is None else self.working.watch(task, pixels)

    def __getitem__(self, name: str) -> Any:
        if name not in self.modules:
            raise ModelError(f"the component {name!r} was not asked for{suggest(name, self.modules)}")
        return self.modules[name]

    def __contains__(self, name: str) -> bool:
        return name in self.modules


def component_bytes(component: Any) -> int:
    """Return the bytes of the parameters and buffers of a module, shared ones counted once.

    0 for one without weights.
    """
    if not isinstance(component, torch.nn.Module):
        return 0
    return sum(tensor.nbytes for tensor in (*component.parameters(), *component.buffers()))


def added_bytes(patched: Any, plain: Any) -> int:
    """Return the bytes of the parameters and buffers that a patched module does not share with the plain one.

    A patched tokenizer shares nothing, and is counted by its vocabulary, so that it can be evicted.
    """
    if not isinstance(patched, torch.nn.Module):
        return _BYTES_OF_A_TOKEN * len(patched)
    shared = {id(tensor) for tensor in (*plain.parameters(), *plain.buffers())}
    return sum(t.nbytes for t in (*patched.parameters(), *patched.buffers()) if id(t) not in shared)
