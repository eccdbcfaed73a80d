"""Convert a pickle of weights to safetensors, for files that a person trusts.

This is the only place that reads a pickle, and only when a person names the file. torch's own reader for weights alone
(`weights_only=True`) builds tensors and plain containers, and refuses everything else before it is built.
"""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

from nbgraph.errors import ModelError


def convert_pickle(file: Path) -> Path:
    """Write the tensors of a pickle to a .safetensors file beside it, and return that file.

    A checkpoint keeps its `state_dict`; an embedding of A1111 (`string_to_param`) becomes `emb_params`.

    Raises
    ------
    ModelError
        When there is no such file, it holds more than weights, or the target is there already.
    """
    target = file.with_suffix(".safetensors")
    if not file.is_file():
        raise ModelError(f"there is no file {str(file)!r}; give the path of a .ckpt, .pt, .pth or .bin file")
    if target.exists():
        raise ModelError(f"{str(target)!r} is there already; move it away, or use it")
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{str(file)!r} cannot be converted: it is damaged, or holds more than weights, which could run code when "
            f"it is read ({reason}). Get a .safetensors version of it"
        ) from None
    tensors = _tensors_of(stored)
    if not tensors:
        raise ModelError(f"{str(file)!r} holds no tensors")
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, target)
    return target


def _tensors_of(stored: Any) -> dict[str, Tensor]:
    if isinstance(stored, Tensor):
        return {"emb_params": stored}
    content = _mapping(stored)
    if words := _mapping(content.get("string_to_param")):
        found = next((tensor for tensor in words.values() if isinstance(tensor, Tensor)), None)
        return {} if found is None else {"emb_params": found}
    state = _mapping(content.get("state_dict", content))
    return {str(name): tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}


def _mapping(value: Any) -> Mapping[Any, Any]:
    return cast("Mapping[Any, Any]", value) if isinstance(value, Mapping) else {}
