"""Which output may be linked to which input: a table of coercions, by origin and arguments of annotations.

the same type, or Any on either side      yes
subclass -> base                          yes (bool counts as its own type, not as an int)
int -> float;  int or float -> str        yes
T -> T | None;  T -> a union with T       yes
a union -> T                              only if every member may go to T
Literal["a"] -> str;  Literal -> wider Literal
list[int] -> list[float]                  yes, item by item; list -> list[Any] and back
list[T] <-> T                             never: use iterate and collect
"""

import types
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

JsonObject = dict[str, Any]
"""JSON values by name, as they are written to and read from files; each reader validates what it uses."""
JsonValue = Any
"""One value read from JSON, of any kind; each reader validates what it uses."""
Annotation = Any
"""The type of an input or an output, as its field has it: also `int | None`, or `Annotated` with marks."""
NodeValue = Any
"""A value that a node receives or returns. Its type is the annotation of a field, which only pydantic checks."""


def assignable(source: Any, target: Any) -> bool:
    """Return whether an output annotated `source` may be linked to an input annotated `target`."""
    try:
        return _known_assignable(source, target)
    except TypeError:  # an annotation that cannot be hashed, as `list[Annotated[float, {"unit": "kg"}]]`
        return _assignable(source, target)


def _assignable(source: Any, target: Any) -> bool:
    source, target = plain(source), plain(target)
    if source == target or source is Any or target is Any:
        return True
    if _is_union(source):
        return all(assignable(member, target) for member in get_args(source))
    if _is_union(target):
        return any(assignable(source, member) for member in get_args(target))
    if get_origin(source) is Literal:
        return _literal_assignable(source, target)
    if get_origin(target) is Literal:
        return False
    return _class_assignable(source, target)


# a graph of thousands of edges asks for the same few pairs
_known_assignable = lru_cache(maxsize=16384)(_assignable)


def _literal_assignable(source: Any, target: Any) -> bool:
    if get_origin(target) is Literal:
        return set(get_args(source)) <= set(get_args(target))
    return all(assignable(type(value), target) for value in get_args(source))


def _class_assignable(source: Any, target: Any) -> bool:
    from_class, to_class = get_origin(source) or source, get_origin(target) or target
    if not isinstance(from_class, type) or not isinstance(to_class, type):
        return False
    # to Python a bool is an int, but a flag linked to a number is most often a mistake
    if from_class is bool or to_class is bool:
        return from_class is to_class
    if to_class is str and issubclass(from_class, int | float):
        return True
    if to_class is float and issubclass(from_class, int):
        return True
    if not issubclass(from_class, to_class):
        return False
    from_arguments, to_arguments = get_args(source), get_args(target)
    if not from_arguments or not to_arguments:
        return True
    return len(from_arguments) == len(to_arguments) and all(map(assignable, from_arguments, to_arguments))


def plain(annotation: Any) -> Any:
    """Return an annotation without `Annotated` around it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def item_type(annotation: Any) -> Any | None:
    """Return the type of the items of a list annotation: `Any` for a bare list or `Any`, None if it is not a list."""
    annotation = plain(annotation)
    if annotation is Any:
        return Any
    if _is_union(annotation):
        items = [item for member in get_args(annotation) if (item := item_type(member)) is not None]
        return items[0] if len(items) == 1 else None
    if annotation is list or get_origin(annotation) is list:
        return (get_args(annotation) or (Any,))[0]
    return None


def is_optional(annotation: Any) -> bool:
    """Return whether an annotation allows None."""
    annotation = plain(annotation)
    return (
        annotation is None or annotation is type(None) or (_is_union(annotation) and type(None) in get_args(annotation))
    )


def type_name(annotation: Any) -> str:
    """Return an annotation as a person would write it: `list[int]`, `ImageField`, `float | None`."""
    annotation = plain(annotation)
    if annotation is type(None):
        return "None"
    if _is_union(annotation):
        return " | ".join(type_name(member) for member in get_args(annotation))
    if get_origin(annotation) is Literal:
        return " | ".join(repr(value) for value in get_args(annotation))
    if get_origin(annotation) is not None:
        arguments = ", ".join(type_name(argument) for argument in get_args(annotation))
        return f"{type_name(get_origin(annotation))}[{arguments}]"
    return getattr(annotation, "__name__", str(annotation))


def may_hold_models(annotation: Any) -> bool:
    """Return whether a value of that annotation can contain a pydantic model, and so a reference to a resource."""
    try:
        return _known_to_hold_models(annotation)
    except TypeError:  # an annotation that cannot be hashed
        return _may_hold_models(annotation)


def _may_hold_models(annotation: Any) -> bool:
    annotation = plain(annotation)
    if annotation is Any or annotation is object:
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    if annotation in (list, dict, tuple, set):
        return True
    if get_origin(annotation) is Literal:
        return False
    return any(may_hold_models(argument) for argument in get_args(annotation) if argument is not Ellipsis)


_known_to_hold_models = lru_cache(maxsize=4096)(_may_hold_models)


def may_hold_text(annotation: Any) -> bool:
    """Return whether a value of that annotation can contain a text that a person typed, and not only numbers."""
    annotation = plain(annotation)
    if annotation in (int, float, bool, types.NoneType, None) or get_origin(annotation) is Literal:
        return False
    arguments = [argument for argument in get_args(annotation) if argument is not Ellipsis]
    return any(map(may_hold_text, arguments)) if arguments else True


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)
