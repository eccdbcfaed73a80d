"""Convert numbers and texts of numpy and torch to Python's, so that equal values are stored, compared and keyed alike.

Neither package is imported for it: their values are recognised by the module of their type.
"""

from nbgraph.invocations.types import NodeValue

_KINDS = "biufU"
"""Kinds of numpy types: booleans, integers, floats, texts."""
_OWN = frozenset({int, float, str, bool, type(None)})


def with_plain_numbers(value: NodeValue, arrays: bool = True) -> NodeValue:
    """Return a value with numbers of numpy and torch converted, inside lists, tuples and dictionaries too.

    Parameters
    ----------
    value
        Any value. Without numbers of numpy and torch it is returned unchanged, as the same object; so is one that
        contains itself.
    arrays
        Convert arrays and tensors of numbers to lists; else only those without dimensions are converted.
    """
    try:
        return _walked(value, arrays)
    # a list that contains itself is refused later, where the error can name the input
    except RecursionError:
        return value


def _walked(value: NodeValue, arrays: bool) -> NodeValue:
    kind: NodeValue = value.__class__
    if kind in _OWN:
        return value
    if kind is list or kind is tuple:
        if _OWN.issuperset(map(type, value)):
            return value
        found = [_walked(item, arrays) for item in value]
        same = all(map(_is, found, value))
        return value if same else found if kind is list else tuple(found)
    if kind is dict:
        known = {_walked(key, False): _walked(item, arrays) for key, item in value.items()}
        same = len(known) != len(value) or all(map(_is, (*known, *known.values()), (*value, *value.values())))
        return value if same else known
    if kind.__module__.partition(".")[0] in ("numpy", "torch"):
        return _plain(value, arrays)
    return value


def _plain(value: NodeValue, arrays: bool) -> NodeValue:
    dimensions, numbers = getattr(value, "ndim", None), getattr(value, "dtype", None)
    if dimensions is None or numbers is None or (dimensions and not arrays):
        return value
    is_number = numbers.kind in _KINDS if hasattr(numbers, "kind") else not numbers.is_complex
    return value.tolist() if is_number else value


def _is(one: object, other: object) -> bool:
    return one is other
