"""The base class of what nodes return."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from nbgraph.invocations.types import may_hold_models


class BaseInvocationOutput(BaseModel):
    """What a node returns: a frozen pydantic model, one field per output.

    `main_field` is the output that is meant where a whole node is given and several outputs would fit.
    """

    model_config = ConfigDict(frozen=True, defer_build=True, ser_json_inf_nan="constants")

    main_field: ClassVar[str] = ""
    _holds_models: ClassVar[bool | None] = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        cls._holds_models = None


def may_name_resources(cls: type[BaseInvocationOutput]) -> bool:
    """Return whether an output of the class can name resources or models, by its annotations."""
    known = cls._holds_models
    if known is None:
        known = cls._holds_models = any(may_hold_models(info.annotation) for info in cls.model_fields.values())
    return known
