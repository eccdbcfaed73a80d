"""Values of several images as one, and split again: what is computed together travels in one value."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from nbgraph.diffusion.values import Conditioning, Latents
from nbgraph.errors import ModelError


def join_conditioning(conditionings: Sequence[Conditioning]) -> Conditioning:
    """Return one conditioning for several images.

    Raises
    ------
    ModelError
        They differ in family or in the number of tokens.
    """
    _check_joinable(conditionings, "conditionings")
    names = conditionings[0].tensors
    tensors = {name: torch.cat([one.tensors[name] for one in conditionings]) for name in names}
    return replace(conditionings[0], tensors=tensors, text="", cut="", unknown=())


def join_latents(latents: Sequence[Latents]) -> Latents:
    """Return one value for the latents of several images.

    Raises
    ------
    ModelError
        They differ in family, size or stage.
    """
    _check_joinable(latents, "latents")
    states = [one.rng_states for one in latents if one.rng_states is not None]
    solvers = [one.solver for one in latents if one.solver is not None]
    return replace(
        latents[0],
        tensor=torch.cat([one.tensor for one in latents]),
        seeds=tuple(seed for one in latents for seed in one.seeds),
        rng_states=torch.cat(states) if states else None,
        solver={name: _join([solver[name] for solver in solvers]) for name in solvers[0]} if solvers else None,
    )


def split_latents(latents: Latents, sizes: Sequence[int]) -> list[Latents]:
    """Return the inverse of `join_latents`: one value for each of `sizes`, of so many images."""
    found: list[Latents] = []
    begin = 0
    for size in sizes:
        span = slice(begin, begin + size)
        found.append(
            replace(
                latents,
                tensor=latents.tensor[span].clone(),
                seeds=latents.seeds[span],
                rng_states=None if latents.rng_states is None else latents.rng_states[span].clone(),
                solver=None if latents.solver is None else {n: _slice(v, span) for n, v in latents.solver.items()},
            )
        )
        begin += size
    return found


def shape_key(value: Latents | Conditioning | None) -> Hashable:
    """Return a key that is equal for values that can be joined: by family, size, shape and stage, not by content."""
    if value is None:
        return None
    if isinstance(value, Conditioning):
        if value.is_combined:
            return object()  # its prompts make a batch of their own
        shapes = sorted((name, tuple(tensor.shape[1:])) for name, tensor in value.tensors.items())
        return (value.family, value.size, *shapes)
    stage = (value.window, value.solver is None, value.rng_states is None)
    return (value.family, value.width, value.height, tuple(value.tensor.shape[1:]), *stage)


def _check_joinable(values: Sequence[Any], what: str) -> None:
    if len({shape_key(value) for value in values}) != 1:
        raise ModelError(
            f"{len(values)} {what} cannot be joined: they must be of one family, size and shape, at one step"
        )


def _join(values: list[Any]) -> Any:
    """Concatenate the tensors of images.

    Take numbers and small tensors, which belong to the schedule, from the first.
    """
    first = values[0]
    if isinstance(first, Tensor) and first.ndim >= 3:
        return torch.cat(values)
    if isinstance(first, list):
        return [_join(list(items)) for items in zip(*values)]
    return first


def _slice(value: Any, span: slice) -> Any:
    if isinstance(value, Tensor) and value.ndim >= 3:
        return value[span].clone()
    if isinstance(value, list):
        return [_slice(item, span) for item in cast(list[Any], value)]
    return value
