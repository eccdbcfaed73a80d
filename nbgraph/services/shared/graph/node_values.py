"""What a person typed into a node, apart from its edges."""

from typing import Any

from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.inputs import REQUIRED


def without_link(node: BaseInvocation, field: str) -> BaseInvocation:
    """A copy of a node in which an input holds no edges, but its default."""
    spec = node.inputs()[field]
    copy = node.model_copy()
    vars(copy)[field] = REQUIRED if spec.required else spec.default
    copy.__pydantic_fields_set__.discard(field)
    return copy


def typed_values(node: BaseInvocation) -> dict[str, Any]:
    """The values a person typed into a node: inputs that differ from nothing said, and the common fields."""
    values = {name: value for name, value in node.literals().items() if name in node.model_fields_set}
    for name in ("is_intermediate", "use_cache"):
        if name in node.model_fields_set:
            values[name] = getattr(node, name)
    return values
