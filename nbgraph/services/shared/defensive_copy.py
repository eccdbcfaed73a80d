"""Defensive copies of containers: changing one changes no other. Tensors, images and the like are shared."""

from copy import copy
from dataclasses import fields, is_dataclass
from typing import TypeVar

import numpy as np
from pydantic import BaseModel

from nbgraph.invocations.types import NodeValue

Value = TypeVar("Value")

SMALL = frozenset({int, str, float, bool, type(None)})
_CONTAINERS = (list, dict, set, np.ndarray)
_LIST: type[object] = list
_TUPLE: type[tuple[NodeValue, ...]] = tuple


def defensive_copy(value: Value) -> Value:
    """Return a value with new lists, dicts, sets, tuples, arrays, dataclasses and models, at any depth.

    Everything else in them stays the same object: tensors, images and the like are never copied. What cannot be
    changed, such as a frozen model of texts or a dict that refuses new items, is not copied either.
    """
    return value if type(value) in SMALL else _copied(value, {})


def _copied(value: NodeValue, made: dict[int, NodeValue]) -> NodeValue:
    """Return the copy of a value; `made` has copies by the id of the original, since a container may hold itself."""
    kind: type[object] = value.__class__
    if kind in SMALL:
        return value
    if kind is _LIST and SMALL.issuperset(map(type, value)):
        return value.copy()
    if id(value) in made:
        return made[id(value)]
    if issubclass(kind, tuple):
        return _copied_tuple(value, made)
    # not `issubclass`: pydantic has a quick `isinstance`, while that of an ABC walks all subclasses of BaseModel
    if isinstance(value, BaseModel):
        return _copied_model(value, made)
    if is_dataclass(kind):
        return _copied_dataclass(value, made)
    if not issubclass(kind, _CONTAINERS):
        return value
    try:
        copied: NodeValue = copy(value)
        # before its items are copied: one of them may be the container itself
        made[id(value)] = copied
        if issubclass(kind, list):
            copied[:] = [_copied(item, made) for item in value]
        elif issubclass(kind, dict):
            for key, item in value.items():
                copied[key] = _copied(item, made)
    except TypeError:  # raised by containers that refuse changes
        return value
    return copied


def _copied_tuple(value: tuple[NodeValue, ...], made: dict[int, NodeValue]) -> tuple[NodeValue, ...]:
    items = [_copied(item, made) for item in value]
    if all(item is before for item, before in zip(items, value)):
        return value
    # not `type(value)(items)`: a named tuple takes its items one by one
    return _TUPLE.__new__(type(value), items)


def _copied_dataclass(value: NodeValue, made: dict[int, NodeValue]) -> NodeValue:
    copied = made[id(value)] = copy(value)
    for field in fields(value):
        object.__setattr__(copied, field.name, _copied(getattr(value, field.name), made))
    return copied


def _copied_model(value: BaseModel, made: dict[int, NodeValue]) -> BaseModel:
    is_frozen = type(value).model_config.get("frozen", False)
    if is_frozen and SMALL.issuperset(map(type, value.__dict__.values())) and not value.__pydantic_extra__:
        return value
    copied = made[id(value)] = copy(value)
    for values in (vars(copied), copied.__pydantic_extra__ or {}):
        values.update([(name, _copied(item, made)) for name, item in values.items()])
    return copied
