"""Numbers and texts of numpy and torch as Python's own, so that they are stored, compared and keyed as what they are.

Neither package is imported for it: their values are known by the module of their type.
"""

from typing import Any

_KINDS = "biufU"
"""Kinds of numpy's types: truth values, whole numbers, numbers, texts."""
_OWN = frozenset({int, float, str, bool, type(None)})


def with_plain_numbers(value: Any, arrays: bool = True) -> Any:
    """Return the value with numbers of numpy and torch made Python's, inside lists, tuples and dictionaries too.

    An array or tensor of numbers becomes a list, a tensor without dimensions a number; with `arrays=False` those with
    dimensions stay. A value without any is given back as it is, the same object; so is one that holds itself.
    """
    try:
        return _walked(value, arrays)
    except RecursionError:
        return value


def _walked(value: Any, arrays: bool) -> Any:
    kind = type(value)
    if kind in _OWN:
        return value
    if kind is list or kind is tuple:
        if _OWN.issuperset(map(type, value)):
            return value
        found = [_walked(item, arrays) for item in value]
        return value if all(map(_is, found, value)) else kind(found)
    if kind is dict:
        known = {_walked(key, False): _walked(item, arrays) for key, item in value.items()}
        same = len(known) != len(value) or all(map(_is, (*known, *known.values()), (*value, *value.values())))
        return value if same else known
    if kind.__module__.partition(".")[0] in ("numpy", "torch"):
        return _plain(value, arrays)
    return value


def _plain(value: Any, arrays: bool) -> Any:
    dimensions, numbers = getattr(value, "ndim", None), getattr(value, "dtype", None)
    if dimensions is None or numbers is None or (dimensions and not arrays):
        return value
    is_number = numbers.kind in _KINDS if hasattr(numbers, "kind") else not numbers.is_complex
    return value.tolist() if is_number else value


def _is(one: Any, other: Any) -> bool:
    return one is other
