"""`@node`: a typed function becomes an invocation.

    @nb.node
    def brighten(image: nb.Image, by: float = 1.2) -> nb.Image:
        return image.point(lambda value: min(255, round(value * by)))

    picture = brighten(some_node, by=1.5)      # always a node, to be wired and run like any other
    brighten.function(pillow_image, by=1.5)    # the plain function, called at once

Parameters become inputs: their defaults, `Annotated` and `Field` limits and `Literal` choices are kept. A parameter
annotated `InvocationContext` is not an input; it receives the context (progress, previews, cancel). Return values:

    nb.Image                     image, width, height (the picture is saved)
    int, float, str, bool ...    value
    list[...]                    collection
    a typing.NamedTuple          an output for each of its fields
    a BaseInvocationOutput       itself
"""

import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar, TypedDict, overload

from PIL.Image import Image
from pydantic import ValidationError, create_model

from nbgraph.errors import GraphError, NbgraphError, Problem
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.function_types import (
    POSSIBLE,
    hints_of,
    holds_images,
    input_field,
    is_named_tuple,
    output_class_for,
)
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.types import NodeValue, type_name
from nbgraph.texts import value_text

__all__ = ["FunctionInvocation", "Image", "node"]
Function = Callable[..., NodeValue]


class _Options(TypedDict):
    version: str
    use_cache: bool | None
    title: str
    category: str
    tags: tuple[str, ...]


class FunctionInvocation(BaseInvocation):
    """A node that calls a function. Calling the class makes a node; `.function` is the function itself."""

    function: ClassVar[Function]
    context_parameters: ClassVar[tuple[str, ...]] = ()
    opened: ClassVar[frozenset[str]] = frozenset()
    returns_named_tuple: ClassVar[bool] = False

    def __init__(self, /, *arguments: NodeValue, **inputs: NodeValue) -> None:
        names = list(self.inputs())
        if len(arguments) > len(names):
            text = f"takes {len(names)} inputs ({', '.join(names)}), and {len(arguments)} were given"
            raise GraphError([Problem("unknown_field", text, inputs.get("id") or self.type)])
        for name, value in zip(names, arguments):
            if name in inputs:
                text = "is given twice, by its position and by its name; leave one out"
                raise GraphError([Problem("bad_value", text, inputs.get("id") or self.type, name)])
            inputs[name] = value
        for name, value in inputs.items():
            # pydantic would say that an ImageField was expected, which helps nobody
            if isinstance(value, Image):
                text = (
                    "is a PIL image, and a node takes pictures from other nodes: load it with LoadImage(path=...), "
                    f"or call the plain function: {type(self).__name__}.function(...)"
                )
                raise GraphError([Problem("wrong_type", text, inputs.get("id") or self.type, name)])
        super().__init__(**inputs)

    def invoke(self, context: InvocationContext) -> BaseInvocationOutput:
        """Call the function with PIL images in place of references, and save the images that it returns."""
        values = {name: getattr(self, name) for name in self.inputs()}
        for name in self.opened:
            values[name] = _opened(values[name], context)
        values.update(dict.fromkeys(self.context_parameters, context))
        signature = inspect.signature(self.function)
        # BoundArguments passes positional-only parameters by position, which a plain call with names could not
        call = inspect.BoundArguments(signature, OrderedDict((name, values[name]) for name in signature.parameters))
        return self._output_of(self.function(*call.args, **call.kwargs), context)

    def _output_of(self, result: NodeValue, context: InvocationContext) -> BaseInvocationOutput:
        cls = self.output_class
        if isinstance(result, cls):
            return result
        if cls is ImageOutput and isinstance(result, Image):
            return context.images.output(result)
        names = list(cls.model_fields)
        is_tuple = issubclass(type(result), tuple)
        values = tuple(result) if self.returns_named_tuple and is_tuple else (result,)
        try:
            if cls is ImageOutput or len(values) != len(names):
                raise ValueError("another number of values")
            return cls(**{name: _saved(value, context) for name, value in zip(names, values)})
        except (ValidationError, ValueError):
            wanted = type_name(hints_of(self.function)["return"])
            text = f"returned {value_text(result, 60)} ({type(result).__name__}), and is annotated to return {wanted}"
            raise NbgraphError(f"{type(self).__name__} {text}") from None
        except RecursionError:
            text = "returned a value that contains itself, or is nested too deep; return one that does not"
            raise NbgraphError(f"{type(self).__name__} {text}") from None


@overload
def node(
    function: Function,
    /,
    *,
    type: str | None = None,
    version: str = "1.0.0",
    use_cache: bool | None = None,
    title: str = "",
    category: str = "functions",
    tags: tuple[str, ...] = (),
) -> type[FunctionInvocation]: ...


@overload
def node(
    function: None = None,
    /,
    *,
    type: str | None = None,
    version: str = "1.0.0",
    use_cache: bool | None = None,
    title: str = "",
    category: str = "functions",
    tags: tuple[str, ...] = (),
) -> Callable[[Function], type[FunctionInvocation]]: ...


def node(
    function: Function | None = None,
    /,
    *,
    type: str | None = None,
    version: str = "1.0.0",
    use_cache: bool | None = None,
    title: str = "",
    category: str = "functions",
    tags: tuple[str, ...] = (),
) -> NodeValue:
    """Make a node class of a typed function: `@node`, or `@node(version="1.1.0", use_cache=False)`.

    Calling the class always makes a node, also with plain values; `.function` is the function itself. Defining it
    again, in a cell, replaces it.

    Results are cached by the inputs, `version`, and the code that the function reaches: its own, with annotations,
    defaults and enclosed values, and the functions, classes and globals of your own modules that it uses, and those
    that these use in turn. Installed packages count by name and version; comments, docstrings and layout do not count.
    A function that reaches something that cannot be hashed, such as a lock, an open file or a global that it assigns,
    is not cached, and `explain` says why. With `use_cache=True` it is cached all the same; then raise `version` when
    that changes.

    Parameters
    ----------
    function
        A function with annotations for all parameters and for what it returns.
    type
        The node's type; the name of the function if left out.
    version
        Part of the cache key.
    use_cache
        False never caches results, True always does; None caches them if the code can be hashed.
    title, category, tags
        What the palette and the node reference show.

    Raises
    ------
    NbgraphError
        A parameter has no type, or values of a type cannot be sent along an edge.

    Examples
    --------
    >>> @node
    ... def shout(text: str, times: int = 1) -> str:
    ...     return text.upper() + "!" * times
    >>> shout(text="apple", times=2).type
    'shout'
    >>> shout.function("apple")
    'APPLE!'
    """

    def decorate(function: Function) -> NodeValue:
        return _node_class(
            function, type, _Options(version=version, use_cache=use_cache, title=title, category=category, tags=tags)
        )

    return decorate if function is None else decorate(function)


def _node_class(function: Function, given_type: str | None, options: _Options) -> type[FunctionInvocation]:
    _check_function(function)
    name = function.__name__
    if given_type is None and not name.isidentifier():
        raise NbgraphError(f"a node is called like its function, and {name} has no name; give it a def, or type=...")
    hints = hints_of(function)
    if "return" not in hints:
        raise NbgraphError(f"{name} does not say what it returns; write '-> {name}'s type', one of: {POSSIBLE}")
    output_class = output_class_for(hints["return"], name)
    fields: dict[str, Any] = {}
    contexts: list[str] = []
    opened: set[str] = set()
    for parameter in inspect.signature(function).parameters.values():
        if hints.get(parameter.name) is InvocationContext:
            contexts.append(parameter.name)
            continue
        fields[parameter.name] = input_field(name, parameter, hints, FunctionInvocation)
        if holds_images(hints[parameter.name]):
            opened.add(parameter.name)
    words = name if name.isidentifier() else str(given_type)
    made: Any = create_model(words, __base__=FunctionInvocation, __module__=function.__module__, **fields)
    made.__qualname__ = function.__qualname__
    made.__doc__ = inspect.getdoc(function) or f"The function {name}."
    made.model_rebuild()
    # for completion and help, which would show `*arguments, **inputs`
    made.__signature__ = _signature(function, contexts)
    made.function = made.__wrapped_function__ = staticmethod(function)
    made.context_parameters, made.opened = tuple(contexts), frozenset(opened)
    made.returns_named_tuple = is_named_tuple(hints["return"])
    options["title"] = options["title"] or words.replace("_", " ").capitalize()
    invocation(given_type or name, **options)(made)
    # after the registration, which takes it from the annotation of `invoke`
    made.output_class = output_class
    return made


def _check_function(function: NodeValue) -> None:
    if inspect.isclass(function):
        raise NbgraphError(f"{function.__name__} is a class; make a node of a class with @nb.invocation(type, ...)")
    if not inspect.isfunction(function):
        raise NbgraphError(f"a node is made of a function written with def, not of {value_text(function, 60)}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise NbgraphError(f"{function.__name__} is async or yields; a node's function returns its result")


def _signature(function: Function, contexts: list[str]) -> inspect.Signature:
    signature = inspect.signature(function)
    inputs = [each for name, each in signature.parameters.items() if name not in contexts]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=info.default, annotation=info.annotation)
        for name, info in BaseInvocation.model_fields.items()
    ]
    return inspect.Signature([*inputs, *common])


def _opened(value: NodeValue, context: InvocationContext) -> NodeValue:
    """Return a value with images in place of references."""
    return _walked(value, ImageField, context.images.get)


def _saved(value: NodeValue, context: InvocationContext) -> NodeValue:
    """Return a value with references in place of images, which are saved."""
    return _walked(value, Image, lambda picture: context.images.output(picture).image)


def _walked(value: NodeValue, kind: type[object], change: Callable[[Any], NodeValue]) -> NodeValue:
    own: type[object] = value.__class__
    if isinstance(value, kind):
        return change(value)
    if issubclass(own, list | tuple):
        return [_walked(item, kind, change) for item in value]
    if issubclass(own, dict):
        return {key: _walked(item, kind, change) for key, item in value.items()}
    return value
