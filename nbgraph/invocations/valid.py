"""Models made from all their values, round `__init__`: without validation where the values are known to be valid."""

from typing import Any, TypeVar

from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)
_new = object.__new__
set_values, set_names, _set_extra, _set_private = [
    vars(BaseModel)[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
]


def fill_valid(model: BaseModel, values: dict[str, Any], names: set[str]) -> None:
    """Give a new model values for all its fields, `names` being those that were given; both are as for `make_valid`."""
    set_values(model, values)
    set_names(model, names)
    _set_extra(model, None)
    _set_private(model, None)


def make_valid(cls: type[Model], values: dict[str, Any], names: set[str]) -> Model:
    """Return what pydantic's `model_construct` makes of values for all the fields, in a fraction of the time.

    The model shares `names`, those of all its fields, which must not be changed. Not for classes with private
    attributes, or that allow others than their fields.
    """
    model = _new(cls)
    vars(model).update(values)
    set_names(model, names)
    _set_extra(model, None)
    _set_private(model, None)
    return model


def holding(cls: type[Model], values: dict[str, Any], names: set[str]) -> Model:
    """Return the same as `make_valid`, whose values are the dictionary itself: quicker, for a model of a short life."""
    model = _new(cls)
    set_values(model, values)
    set_names(model, names)
    _set_extra(model, None)
    _set_private(model, None)
    return model


def twin(model: Model, values: dict[str, Any]) -> Model:
    """Return a copy of a model with other values, whose dictionary it takes for its own."""
    other = _new(type(model))
    set_values(other, values)
    set_names(other, model.__pydantic_fields_set__)
    _set_extra(other, model.__pydantic_extra__)
    _set_private(other, model.__pydantic_private__)
    return other


def validated(cls: type[Model], values: dict[str, Any]) -> Model:
    """Return a model with all these values, as its validators change them.

    `model_validate` would call `__init__`, and that of a node keeps what was given.

    Raises
    ------
    pydantic.ValidationError
        A value is not valid.
    """
    model = _new(cls)
    cls.__pydantic_validator__.validate_python(values, self_instance=model)
    return model
