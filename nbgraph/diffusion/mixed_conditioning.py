"""Encoded prompts put together: combined, averaged, one after the other, with the meaning that ComfyUI gives each."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from nbgraph.diffusion.values import Conditioning
from nbgraph.errors import ModelError
from nbgraph.image_modes import as_mask


def combine_conditioning(parts: Sequence[Conditioning]) -> Conditioning:
    """Return prompts that all count for the same image: its prediction is the mean of theirs, by mask and strength.

    Raises
    ------
    ModelError
        They are of different families or numbers of images, or were encoded by different models.
    """
    prompts = [replace(prompt, cut="", unknown=()) for part in parts for prompt in part.prompts]
    _check_alike(prompts)
    return replace(prompts[0], others=tuple(prompts[1:]))


def masked_conditioning(given: Conditioning, mask: Image.Image | None, strength: float) -> Conditioning:
    """Return prompts that count by `strength` where a mask is white, and not where it is black or transparent.

    A mask that was given before is replaced. None counts everywhere.
    """
    values = None
    if mask is not None:
        grey = as_mask(mask)
        values = torch.frombuffer(bytearray(grey.tobytes()), dtype=torch.uint8).reshape(grey.height, grey.width)
    first, *others = (replace(prompt, mask=values, strength=strength) for prompt in given.prompts)
    return replace(first, others=tuple(others), cut="", unknown=())


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
    _check_single((to, other))
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
    _check_single(parts)
    _check_alike(parts)
    first = parts[0]
    tensors = {
        name: torch.cat([part.tensors[name] for part in parts], dim=1) if _has_tokens(name, tensor) else tensor
        for name, tensor in first.tensors.items()
    }
    tokens = sum(part.tokens for part in parts)
    return replace(first, tensors=tensors, text=" | ".join(part.text for part in parts), tokens=tokens)


def _check_single(parts: Sequence[Conditioning]) -> None:
    if any(part.is_combined for part in parts):
        raise ModelError(
            "a prompt that is combined of several or has a mask has no average and is not joined; average or join the "
            "prompts first, and combine the results"
        )


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
