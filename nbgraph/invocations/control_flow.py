"""Iterate, collect, if and zip: the nodes that decide how often others run."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.inputs import Many
from nbgraph.invocations.limits import check_list
from nbgraph.invocations.outputs import CollectionOutput
from nbgraph.invocations.types import assignable, item_type, type_name


class IterateOutput(BaseInvocationOutput):
    """One item of a list, its place in it (from 0), and how many there are."""

    main_field = "item"
    item: Any
    index: int
    total: int


@invocation("iterate", title="Iterate", category="control flow", version="1.0.0", use_cache=False)
class Iterate(BaseInvocation):
    """Runs the nodes after it once for each item of a list, in order."""

    output_types_vary = True

    collection: list[Any] = Field(title="List", description="List whose items are used one after the other")

    @classmethod
    def output_types(cls, arriving: Mapping[str, list[Any]]) -> tuple[dict[str, Any], str]:
        sources = arriving.get("collection", [])
        if not sources:
            return {}, ""
        item = item_type(sources[0])
        return {"item": Any if item is None else item}, ""

    def invoke(self, context: InvocationContext) -> IterateOutput:
        raise NotImplementedError("the session hands out the items")


@invocation("collect", title="Collect", category="control flow", version="1.0.0", use_cache=False)
class Collect(BaseInvocation):
    """Collects the results of the innermost iterations in one list, in order; items of `collection` come first."""

    output_types_vary = True

    item: Annotated[Any, Many()] = Field(None, description="What to collect; takes any number of links")
    collection: list[Any] = Field([], title="List", description="List that comes before the collected items")

    @classmethod
    def output_types(cls, arriving: Mapping[str, list[Any]]) -> tuple[dict[str, Any], str]:
        types = list(arriving.get("item", []))
        types += [item for source in arriving.get("collection", []) if (item := item_type(source)) is not None]
        if not types:
            return {}, ""
        # the type that all others can be assigned to, as float for int and float
        widest = next((one for one in types if all(assignable(other, one) for other in types)), None)
        if widest is None:
            names = ", ".join(dict.fromkeys(map(type_name, types)))
            return {}, f"collects values that have no type in common ({names}); use one collect for each type"
        return {"collection": list[widest]}, ""

    @classmethod
    def arrival_problems(cls, linked: set[str]) -> Iterator[str]:
        if not linked:
            yield "nothing arrives; give it at least one edge on item or collection"

    def invoke(self, context: InvocationContext) -> CollectionOutput:
        check_list(len(self.collection) + len(self.item or ()))
        return CollectionOutput(collection=[*self.collection, *(self.item or ())])


class IfOutput(BaseInvocationOutput):
    """The value of the branch that was taken."""

    value: Any


@invocation("if", title="If", category="control flow", version="1.0.0", use_cache=False)
class If(BaseInvocation):
    """Passes one of two values on. Nodes that only the other branch needs do not run, decided for each iteration."""

    output_types_vary = True

    condition: bool = Field(description="Which input to pass on: the true or the false one")
    true_input: Any = Field(None, title="If true", description="What to pass on if the condition is true")
    false_input: Any = Field(None, title="If false", description="What to pass on if the condition is false")

    @classmethod
    def output_types(cls, arriving: Mapping[str, list[Any]]) -> tuple[dict[str, Any], str]:
        types = [*arriving.get("true_input", []), *arriving.get("false_input", [])]
        widest = next((one for one in types if all(assignable(other, one) for other in types)), Any)
        return ({"value": widest} if types else {}), ""

    def invoke(self, context: InvocationContext) -> IfOutput:
        return IfOutput(value=self.true_input if self.condition else self.false_input)


@invocation("zip", title="Zip", category="control flow", version="1.0.0", static=True)
class Zip(BaseInvocation):
    """Pairs the items of two lists of equal length: [[a0, b0], [a1, b1], ...]. `item_of` returns one of a pair."""

    a: list[Any] = Field(title="First list", description="List of first items")
    b: list[Any] = Field(title="Second list", description="List of second items, equally long")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"a", "b"} <= known.keys() and len(known["a"]) != len(known["b"]):
            yield "b", f"a has {len(known['a'])} items and b has {len(known['b'])}; give lists of equal length"

    def invoke(self, context: InvocationContext) -> CollectionOutput:
        if len(self.a) != len(self.b):
            raise ValueError(f"a has {len(self.a)} items and b has {len(self.b)}; give lists of equal length")
        return CollectionOutput(collection=[list(pair) for pair in zip(self.a, self.b)])


class ItemOutput(BaseInvocationOutput):
    """One item of a list."""

    item: Any


@invocation("item_of", title="Item of", category="control flow", version="1.0.0", static=True)
class ItemOf(BaseInvocation):
    """The item at a place in a list, from 0; negative places count from the end."""

    output_types_vary = True

    collection: list[Any] = Field(title="List", description="List to take from")
    index: int = Field(0, description="Place in the list, from 0; -1 is the last item")

    @classmethod
    def output_types(cls, arriving: Mapping[str, list[Any]]) -> tuple[dict[str, Any], str]:
        sources = arriving.get("collection", [])
        item = item_type(sources[0]) if sources else None
        return ({"item": item} if item is not None else {}), ""

    def invoke(self, context: InvocationContext) -> ItemOutput:
        if not -len(self.collection) <= self.index < len(self.collection):
            raise IndexError(f"the list has {len(self.collection)} items, so there is none at {self.index}")
        return ItemOutput(item=self.collection[self.index])
