"""Tensors of weight files as plain floating point numbers, whether stored so, scaled, or packed by GGUF.

Quantised values are converted to the precision of the model when they are read, so they take the memory of a plain
model: the file is small, and the model is not.
"""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nbgraph.diffusion.file_headers import FileHeader
from nbgraph.diffusion.model_files import StoredTensor
from nbgraph.errors import ModelError

_FLOATS = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"}
_FLOAT8 = ("F8_E4M3", "F8_E5M2")
_SCALE_NAMES = ("scale_weight", "weight_scale")
_BESIDE = re.compile(r"(^|\.)(scaled_fp8|scale_weight|weight_scale|scale_input|input_scale|comfy_quant)$")
"""Names of the tensors that belong to a scaled weight: its scale, that of its inputs, and the kind of scaling."""
_COUNTS = re.compile(r"(^|\.)(position_ids|num_batches_tracked|spiece_model|tekken_model)$")
_PACKED: tuple[tuple[str, str], ...] = (
    (r"quant_state\.bitsandbytes__", "bitsandbytes 4 bit, which needs the package bitsandbytes and a CUDA device"),
    (r"\.SCB$", "bitsandbytes int8, which needs the package bitsandbytes and a CUDA device"),
    (r"\.weight_scale_2$", "nvfp4, which needs the package nvidia-modelopt and a CUDA device of the Blackwell kind"),
    (r"\.weight_scale_inv$", "fp8 in blocks, which needs the package torchao and a CUDA device"),
    (r"\.q(weight|zeros)$", "GPTQ or AWQ, which needs a CUDA device"),
    (r"\.(wscales|smooth_factor)$", "Nunchaku (SVDQuant), which needs the package nunchaku and a CUDA device"),
)
_REMEDY = "is not read here; use a GGUF version of it, or one in fp8, float16 or bfloat16"


class OpenedWeights(Protocol):
    """A safetensors file, as the package gives it without types."""

    def get_tensor(self, name: str) -> Tensor: ...

    def keys(self) -> list[str]: ...

    def metadata(self) -> dict[str, str] | None: ...


def open_weights(file: Path) -> AbstractContextManager[OpenedWeights]:
    """Open a safetensors file for its tensors, on the CPU.

    Raises
    ------
    SafetensorError, OSError
        It cannot be read.
    """
    return cast(Any, safe_open)(file, framework="pt", device="cpu")


def check_readable(file: Path, header: FileHeader) -> None:
    """Raise `ModelError` when the values of a file cannot be converted here.

    It names the package or device they need.
    """
    if header.format == "gguf":
        if importlib.util.find_spec("gguf") is None:
            text = f"{str(file)!r} is a GGUF file, which needs the package gguf, and that is not installed"
            raise ModelError(f"{text}: pip install gguf")
        return
    for pattern, kind in _PACKED:
        if found := next((name for name in header.tensors if re.search(pattern, name)), None):
            raise ModelError(f"the weights in {str(file)!r} are quantised by {kind} (it has {found}); that {_REMEDY}")
    for name, tensor in header.tensors.items():
        if tensor.dtype not in _FLOATS and not _is_beside(name) and not _COUNTS.search(name):
            text = f"the weights in {str(file)!r} are quantised: {name} is {tensor.dtype}, which is no plain number"
            raise ModelError(f"{text}; that {_REMEDY}")


def is_weight(name: str) -> bool:
    """Whether a tensor is a weight, and not the scale of one or a vocabulary."""
    return not _is_beside(name) and not _COUNTS.search(name) and not name.endswith("logit_scale")


def read_tensors(file: Path, header: FileHeader, names: Sequence[str], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the named tensors, floating point ones in `dtype`, in memory of their own.

    Raises
    ------
    ModelError
        The file cannot be read, or its values need something that is missing here.
    """
    check_readable(file, header)
    if header.format == "gguf":
        return _read_gguf(file, header.tensors, names, dtype)
    try:
        with open_weights(file) as opened:
            return {name: _plain(opened, header.tensors, name, dtype) for name in names}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{str(file)!r} cannot be read: {error}. Copy or download it again") from error


def _plain(opened: OpenedWeights, tensors: Mapping[str, StoredTensor], name: str, dtype: torch.dtype) -> Tensor:
    """Return a copy of a tensor, multiplied by its scale.

    A copy, because a file mapped into memory may change later.
    """
    tensor: Tensor = opened.get_tensor(name)
    scale_name = _scale_of(tensors, name)
    if scale_name is None:
        return tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True)
    scale = opened.get_tensor(scale_name).float()
    if scale.numel() > 1:  # one for each row
        scale = scale.reshape(-1, *(1,) * (tensor.ndim - 1))
    return (tensor.float() * scale).to(dtype)


def _scale_of(tensors: Mapping[str, StoredTensor], name: str) -> str | None:
    if tensors[name].dtype not in _FLOAT8:
        return None
    layer = name.removesuffix(".weight")
    return next((found for each in _SCALE_NAMES if (found := f"{layer}.{each}") in tensors), None)


def _read_gguf(
    file: Path, tensors: Mapping[str, StoredTensor], names: Sequence[str], dtype: torch.dtype
) -> dict[str, Tensor]:
    from gguf import GGUFReader
    from gguf.quants import dequantize

    wanted = set(names)
    try:
        stored = {tensor.name: tensor for tensor in GGUFReader(file).tensors if tensor.name in wanted}
        return {
            name: torch.as_tensor(dequantize(stored[name].data, stored[name].tensor_type).copy())
            .reshape(tensors[name].shape)
            .to(dtype)
            for name in names
        }
    except (ValueError, KeyError, IndexError, OSError, NotImplementedError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ModelError(f"{str(file)!r} cannot be read as GGUF: {reason}; use another quantisation of it") from error


def _is_beside(name: str) -> bool:
    return bool(_BESIDE.search(name))
