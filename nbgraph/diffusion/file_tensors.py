"""Tensors out of weight files, as plain floating point numbers: stored so, or multiplied by their scales."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nbgraph.diffusion.file_headers import FileHeader
from nbgraph.diffusion.weights_fit import check_types
from nbgraph.errors import ModelError


def check_readable(file: Path, header: FileHeader) -> None:
    """`ModelError` when the values of a file cannot be read here, with the package or version that is needed."""
    check_types(f"the weights in {str(file)!r}", header.tensors)


def read_tensors(file: Path, header: FileHeader, names: Sequence[str], dtype: torch.dtype) -> dict[str, Tensor]:
    """The named tensors, floating point ones in `dtype`, in memory of their own.

    Raises
    ------
    ModelError
        When the file cannot be read, or its values need something that is not here.
    """
    check_readable(file, header)
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            return {name: _plain(opened.get_tensor(name), dtype) for name in names}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{str(file)!r} cannot be read: {error}. Copy or download it again") from error


def _plain(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy, as the file that is mapped into memory may change or get shorter later."""
    return tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True)
