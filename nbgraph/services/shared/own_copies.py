"""Copies of containers, so that who changes one changes nobody else's; tensors, pictures and the like are shared."""

from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel

SMALL = frozenset({int, str, float, bool, type(None)})


def own_copy(value: Any) -> Any:
    """The value with lists, dicts, sets, tuples, arrays, dataclasses and models of its own, however they are nested.

    Everything else in them stays the same object: tensors, pictures and the like are never copied. What nobody can
    change, such as a frozen model of texts or a dict that refuses new items, is not copied either.
    """
    return value if type(value) in SMALL else _copied(value, {})


def _copied(value: Any, made: dict[int, Any]) -> Any:
    """The copy of a value; `made` has those that are begun, by the identity of the originals: some hold themselves."""
    kind = type(value)
    if kind in SMALL:
        return value
    if kind is list and SMALL.issuperset(map(type, value)):
        return value.copy()
    if id(value) in made:
        return made[id(value)]
    if isinstance(value, tuple):
        return _copied_tuple(value, made)
    if isinstance(value, BaseModel):
        return _copied_model(value, made)
    if is_dataclass(value) and not isinstance(value, type):
        return _copied_dataclass(value, made)
    if not isinstance(value, list | dict | set | np.ndarray):
        return value
    try:
        copied: Any = copy(value)
        made[id(value)] = copied
        if isinstance(value, list):
            copied[:] = [_copied(item, made) for item in value]
        elif isinstance(value, dict):
            for key, item in value.items():
                copied[key] = _copied(item, made)
    except TypeError:  # from a kind that nobody can change
        return value
    return copied


def _copied_tuple(value: tuple[Any, ...], made: dict[int, Any]) -> tuple[Any, ...]:
    items = [_copied(item, made) for item in value]
    if all(item is before for item, before in zip(items, value)):
        return value
    return tuple.__new__(type(value), items)


def _copied_dataclass(value: Any, made: dict[int, Any]) -> Any:
    copied = made[id(value)] = copy(value)
    for field in fields(value):
        object.__setattr__(copied, field.name, _copied(getattr(value, field.name), made))
    return copied


def _copied_model(value: BaseModel, made: dict[int, Any]) -> BaseModel:
    is_frozen = type(value).model_config.get("frozen", False)
    if is_frozen and SMALL.issuperset(map(type, value.__dict__.values())) and not value.__pydantic_extra__:
        return value
    copied = made[id(value)] = copy(value)
    for values in (vars(copied), copied.__pydantic_extra__ or {}):
        values.update([(name, _copied(item, made)) for name, item in values.items()])
    return copied
