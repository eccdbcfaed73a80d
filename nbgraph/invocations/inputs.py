"""Facts about a node's input: its annotation, whether it must be given, and the marks on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue
from pydantic.fields import FieldInfo

from nbgraph.invocations.types import is_optional


class _Required:
    """The value of an input that must be given and has not been."""

    def __repr__(self) -> str:
        return "REQUIRED"

    def __copy__(self) -> "_Required":
        return self

    def __deepcopy__(self, memo: Any) -> "_Required":
        return self

    def __reduce__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()


RARE: dict[str, JsonValue] = {"rare": True}
"""`Field(json_schema_extra=RARE)` marks an input that few people set."""


@dataclass(frozen=True)
class Many:
    """Marks an input that takes any number of edges: `item: Annotated[Any, Many()]`."""


@dataclass(frozen=True)
class RandomSeed:
    """Marks a seed: where it is None, one is drawn for each prepared node and recorded in its stats row."""


@dataclass(frozen=True)
class InputSpec:
    """One input of a node type."""

    name: str
    annotation: Any
    required: bool
    default: Any
    many: bool
    seed: bool
    info: FieldInfo

    @property
    def label(self) -> str:
        """The title of the field, or its name in words: `skipped_layers` is "Skipped layers"."""
        return self.info.title or self.name.replace("_", " ").capitalize()

    @property
    def about(self) -> str:
        """The input in words, for help and documents: its title where that is not its name, and its description."""
        parts = (self.info.title, self.info.description)
        return ". ".join(part for part in parts if part) or self.label

    @property
    def extra(self) -> Mapping[str, Any]:
        """How the input is shown, as its class says by `Field(json_schema_extra=...)`: "control", "rare"."""
        extra = self.info.json_schema_extra
        return {} if extra is None or callable(extra) else extra

    @property
    def rare(self) -> bool:
        """True for an input that the canvas folds away until it is used."""
        return self.extra.get("rare") is True

    @property
    def optional(self) -> bool:
        """True if None may be given."""
        return is_optional(self.annotation)


def input_specs(fields: Mapping[str, FieldInfo], leave_out: frozenset[str]) -> dict[str, InputSpec]:
    """Return the inputs that these pydantic fields make, by name, in their order."""
    return {name: _spec(name, info) for name, info in fields.items() if name not in leave_out}


def _spec(name: str, info: FieldInfo) -> InputSpec:
    required = info.default is REQUIRED or info.is_required()
    default = None if required else info.get_default(call_default_factory=True, validated_data={})
    many = any(isinstance(mark, Many) for mark in info.metadata)
    seed = any(isinstance(mark, RandomSeed) for mark in info.metadata)
    return InputSpec(name, info.annotation, required, default, many, seed, info)
