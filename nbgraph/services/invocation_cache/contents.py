"""Write values as JSON for a key: two values have equal JSON only if no node could distinguish them."""

from collections.abc import Callable, Collection, Sequence
from enum import Enum
from json import JSONEncoder
from pathlib import PurePath
from typing import cast

from msgspec.json import Encoder
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from nbgraph.invocations.fields import ModelField, ResourceField
from nbgraph.invocations.node_type import KeyHead
from nbgraph.services.invocation_cache.code_hash import code_of
from nbgraph.services.invocation_cache.code_packages import is_own
from nbgraph.services.shared.defensive_copy import SMALL

ContentOf = Callable[[ResourceField], str]
ModelContent = Callable[[ModelField], dict[str, object]]
SMALL_AND_FINITE = SMALL - {float}
TEXT = frozenset({str})
MARKS = frozenset({"is", "content", "model"})
"""The keys that mark something other than a dict: `is` a class, `content` a resource, `model` a model, as in
`ModelField.content`. A dict that has such a key itself is written as pairs, so the two never have equal JSON."""
NO_KEY = "cannot be part of a cache key; set use_cache=False on the node"
_encode_finite = Encoder().encode
_encode = JSONEncoder(ensure_ascii=False).encode


class Contents:
    """Writes values as JSON, by their types and contents.

    Numbers, texts, lists, and dicts with texts for keys are plain JSON. A resource is the hash of its content and a
    model that of its files, not their names. Everything else is written with its class: a tuple is no list, `{1: 2}` is
    not `{"1": 2}`, and a `Path` is no text. The order of a dict counts, as a node can see it; that of a set does not.
    Of a pydantic model the fields count, not its private attributes.

    The JSON of larger values is kept by identity, together with the values, so that no other object gets their
    identity.
    """

    def __init__(self, content_of: ContentOf, model_content: ModelContent = ModelField.content) -> None:
        self._content_of, self._model_content = content_of, model_content
        self._known: dict[int, tuple[object, str]] = {}
        self._codes: dict[type, str] = {}

    def key(self, head: KeyHead, picked: tuple[object, ...], is_small: bool = False) -> tuple[bytes, bytes]:
        """Return the key of a node, and the JSON of its inputs.

        Parameters
        ----------
        head
            The beginning of the key, which is hashed before the inputs.
        picked
            The values of the inputs, in order of their names.
        is_small
            True if all values are known to be whole numbers, texts and the like.

        Raises
        ------
        NotFoundError
            A value names a resource that is gone.
        TypeError
            A value cannot be part of a key.
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

    def _text(self, value: object) -> str:
        if value.__class__ in SMALL:
            return _encoded(value)
        # by identity: hashing a large value to look it up would cost as much as writing it
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = (value, self.text(value))
        return known[1]

    def text(self, value: object) -> str:
        """Return the JSON of one value; raise `TypeError` if it cannot be part of a key."""
        try:
            return _encoded(self._to_json(value))
        except RecursionError:
            raise TypeError(f"a {type(value).__name__} that holds itself, or is nested too deep, {NO_KEY}") from None

    def _to_json(self, value: object) -> object:
        """Return a JSON value for a value, with its class where it is not plain."""
        kind = type(value)
        if kind in SMALL:
            return value
        if kind is list:
            items = cast(list[object], value)
            return items if SMALL.issuperset(map(type, items)) else [self._to_json(item) for item in items]
        if kind is dict:
            named = cast(dict[str, object], value)
            if TEXT.issuperset(map(type, named)) and MARKS.isdisjoint(named):
                is_small = SMALL.issuperset(map(type, named.values()))
                return named if is_small else {key: self._to_json(item) for key, item in named.items()}
        if isinstance(value, ResourceField):
            return {"content": self._content_of(value)}
        if isinstance(value, ModelField):
            return self._model_content(value)
        described = {"is": _name(kind), "value": self._to_tagged_json(value)}
        code = self._code(kind)
        return {**described, "code": code} if code else described

    def _code(self, kind: type) -> str:
        """Return a hash of a person's own class, whose methods a node that gets the value may call.

        "" for other classes.
        """
        known = self._codes.get(kind)
        if known is None:
            code = code_of(kind) if is_own(kind) else None
            if code is not None and code.refusal:
                raise TypeError(f"a {kind.__name__} {NO_KEY}: {code.refusal}")
            known = self._codes[kind] = code.digest if code is not None else ""
        return known

    def _to_tagged_json(self, value: object) -> object:
        """Return a JSON value for the content of a value; its class is written next to it."""
        if isinstance(value, Enum):
            return self._to_json(value.value)
        if isinstance(value, BaseModel):
            return self._fields(value)
        if isinstance(value, dict):
            return [
                [self._to_json(key), self._to_json(item)] for key, item in cast(dict[object, object], value).items()
            ]
        if isinstance(value, list | tuple):
            return [self._to_json(item) for item in cast(Sequence[object], value)]
        if isinstance(value, set | frozenset):
            return sorted([self._to_json(item) for item in cast(Collection[object], value)], key=_encoded)
        if isinstance(value, PurePath):
            return str(value)
        if isinstance(value, int | float | str):
            return value
        raise TypeError(f"a {type(value).__name__} {NO_KEY}")

    def _fields(self, model: BaseModel) -> dict[str, object]:
        # `vars` also holds what `cached_property` has computed
        values = {name: value for name, value in vars(model).items() if name in type(model).model_fields}
        values.update(model.__pydantic_extra__ or {})
        return {name: self._to_json(values[name]) for name in sorted(values)}


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _encoded(value: object) -> str:
    try:
        return _encode(value)
    except ValueError:  # an integer of more than 4,300 digits
        return to_json(value).decode()
