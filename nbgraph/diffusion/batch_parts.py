"""A denoiser that computes a batch in parts, so that memory is that of a part."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

_OF_TOKENS = ("img_ids", "txt_ids", "image_rotary_emb")
"""Arguments that describe the tokens of an image, and are the same for all images of a batch."""


def in_parts(forward: Callable[..., Any], at_once: int) -> Callable[..., Any]:
    """Return a denoiser's `forward` that is called with at most so many rows of its batch.

    The first argument is the latents: a tensor (B, ...) or a list of B. Every tensor and list of that length is split
    with it.
    """

    def split(sample: Any, *args: Any, **kwargs: Any) -> Any:
        rows = len(sample)
        if rows <= at_once:
            return forward(sample, *args, **kwargs)
        parts: list[Any] = []
        for start in range(0, rows, at_once):
            span = slice(start, start + at_once)
            chosen = [_part("", value, span, rows) for value in args]
            named = {name: _part(name, value, span, rows) for name, value in kwargs.items()}
            parts.append(forward(sample[span], *chosen, **named))
        return _joined(parts)

    return split


def _part(name: str, value: Any, span: slice, rows: int) -> Any:
    if name in _OF_TOKENS and not (isinstance(value, Tensor) and value.ndim > 2):
        return value
    if isinstance(value, Tensor):
        return value[span] if value.ndim and len(value) == rows else value
    if isinstance(value, list):
        listed = cast(list[Any], value)
        return listed[span] if len(listed) == rows else listed
    if isinstance(value, Mapping):
        return {key: _part(key, each, span, rows) for key, each in cast(Mapping[str, Any], value).items()}
    return value


def _joined(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts))
    if isinstance(first, list):
        return [row for part in parts for row in part]
    if isinstance(first, tuple):
        return tuple(_joined(list(each)) for each in zip(*parts, strict=True))
    return type(first)(**{name: _joined([part[name] for part in parts]) for name in first})
