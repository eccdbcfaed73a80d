"""Values as the end of a key's material: JSON that differs wherever a node could tell two values apart."""

from collections.abc import Callable, Collection, Sequence
from enum import Enum
from json import JSONEncoder
from pathlib import PurePath
from typing import Any, cast

from msgspec.json import Encoder
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from nbgraph.invocations.fields import ModelField, ResourceField
from nbgraph.invocations.node_type import KeyHead
from nbgraph.services.invocation_cache.code_hash import code_of
from nbgraph.services.invocation_cache.code_packages import is_own
from nbgraph.services.shared.defensive_copy import SMALL

ContentOf = Callable[[ResourceField], str]
ModelContent = Callable[[ModelField], dict[str, Any]]
SMALL_AND_FINITE = SMALL - {float}
TEXT = frozenset({str})
MARKS = frozenset({"is", "content", "model"})
"""The keys that tell what stands for something else than a dict: `is` its class, `content` a resource, `model` a model,
as `ModelField.content` has it. A dict with such a key of its own is told as pairs, so the two are never the same."""
NO_KEY = "cannot be part of a cache key; set use_cache=False on the node"
_encode_finite = Encoder().encode
_encode = JSONEncoder(ensure_ascii=False).encode


class Contents:
    """Values as JSON, by their types and their contents.

    Numbers, texts, lists and dicts with texts for keys are JSON as they are. A resource is the hash of its content and
    a model that of its files, not their names. All else is told with its class: a tuple is no list, `{1: 2}` is not
    `{"1": 2}`, and a `Path` is no text. The order of a dict counts, as a node can see it; that of a set does not. Of a
    pydantic model the fields count, and not what is private to it.

    Texts of larger values are kept by identity, and with them the values, so that nothing else gets their identity.
    """

    def __init__(self, content_of: ContentOf, model_content: ModelContent = ModelField.content) -> None:
        self._content_of, self._model_content = content_of, model_content
        self._known: dict[int, tuple[Any, str]] = {}
        self._codes: dict[type, str] = {}

    def key(self, head: KeyHead, picked: tuple[Any, ...], is_small: bool = False) -> tuple[bytes, bytes]:
        """The key of a node, and the end of the material it stands for, made of what was picked.

        `is_small` says that all values are known to be whole numbers, texts and the like. `NotFoundError` if one names
        a resource that is gone, `TypeError` if one cannot be part of a key.
        """
        try:
            if is_small or SMALL_AND_FINITE.issuperset(map(type, picked)):
                try:
                    inputs = _encode_finite(picked) + b"}"
                except ValueError:  # an integer of more than 4,300 digits, which only the slower way can write
                    inputs = to_json(picked) + b"}"
            elif SMALL.issuperset(map(type, picked)):
                inputs = to_json(picked) + b"}"
            else:
                inputs = f"[{','.join(map(self._text, picked))}]}}".encode()
        except (PydanticSerializationError, UnicodeEncodeError):
            raise TypeError(f"a text with half a character (a lone surrogate) {NO_KEY}") from None
        digest = head.begin_hash()
        digest.update(inputs)
        return digest.digest(), inputs

    def _text(self, value: Any) -> str:
        if value.__class__ in SMALL:
            return _encoded(value)
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = (value, self.text(value))
        return known[1]

    def text(self, value: Any) -> str:
        """The JSON of one value; `TypeError` if it cannot be part of a key."""
        try:
            return _encoded(self._told(value))
        except RecursionError:
            raise TypeError(f"a {type(value).__name__} that holds itself, or is nested too deep, {NO_KEY}") from None

    def _told(self, value: Any) -> Any:
        """The value as what JSON can hold."""
        kind = type(value)
        if kind in SMALL:
            return value
        if kind is list:
            return value if SMALL.issuperset(map(type, value)) else [self._told(item) for item in value]
        if kind is dict and TEXT.issuperset(map(type, value)) and MARKS.isdisjoint(value):
            is_small = SMALL.issuperset(map(type, value.values()))
            return value if is_small else {key: self._told(item) for key, item in value.items()}
        if isinstance(value, ResourceField):
            return {"content": self._content_of(value)}
        if isinstance(value, ModelField):
            return self._model_content(value)
        described = {"is": _name(kind), "value": self._untold(value)}
        code = self._code(kind)
        return {**described, "code": code} if code else described

    def _code(self, kind: type) -> str:
        """A hash of a person's own class, whose methods a node that gets the value may call; "" of other classes."""
        known = self._codes.get(kind)
        if known is None:
            code = code_of(kind) if is_own(kind) else None
            if code is not None and code.refusal:
                raise TypeError(f"a {kind.__name__} {NO_KEY}: {code.refusal}")
            known = self._codes[kind] = code.digest if code is not None else ""
        return known

    def _untold(self, value: Any) -> Any:
        """What is in a value, as what JSON can hold; its class has to be told beside it."""
        if isinstance(value, Enum):
            return self._told(value.value)
        if isinstance(value, BaseModel):
            return self._fields(value)
        if isinstance(value, dict):
            return [[self._told(key), self._told(item)] for key, item in cast(dict[Any, Any], value).items()]
        if isinstance(value, list | tuple):
            return [self._told(item) for item in cast(Sequence[Any], value)]
        if isinstance(value, set | frozenset):
            return sorted([self._told(item) for item in cast(Collection[Any], value)], key=_encoded)
        if isinstance(value, PurePath):
            return str(value)
        if isinstance(value, int | float | str):
            return value
        raise TypeError(f"a {type(value).__name__} {NO_KEY}")

    def _fields(self, model: BaseModel) -> dict[str, Any]:
        values = {name: value for name, value in vars(model).items() if name in type(model).model_fields}
        values.update(model.__pydantic_extra__ or {})
        return {name: self._told(values[name]) for name in sorted(values)}


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _encoded(told: Any) -> str:
    try:
        return _encode(told)
    except ValueError:  # an integer of more than 4,300 digits
        return to_json(told).decode()
