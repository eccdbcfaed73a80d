"""Records of tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nbgraph.invocations.fields import TensorKind

if TYPE_CHECKING:
    from torch import Tensor

Tensors = Mapping[str, "Tensor"]
TensorDict = dict[str, "Tensor"]


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """The facts about a set of named tensors, known without reading it. `metadata` are JSON values."""

    name: str
    kind: TensorKind
    created: datetime
    content: str
    bytes: int
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
