"""Models larger than the card: where the weights of a component are while it computes.

- `none`: on the device, and never moved from it for room.
- `component`: on the device while it is used; it goes back to RAM when the room is needed.
- `streaming`: in RAM; each block comes to the device for its own computation (diffusers' group offloading).

All give equal pictures. A fourth way, weights in 8 bits, changes pictures and so is a precision: `precision="fp8"`.
"""

from functools import lru_cache
from typing import Any, Literal, get_args

import torch
from diffusers.hooks.group_offloading import apply_group_offloading
from diffusers.models.modeling_utils import ModelMixin

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.device_memory import free_bytes
from nbgraph.diffusion.fingerprints import file_identity
from nbgraph.diffusion.model_files import choose_variant, read_header
from nbgraph.diffusion.patches import share_weights
from nbgraph.diffusion.single_files import part_header
from nbgraph.diffusion.sources import Source
from nbgraph.diffusion.weights_fit import has_weights
from nbgraph.errors import ModelError, suggest

OffloadMode = Literal["none", "component", "streaming"]
MODES: tuple[OffloadMode, ...] = get_args(OffloadMode)
AUTO = "auto"


def check_mode(mode: str) -> None:
    """Raise `ModelError` unless `mode` is `auto` or one of `MODES`."""
    if mode not in (AUTO, *MODES):
        raise ModelError(f"{mode!r} is no way to offload models{suggest(mode, (AUTO, *MODES))}")


def may_stream(description: ModelDescription, name: str) -> bool:
    """Return whether a component can be streamed: denoisers and text encoders, which have most of the weights."""
    is_denoiser = description.family is not None and name == description.family.denoiser
    return (is_denoiser or name.startswith("text_encoder")) and has_weights(description.classes[name])


def choose_mode(
    size: int, budget: int, device: torch.device, on_device: int, working: int | None = None
) -> OffloadMode:
    """Return the mode for a component of `size` bytes: streaming if it would not fit beside the working memory.

    `budget` is what models may take of the device, and `on_device` what they take of it now, which can be moved away.
    `working` is what computing will take beside the weights, where that is known; the budget leaves room for it
    otherwise. Where the device's memory is RAM there is nothing to gain from streaming.
    """
    free = free_bytes(device)
    if free is None:
        return "component"
    return "component" if size <= min(budget, free + on_device - (working or 0)) else "streaming"


def next_mode(mode: OffloadMode) -> OffloadMode | None:
    """Return the mode that takes less memory of the device than `mode`; None below the last."""
    after = MODES.index(mode) + 1
    return MODES[after] if after < len(MODES) else None


class Lowered:
    """Components that take less memory of a device since it ran out: in lower modes, or VAEs in tiles."""

    def __init__(self) -> None:
        self._modes: dict[tuple[str, str], OffloadMode] = {}
        self._tiled: set[str] = set()

    def mode(self, description: ModelDescription, name: str) -> OffloadMode | None:
        """Return the mode of a component; None if it never ran out of memory."""
        return self._modes.get((description.sources[name].fingerprint, name))

    def is_tiled(self, description: ModelDescription) -> bool:
        """Return whether the VAE of a model works in tiles."""
        return description.sources["vae"].fingerprint in self._tiled

    def step_down(self, description: ModelDescription, name: str, mode: OffloadMode) -> str:
        """Let a component, which is in a mode, take less; return what has changed, "" if it takes the least already."""
        source = description.sources[name].fingerprint
        if may_stream(description, name) and (lower := next_mode(mode)):
            self._modes[source, name] = lower
            return f"{name} in the mode {lower!r}"
        if name == "vae" and source not in self._tiled and hasattr(description.classes[name], "enable_tiling"):
            self._tiled.add(source)
            return "vae in tiles, which may leave faint seams"
        return ""


def stored_bytes(source: Source, dtype: torch.dtype, variant: str | None) -> int:
    """Return the bytes that a component takes in `dtype`, by the headers of its files; 0 where they cannot be read."""
    try:
        return _stored_values(source, variant, _identity(source)) * dtype.itemsize
    except (ModelError, OSError):
        return 0  # whoever loads it says what is wrong


def streamed(module: Any, device: torch.device) -> Any:
    """Return a copy of a module tree over the same weights whose blocks come to `device` one after the other.

    The hooks are on the copy: the module that it is made of, and other copies of it, compute as before. Two of them
    must not compute at the same time, since the weights that move are shared.
    """
    copied = share_weights(module)
    is_cuda = device.type == "cuda"
    options: dict[str, Any] = {"offload_type": "leaf_level"}
    if isinstance(copied, ModelMixin):
        options = {"offload_type": "block_level", "num_blocks_per_group": 1}
    if is_cuda:
        # Blocks are fetched while others compute; weights are pinned as they go, and not all at the beginning.
        options |= {"use_stream": True, "low_cpu_mem_usage": True}
    apply_group_offloading(copied, onload_device=device, offload_device=torch.device("cpu"), **options)
    return copied


def _identity(source: Source) -> tuple[Any, ...]:
    files = [source.file] if source.file is not None else sorted((source.folder or source.where).glob("*.safetensors"))
    return tuple(file_identity(file) for file in files)


@lru_cache(maxsize=256)
def _stored_values(source: Source, variant: str | None, identity: tuple[Any, ...]) -> int:
    del identity  # part of the key
    if source.file is not None:
        return sum(_values(tensor.shape) for tensor in part_header(source).values())
    if source.folder is None:
        return 0
    chosen = choose_variant(source.folder, variant)
    names = [file for file in source.folder.glob("*.safetensors") if (f".{chosen}" in file.name) == bool(chosen)]
    return sum(_values(tensor.shape) for file in names for tensor in read_header(file).values())


def _values(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count
