"""Kin of LoRA (LoHa, LoKr, whole differences) as pairs of factors, and DoRA: what they add to a weight.

Every kind adds a matrix to a weight. As a pair of factors, up @ down, it is renamed and split as a LoRA is; at its
module, the product is added to a copy of the weight, which costs no time during denoising.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

KIN = re.compile(r"(?P<layer>.+)\.(?P<factor>hada_w[12]_[ab]|lokr_w[12](_[ab])?|diff|dora_scale)")
"""Names of tensors that are no pair of LoRA factors, by layer and factor."""


@dataclass(frozen=True)
class Pair:
    """Factors whose product is added to a weight: down (rank, in, ...) and up (out, rank, ...)."""

    down: Tensor
    up: Tensor


def is_complete(factors: frozenset[str]) -> bool:
    """Return whether the factors of a layer are exactly those that its kind needs."""
    if factors == frozenset({"diff"}):
        return True
    if factors == frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}):
        return True
    first, second = (({name}, {f"{name}_a", f"{name}_b"}) for name in ("lokr_w1", "lokr_w2"))
    return any(factors == frozenset(one | other) for one in first for other in second)


def pair_of(factors: Mapping[str, Tensor], alpha: float | None) -> Pair:
    """Return the factors of a layer as a pair, `alpha` over the rank included.

    Raises
    ------
    ValueError, RuntimeError
        The shapes of the factors do not fit.
    """
    names = frozenset(factors)
    if names == frozenset({"diff"}):
        return _as_pair(factors["diff"])
    if "hada_w1_a" in names:
        scale = 1.0 if alpha is None else alpha / factors["hada_w1_b"].shape[0]
        first, second = ((factors[f"hada_w{n}_a"].float(), factors[f"hada_w{n}_b"].float()) for n in (1, 2))
        return _hadamard((first[0] * scale, first[1]), second)
    first, rank = _side(factors, "lokr_w1")
    second, second_rank = _side(factors, "lokr_w2")
    rank = second_rank or rank
    scale = alpha / rank if alpha is not None and rank else 1.0
    wide = first.reshape(*first.shape, *(1,) * (second.ndim - 2))
    return _as_pair(torch.kron(wide, second) * scale)


def merged_weight(weight: Tensor, pair: Pair, strength: float, dora: Tensor | None) -> Tensor:
    """Return `weight` plus `strength` times the product of a pair, with DoRA's magnitudes if there are any.

    Raises
    ------
    ValueError, RuntimeError
        The product has another size than the weight.
    """
    out, into = pair.up.shape[0], pair.down[0].numel()
    if out * into != weight.numel():
        raise ValueError(f"its product is {out}x{into}, and the weight is {tuple(weight.shape)}")
    plain = weight.float()
    product = (pair.up.float().flatten(1) @ pair.down.float().flatten(1)).reshape(plain.shape)
    if dora is None:
        return (plain + strength * product).to(weight.dtype)
    whole = plain + product
    by_row = dora.shape[0] == whole.shape[0]
    axes = tuple(axis for axis in range(whole.ndim) if axis != (0 if by_row else 1))
    lengths: Tensor = cast(Any, torch.linalg).vector_norm(whole, dim=axes, keepdim=True)  # without types in torch
    norm = lengths + torch.finfo(whole.dtype).eps
    shape = [1] * whole.ndim
    shape[0 if by_row else 1] = -1
    whole = whole * (dora.float().reshape(shape) / norm)
    return (plain + strength * (whole - plain)).to(weight.dtype)


def _hadamard(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Pair:
    """Return (a1 @ b1) * (a2 @ b2) as one pair, whose rank is the product of the two ranks."""
    up = (first[0][:, :, None] * second[0][:, None, :]).flatten(1)
    down = (first[1][:, None] * second[1][None]).flatten(0, 1)
    return Pair(down, up)


def _side(factors: Mapping[str, Tensor], name: str) -> tuple[Tensor, int]:
    """Return one side of a Kronecker product, and the rank of its factors; 0 if it is whole."""
    if name in factors:
        return factors[name].float(), 0
    down = factors[f"{name}_b"].float()
    product = factors[f"{name}_a"].float() @ down.flatten(1)
    return product.reshape(product.shape[0], *down.shape[1:]), down.shape[0]


def _as_pair(delta: Tensor) -> Pair:
    """Return a whole difference as a pair: one factor is the identity, on the smaller side."""
    delta = delta.float()
    out, into = delta.shape[0], delta[0].numel()
    if delta.ndim == 2 and into < out:
        return Pair(torch.eye(into), delta)
    return Pair(delta, torch.eye(out).reshape(out, out, *(1,) * (delta.ndim - 2)))
