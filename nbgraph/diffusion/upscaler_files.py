"""Files of upscalers: compact ones, and the many architectures that spandrel recognises by their weights.

spandrel is an extra (`pip install nbgraph[upscale]`). Files are safetensors only; the header says what they are.
"""

import functools
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from nbgraph.diffusion.compact_upscaler import CompactUpscaler
from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.file_headers import NotWeights
from nbgraph.diffusion.file_tensors import open_weights
from nbgraph.diffusion.fingerprints import file_identity
from nbgraph.diffusion.model_files import StoredTensor, read_header
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.sources import Source
from nbgraph.diffusion.what_is import compact_shape, header_of, what_is
from nbgraph.errors import ModelError

ROLE = "upscaler"
_UNKNOWN = "unknown file"
"""What `what_is` calls weights of no model that it knows; spandrel knows most architectures of upscalers."""
_TYPES = {"F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16}
_NEEDED = "an upscaler of this kind needs the package spandrel: pip install 'nbgraph[upscale]'"


class Upscaler(torch.nn.Module):
    """A network that enlarges images by `scale`, 1 for one that restores them."""

    def __init__(
        self, network: torch.nn.Module, call: Callable[[Tensor], Tensor], scale: int, takes_tiles: bool
    ) -> None:
        """Wrap a network; `call` runs it on images, and pads them to what the architecture needs."""
        super().__init__()
        self.network, self._call, self.scale, self.takes_tiles = network, call, scale, takes_tiles

    @property
    def dtype(self) -> torch.dtype:
        """The precision of its weights."""
        return next(self.network.parameters()).dtype

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> (B, 3, h * scale, w * scale) in [0, 1]."""
        weight = next(self.network.parameters())
        return self._call(image.to(weight.device, weight.dtype))


def describe_if_upscaler(path: Path, fingerprint: str) -> ModelDescription | None:
    """Return the description of an upscaler; None for a file that is none, as far as its header shows.

    Raises
    ------
    ModelError
        It is one, and spandrel is not installed.
    """
    facts, header = what_is(path), header_of(path, file_identity(path))
    if facts.kind not in (ROLE, _UNKNOWN) or isinstance(header, NotWeights) or header.format != "safetensors":
        return None
    is_compact = compact_shape(header.tensors) is not None
    if not is_compact and find_spec("spandrel") is None:
        if facts.kind == ROLE:
            raise ModelError(f"{str(path)!r} is an upscaler, and {_NEEDED}")
        return None
    if not is_compact and _architecture(header.tensors) is None:
        return None
    source = Source(str(path), fingerprint, file=path, part=ROLE, given={}, content=f"{fingerprint} {ROLE}")
    return ModelDescription(path, None, {ROLE: Upscaler}, {}, 0, 1, 1, 0, 0, None, {ROLE: source})


def load_upscaler(source: Source, dtype: torch.dtype) -> Upscaler:
    """Load an upscaler on the CPU, in `dtype` where its architecture is right in it, else in float32.

    Raises
    ------
    ModelError
        It takes or gives other than red, green and blue, or inpaints or restores faces by another kind of input.
    """
    tensors = _read(source.where)
    if (shape := compact_shape(read_header(source.where))) is not None:
        return _compact(tensors, shape, dtype)
    try:
        with quiet():
            described = _spandrel().ModelLoader(device="cpu").load_from_state_dict(tensors)
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"{str(source.where)!r} cannot be loaded as an upscaler: {reason}; it may be damaged, or of a variant that "
            "the installed spandrel does not know"
        ) from error
    kind = type(described).__name__
    channels = (getattr(described, "input_channels", 0), getattr(described, "output_channels", 0))
    if kind != "ImageModelDescriptor" or channels != (3, 3):
        raise ModelError(
            f"{str(source.where)!r} is a {described.architecture.name} that takes {channels[0]} and gives "
            f"{channels[1]} channels; use an upscaler of colour images, 3 to 3"
        )
    made: Any = described
    upscaler = Upscaler(made.model, made, made.scale, made.tiling.name == "SUPPORTED").eval().requires_grad_(False)
    half = {torch.float16: described.supports_half, torch.bfloat16: described.supports_bfloat16}
    return upscaler.to(dtype if half.get(dtype, False) else torch.float32)


def _compact(tensors: dict[str, Tensor], shape: tuple[int, int, int], dtype: torch.dtype) -> Upscaler:
    with torch.device("meta"):
        network = CompactUpscaler(*shape)
    network.load_state_dict({name: tensor.to(dtype) for name, tensor in tensors.items()}, assign=True)

    def call(image: Tensor) -> Tensor:
        return network(image).clamp(0, 1)

    return Upscaler(network, call, shape[2], True).eval().requires_grad_(False)


def _read(file: Path) -> dict[str, Tensor]:
    """Read all tensors, copied: the file is mapped into memory, and may change or get shorter later."""
    try:
        with open_weights(file) as opened:
            return {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{str(file)!r} cannot be read: {error}. Copy or download it again") from error


def _architecture(tensors: Mapping[str, StoredTensor]) -> Any:
    """Return the architecture whose names and shapes a header has; None for none. No weight is read."""
    state = {
        name: torch.empty(tensor.shape, dtype=_TYPES.get(tensor.dtype, torch.float32), device="meta")
        for name, tensor in tensors.items()
    }
    spandrel = _spandrel()
    state = spandrel.canonicalize_state_dict(state)
    found = spandrel.MAIN_REGISTRY.architectures("detection")
    return next((each for each in found if each.detect(state)), None)


@functools.cache
def _spandrel() -> Any:
    try:
        with quiet():
            return import_module("spandrel")
    except (ImportError, RuntimeError) as error:
        raise ModelError(
            f"the package spandrel cannot be imported: {error}; it needs the torchvision that belongs to your torch"
        ) from error
