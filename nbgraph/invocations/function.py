"""`@node`: a typed function becomes an invocation.

    @nb.node
    def brighten(image: nb.Image, by: float = 1.2) -> nb.Image:
        return image.point(lambda value: min(255, round(value * by)))

    picture = brighten(some_node, by=1.5)      # always a node, to be wired and run like any other
    brighten.function(pillow_image, by=1.5)    # the plain function, called at once

Parameters become inputs: their defaults, `Annotated` and `Field` limits and `Literal` choices are kept. A parameter
annotated `InvocationContext` is no input; it is handed the context (progress, previews, cancel). What is returned:

    nb.Image                     image, width, height (the picture is saved)
    int, float, str, bool ...    value
    list[...]                    collection
    a typing.NamedTuple          an output for each of its fields
    a BaseInvocationOutput       itself
"""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

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
from nbgraph.invocations.types import type_name
from nbgraph.texts import value_text

__all__ = ["FunctionInvocation", "Image", "node"]


class FunctionInvocation(BaseInvocation):
    """A node that calls a function. Calling the class makes a node; `.function` is the function itself."""

    function: ClassVar[Callable[..., Any]]
    context_parameters: ClassVar[tuple[str, ...]] = ()
    opened: ClassVar[frozenset[str]] = frozenset()
    returns_named_tuple: ClassVar[bool] = False

    def __init__(self, /, *arguments: Any, **inputs: Any) -> None:
        names = list(self.inputs())
        if len(arguments) > len(names):
            text = f"takes {len(names)} inputs ({', '.join(names)}), and {len(arguments)} were given"
            raise GraphError([Problem("unknown_field", text, inputs.get("id") or self.type)])
        for name, value in zip(names, arguments):
            if name in inputs:
                text = "is given twice, by its place and by its name; leave one out"
                raise GraphError([Problem("bad_value", text, inputs.get("id") or self.type, name)])
            inputs[name] = value
        for name, value in inputs.items():
            if isinstance(value, Image):
                text = (
                    "is a PIL image, and a node takes pictures from other nodes: load it with LoadImage(path=...), "
                    f"or call the plain function: {type(self).__name__}.function(...)"
                )
                raise GraphError([Problem("wrong_type", text, inputs.get("id") or self.type, name)])
        super().__init__(**inputs)

    def invoke(self, context: InvocationContext) -> BaseInvocationOutput:
        """Call the function with PIL images in place of references, and save the pictures it returns."""
        values = {name: getattr(self, name) for name in self.inputs()}
        for name in self.opened:
            values[name] = _opened(values[name], context)
        values.update(dict.fromkeys(self.context_parameters, context))
        signature = inspect.signature(self.function)
        ordered = {name: values[name] for name in signature.parameters}
        call = inspect.BoundArguments(signature, ordered)  # type: ignore[arg-type]
        return self._output_of(self.function(*call.args, **call.kwargs), context)

    def _output_of(self, result: Any, context: InvocationContext) -> BaseInvocationOutput:
        cls = self.output_class
        if isinstance(result, cls):
            return result
        if cls is ImageOutput and isinstance(result, Image):
            return context.images.output(result)
        names = list(cls.model_fields)
        values = tuple(result) if self.returns_named_tuple and isinstance(result, tuple) else (result,)
        try:
            if cls is ImageOutput or len(values) != len(names):
                raise ValueError("another number of values")
            return cls(**{name: _saved(value, context) for name, value in zip(names, values)})
        except (ValidationError, ValueError):
            wanted = type_name(hints_of(self.function)["return"])
            text = f"returned {value_text(result, 60)} ({type(result).__name__}), and is annotated to return {wanted}"
            raise NbgraphError(f"{type(self).__name__} {text}") from None


def node(
    function: Callable[..., Any] | None = None,
    /,
    *,
    type: str | None = None,
    version: str = "1.0.0",
    use_cache: bool | None = None,
    title: str = "",
    category: str = "functions",
    tags: tuple[str, ...] = (),
) -> Any:
    """Make a node of a typed function: `@node`, or `@node(version="1.1.0", use_cache=False)`.

    The node's type is the function's name unless `type` is given. Calling the result always makes a node, also with
    plain values; `.function` is the function itself. Defining it again, in a cell, replaces it.

    Results are kept by the inputs, `version`, and the code that the function reaches: its own, with annotations,
    defaults and enclosed values, and the functions, classes and globals of your own modules that it uses, and those
    that these use in turn. Installed packages count by name and version; comments, docstrings and layout do not count.
    A function that reaches what cannot be hashed, such as a lock, an open file or a global that it assigns, is not
    cached, and `explain` says why; `use_cache=True` keeps its results all the same, and then `version` is to be raised
    when that changes.

    Raises `NbgraphError` for a parameter without a type, or a type that cannot travel along an edge.

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
    options = {"version": version, "use_cache": use_cache, "title": title, "category": category, "tags": tags}
    if function is None:
        return lambda decorated: _node_class(decorated, type, options)
    return _node_class(function, type, options)


def _node_class(function: Callable[..., Any], given_type: str | None, options: dict[str, Any]) -> Any:
    _check_function(function)
    name = function.__name__
    if given_type is None and not name.isidentifier():
        raise NbgraphError(f"a node is called like its function, and {name} has no name; give it a def, or type=...")
    hints = hints_of(function)
    if "return" not in hints:
        raise NbgraphError(f"{name} does not say what it returns; write '-> {name}'s type', one of: {POSSIBLE}")
    output_class = output_class_for(hints["return"], name)
    fields, contexts, opened = {}, [], set()
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
    made.__signature__ = _signature(function, contexts)
    made.function = made.__wrapped_function__ = staticmethod(function)
    made.context_parameters, made.opened = tuple(contexts), frozenset(opened)
    made.returns_named_tuple = is_named_tuple(hints["return"])
    title = options["title"] or words.replace("_", " ").capitalize()
    invocation(given_type or name, **{**options, "title": title})(made)
    made.output_class = output_class
    return made


def _check_function(function: Any) -> None:
    if inspect.isclass(function):
        raise NbgraphError(f"{function.__name__} is a class; make a node of a class with @nb.invocation(type, ...)")
    if not inspect.isfunction(function):
        raise NbgraphError(f"a node is made of a function written with def, not of {value_text(function, 60)}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise NbgraphError(f"{function.__name__} is async or yields; a node's function returns its result")


def _signature(function: Callable[..., Any], contexts: list[str]) -> inspect.Signature:
    signature = inspect.signature(function)
    inputs = [each for name, each in signature.parameters.items() if name not in contexts]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=info.default, annotation=info.annotation)
        for name, info in BaseInvocation.model_fields.items()
    ]
    return inspect.Signature([*inputs, *common])


def _opened(value: Any, context: InvocationContext) -> Any:
    """The value with the pictures themselves in place of references."""
    return _walked(value, ImageField, context.images.get)


def _saved(value: Any, context: InvocationContext) -> Any:
    """The value with references in place of pictures, which are kept."""
    return _walked(value, Image, lambda picture: context.images.output(picture).image)


def _walked(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, list | tuple):
        return [_walked(item, kind, change) for item in value]
    if isinstance(value, dict):
        return {key: _walked(item, kind, change) for key, item in value.items()}
    return value
