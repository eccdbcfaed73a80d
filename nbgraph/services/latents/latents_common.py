"""Tensors as records."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

TensorKind = Literal["latents", "conditioning", "mask", "other"]


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """What is known of a set of named tensors without opening it. `metadata` fits JSON."""

    name: str
    kind: TensorKind
    created: datetime
    content: str
    bytes: int
    metadata: dict[str, Any] = field(default_factory=dict)
