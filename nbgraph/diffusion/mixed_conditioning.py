"""Encoded prompts put together: averaged, or one after the other, with the meaning that ComfyUI gives both."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nbgraph.diffusion.values import Conditioning
from nbgraph.errors import ModelError


def average_conditioning(to: Conditioning, other: Conditioning, strength: float) -> Conditioning:
    """Return the weighted average of two encoded prompts, number by number.

    Parameters
    ----------
    to
        Counts by `strength`, 0 to 1; the result has its number of tokens.
    other
        Counts by 1 - `strength`; longer texts are cut, shorter ones continue with zeros.

    Raises
    ------
    ModelError
        They are of different families, of different numbers of images, or come with different masks of tokens.
    """
    _check_alike((to, other))
    tensors = {}
    for name, first in to.tensors.items():
        second = _of_length(other.tensors[name], first)
        if "mask" in name:
            if not torch.equal(first, second):
                raise ModelError(
                    f"models of the family {to.family!r} mark the tokens of a text by a mask, and these texts differ "
                    "in length, so that they have no average; use texts of one length, or join them"
                )
            tensors[name] = first
        else:
            tensors[name] = first * strength + second * (1 - strength)
    return replace(to, tensors=tensors, text=f"{to.text} | {other.text}", cut="", unknown=())


def concat_conditioning(parts: Sequence[Conditioning]) -> Conditioning:
    """Return encoded prompts one after the other: the denoiser sees the tokens of all, and the summary of the first.

    Raises
    ------
    ModelError
        They are of different families or numbers of images, or their family takes one text for an image.
    """
    _check_alike(parts)
    first = parts[0]
    tensors = {
        name: torch.cat([part.tensors[name] for part in parts], dim=1) if _has_tokens(name, tensor) else tensor
        for name, tensor in first.tensors.items()
    }
    tokens = sum(part.tokens for part in parts)
    return replace(first, tensors=tensors, text=" | ".join(part.text for part in parts), tokens=tokens)


def _check_alike(parts: Sequence[Conditioning]) -> None:
    families = list(dict.fromkeys(part.family for part in parts))
    if len(families) > 1:
        raise ModelError(f"prompts of the families {' and '.join(families)} cannot be put together; encode them alike")
    if len({len(part) for part in parts}) > 1:
        raise ModelError(f"prompts for {[len(part) for part in parts]} images cannot be put together")
    if len({frozenset(part.tensors) for part in parts}) > 1:
        raise ModelError("these prompts come with different masks of tokens; encode them with the same node")
    widths = {tuple(tensor.shape[-1] for tensor in part.tensors.values() if tensor.ndim > 2) for part in parts}
    if len(widths) > 1:
        raise ModelError("these prompts were encoded by models of different widths; encode them with the same model")


def _has_tokens(name: str, tensor: Tensor) -> bool:
    """Return whether a tensor is (B, tokens, width), or a mask (B, tokens), and no summary (B, width)."""
    return tensor.ndim == 3 or "mask" in name


def _of_length(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a tensor with as many tokens as `like`, cut or continued with zeros."""
    if tensor.ndim < 2 or tensor.shape[1] == like.shape[1]:
        return tensor
    if tensor.shape[1] > like.shape[1]:
        return tensor[:, : like.shape[1]]
    missing = like.shape[1] - tensor.shape[1]
    return torch.cat([tensor, tensor.new_zeros((len(tensor), missing, *tensor.shape[2:]))], dim=1)
