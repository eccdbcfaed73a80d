"""Convert the annotations of a function to the inputs and outputs of a node: an image becomes an `ImageField`."""

import types
from collections.abc import Callable, Mapping
from inspect import Parameter, isclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from PIL.Image import Image
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import (
    BooleanCollectionOutput,
    BooleanOutput,
    FloatCollectionOutput,
    FloatOutput,
    ImageCollectionOutput,
    ImageOutput,
    IntegerCollectionOutput,
    IntegerOutput,
    StringCollectionOutput,
    StringOutput,
)
from nbgraph.invocations.types import type_name

POSSIBLE = "nb.Image, int, float, str, bool, Literal, list[...], dict[...], X | None, or a field such as LatentsField"
PLAIN = (int, float, str, bool, Any, type(None), list, dict, tuple)
SHARED_OUTPUTS: dict[Any, type[BaseInvocationOutput]] = {
    ImageField: ImageOutput,
    int: IntegerOutput,
    float: FloatOutput,
    str: StringOutput,
    bool: BooleanOutput,
    list[int]: IntegerCollectionOutput,
    list[float]: FloatCollectionOutput,
    list[str]: StringCollectionOutput,
    list[bool]: BooleanCollectionOutput,
    list[ImageField]: ImageCollectionOutput,
}


def wire_type(annotation: Any, where: str) -> Any:
    """Return the annotation of a value on an edge: images by reference, everything else unchanged.

    Parameters
    ----------
    annotation
        As the function has it.
    where
        The place, for the error.

    Raises
    ------
    NbgraphError
        Values of that type cannot be sent along an edge.
    """
    if annotation is None:
        return type(None)
    if annotation is Image:
        return ImageField
    if annotation in PLAIN or get_origin(annotation) is Literal:
        return annotation
    if isclass(annotation) and issubclass(annotation, BaseModel) and not issubclass(annotation, BaseInvocation):
        return annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[wire_type(arguments[0], where), *arguments[1:]]
    inner = tuple([each if each is Ellipsis else wire_type(each, where) for each in arguments])
    if origin in (Union, types.UnionType):
        return Union[inner]  # noqa: UP007
    if origin in (list, dict, tuple):
        return types.GenericAlias(origin, inner)
    raise NbgraphError(f"{where} is annotated {_given(annotation)}, which cannot travel along an edge; use {POSSIBLE}")


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function; raise `NbgraphError` for a name that is not defined where it is used."""
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        text = (
            f"{function.__name__} is annotated with {error.name!r}, which is not known where it is defined; import it"
        )
        raise NbgraphError(text) from None


def input_field(function: str, parameter: Parameter, hints: Mapping[str, Any], base: type[BaseInvocation]) -> Any:
    """Return (annotation, default) of the field that a parameter of a function becomes.

    Parameters
    ----------
    function
        The name of the function, for errors.
    parameter, hints
        The parameter, and the annotations of the function.
    base
        The class that the node class will extend.

    Raises
    ------
    NbgraphError
        The parameter cannot be an input: its kind, type, name or default.
    """
    name, default = parameter.name, parameter.default
    where = f"{function}: parameter {name!r}"
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise NbgraphError(f"{where} takes any number of values; a node has inputs with names: take a list[...]")
    if name not in hints:
        raise NbgraphError(f"{where} has no type; write '{name}: float', or another of: {POSSIBLE}")
    if name.startswith("_") or name in base.model_fields or name in base.__class_vars__ or hasattr(base, name):
        raise NbgraphError(f"{where}: nodes have a {name!r} of their own; rename it, for example {name.strip('_')}_")
    wire = wire_type(hints[name], where)
    if default is parameter.empty:
        return wire, ...
    if not (isinstance(default, FieldInfo) and default.is_required()):
        plain = default.get_default(call_default_factory=True) if isinstance(default, FieldInfo) else default
        try:
            # at the definition: a wrong default would otherwise fail at the first run
            TypeAdapter(wire).validate_python(plain)
        except ValidationError as error:
            raise NbgraphError(f"{where} has the default {plain!r}: {error.errors()[0]['msg']}") from None
    return wire, default


def holds_images(annotation: Any) -> bool:
    """Return whether an annotation, as the function has it, contains an image."""
    return annotation is Image or any(map(holds_images, get_args(annotation)))


def is_named_tuple(annotation: Any) -> bool:
    """Return whether an annotation is a NamedTuple class."""
    return isclass(annotation) and tuple in annotation.__mro__ and hasattr(annotation, "_fields")


def output_class_for(annotation: Any, name: str) -> type[BaseInvocationOutput]:
    """Return the output class of a function's return annotation.

    Parameters
    ----------
    annotation
        As the function has it.
    name
        The name of the function, for errors and for a class made here.

    Raises
    ------
    NbgraphError
        A node cannot return values of that type.
    """
    where = f"what {name} returns"
    if annotation is None or annotation is type(None):
        raise NbgraphError(f"{name} is annotated to return nothing; a node has a result: return {POSSIBLE}")
    if isclass(annotation) and issubclass(annotation, BaseInvocationOutput):
        return annotation
    if is_named_tuple(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        return _make(name, {each: wire_type(hints.get(each, Any), f"{where} as {each!r}") for each in hints})
    if annotation is tuple or get_origin(annotation) is tuple:
        raise NbgraphError(f"{where} is a tuple; return a typing.NamedTuple, whose fields name the outputs")
    wire = wire_type(annotation, where)
    shared = SHARED_OUTPUTS.get(wire) if not isinstance(wire, dict | list) else None
    if shared is not None:
        return shared
    if wire is list or get_origin(wire) is list:
        return _make(name, {"collection": wire})
    return _make(name, {"image" if holds_images(annotation) and get_origin(wire) is not dict else "value": wire})


def _make(name: str, outputs: dict[str, Any]) -> type[BaseInvocationOutput]:
    # such an output would hide a method of pydantic, and fail in odd places
    taken = [output for output in outputs if hasattr(BaseInvocationOutput, output)]
    if taken:
        raise NbgraphError(f"{name}: an output cannot be named {taken[0]!r}, which every output has; rename it")
    fields: dict[str, Any] = {output: (annotation, ...) for output, annotation in outputs.items()}
    return create_model(f"{name}_output", __base__=BaseInvocationOutput, **fields)


def _given(annotation: Any) -> str:
    if isinstance(annotation, types.ModuleType):
        return f"with the module {annotation.__name__} (for a picture, write nb.Image)"
    if isclass(annotation) and issubclass(annotation, BaseInvocation):
        return f"with the node {annotation.__name__} (for a picture, write nb.Image)"
    return type_name(annotation)
