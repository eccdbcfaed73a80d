"""The base class of the outputs of nodes."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from nbgraph.invocations.types import may_hold_models


class BaseInvocationOutput(BaseModel):
    """The result of a node: a frozen pydantic model with one field per output.

    `main_field` is the output that is used where a node is given as an input and several outputs would fit.
    """

    # deferred, as building the schemas of all outputs would slow the import
    model_config = ConfigDict(frozen=True, defer_build=True, ser_json_inf_nan="constants")

    main_field: ClassVar[str] = ""
    _holds_models: ClassVar[bool | None] = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        cls._holds_models = None


def may_name_resources(cls: type[BaseInvocationOutput]) -> bool:
    """Return whether an output of the class can name resources or models, by its annotations."""
    # not a method, which every output class would have beside its outputs
    known = cls._holds_models  # pyright: ignore[reportPrivateUsage]
    if known is None:
        known = any(may_hold_models(info.annotation) for info in cls.model_fields.values())
        cls._holds_models = known  # pyright: ignore[reportPrivateUsage]
    return known
