"""Nodes that make lists: ranges, and typed lists."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import DRAWN_MAX, ConditioningField, ImageField, LatentsField, Seed
from nbgraph.invocations.limits import MAX_LIST, numbers_problem
from nbgraph.invocations.outputs import (
    BooleanCollectionOutput,
    ConditioningCollectionOutput,
    FloatCollectionOutput,
    ImageCollectionOutput,
    IntegerCollectionOutput,
    LatentsCollectionOutput,
    SeededIntegerCollectionOutput,
    StringCollectionOutput,
)


@invocation("range", title="Range", category="collections", version="1.0.0", static=True)
class Range(BaseInvocation):
    """Whole numbers from start up to, not including, stop; empty if there are none, downwards if step is negative."""

    start: int = Field(0, description="First number")
    stop: int = Field(10, description="Upper end, not included")
    step: int = Field(1, description="Difference between neighbours; negative counts down, not 0")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"start", "stop", "step"} <= known.keys() and (found := _range_problem(**known)):
            yield found

    def invoke(self, context: InvocationContext) -> IntegerCollectionOutput:
        if found := _range_problem(self.start, self.stop, self.step):
            raise ValueError(" ".join(found))
        return IntegerCollectionOutput(collection=list(range(self.start, self.stop, self.step)))


def _range_problem(start: int, stop: int, step: int) -> tuple[str, str] | None:
    if step == 0:
        return "step", "is 0, so the range would never end; give it another step"
    # computed, because `len(range(...))` overflows for numbers beyond 2**63
    length = (stop - start + step - (1 if step > 0 else -1)) // step
    if length > MAX_LIST:
        return "stop", f"makes a list of {length:,} numbers, and a range has at most {MAX_LIST:,}; shorten it"
    problem = numbers_problem(start, stop, step)
    return ("stop", problem) if problem else None


@invocation("range_of_size", title="Range of size", category="collections", version="1.0.0", static=True)
class RangeOfSize(BaseInvocation):
    """A number of whole numbers from start, step apart."""

    start: int = Field(0, description="First number")
    size: int = Field(1, ge=0, le=MAX_LIST, title="Count", description="How many numbers")
    step: int = Field(1, description="Difference between neighbours")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"start", "size", "step"} <= known.keys() and (problem := self._problem(**known)):
            yield "step", problem

    def invoke(self, context: InvocationContext) -> IntegerCollectionOutput:
        if problem := self._problem(self.start, self.size, self.step):
            raise NbgraphError(f"this {problem}")
        return IntegerCollectionOutput(collection=[self.start + place * self.step for place in range(self.size)])

    @staticmethod
    def _problem(start: int, size: int, step: int) -> str:
        return numbers_problem(start, start + size * step)


@invocation("random_range", title="Random range", category="collections", version="1.0.0")
class RandomRange(BaseInvocation):
    """A number of random whole numbers from low up to, not including, high; the same for the same seed."""

    low: int = Field(0, description="Smallest number")
    high: int = Field(DRAWN_MAX, description="Upper end, not included")
    size: int = Field(1, ge=0, le=MAX_LIST, title="Count", description="How many numbers")
    seed: Seed = Field(None, description="Seed of the numbers; drawn anew at every run if left out")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"low", "high"} <= known.keys() and known["high"] <= known["low"]:
            yield "high", f"is {known['high']}, and must be more than low, which is {known['low']}"
        elif {"low", "high"} <= known.keys() and (problem := numbers_problem(known["low"], known["high"])):
            yield "high", problem

    def invoke(self, context: InvocationContext) -> SeededIntegerCollectionOutput:
        if problem := numbers_problem(self.low, self.high):
            raise NbgraphError(f"this {problem}")
        generator = random.Random(self.seed)
        numbers = [generator.randrange(self.low, self.high) for _ in range(self.size)]
        return SeededIntegerCollectionOutput(collection=numbers, seed=self.seed or 0)


@invocation("float_range", title="Float range", category="collections", version="1.0.0", static=True)
class FloatRange(BaseInvocation):
    """A number of evenly spaced numbers from start to stop, both included."""

    start: float = Field(5.0, description="First number")
    stop: float = Field(10.0, description="Last number, included")
    steps: int = Field(30, ge=1, le=MAX_LIST, title="Count", description="How many numbers")

    def invoke(self, context: InvocationContext) -> FloatCollectionOutput:
        if self.steps == 1:
            return FloatCollectionOutput(collection=[self.start])
        width = self.stop - self.start
        return FloatCollectionOutput(
            # multiplied, not added up: rounding errors would add up too
            collection=[self.start + width * place / (self.steps - 1) for place in range(self.steps)]
        )


@invocation("integer_collection", title="Integers", category="collections", version="1.0.0", static=True)
class IntegerCollection(BaseInvocation):
    """A list of whole numbers."""

    collection: list[int] = Field([], title="Items", description="The whole numbers of the list")

    def invoke(self, context: InvocationContext) -> IntegerCollectionOutput:
        return IntegerCollectionOutput(collection=self.collection)


@invocation("float_collection", title="Floats", category="collections", version="1.0.0", static=True)
class FloatCollection(BaseInvocation):
    """A list of numbers."""

    collection: list[float] = Field([], title="Items", description="The numbers of the list")

    def invoke(self, context: InvocationContext) -> FloatCollectionOutput:
        return FloatCollectionOutput(collection=self.collection)


@invocation("string_collection", title="Strings", category="collections", version="1.0.0", static=True)
class StringCollection(BaseInvocation):
    """A list of texts."""

    collection: list[str] = Field([], title="Items", description="The texts of the list")

    def invoke(self, context: InvocationContext) -> StringCollectionOutput:
        return StringCollectionOutput(collection=self.collection)


@invocation("boolean_collection", title="Booleans", category="collections", version="1.0.0", static=True)
class BooleanCollection(BaseInvocation):
    """A list of truth values."""

    collection: list[bool] = Field([], title="Items", description="The truth values of the list")

    def invoke(self, context: InvocationContext) -> BooleanCollectionOutput:
        return BooleanCollectionOutput(collection=self.collection)


@invocation("image_collection", title="Images", category="collections", version="1.0.0", static=True)
class ImageCollection(BaseInvocation):
    """A list of pictures."""

    collection: list[ImageField] = Field([], title="Items", description="The images of the list")

    def invoke(self, context: InvocationContext) -> ImageCollectionOutput:
        return ImageCollectionOutput(collection=self.collection)


@invocation("latents_collection", title="Latents", category="collections", version="1.0.0", static=True)
class LatentsCollection(BaseInvocation):
    """A list of latents."""

    collection: list[LatentsField] = Field([], title="Items", description="The latents of the list")

    def invoke(self, context: InvocationContext) -> LatentsCollectionOutput:
        return LatentsCollectionOutput(collection=self.collection)


@invocation("conditioning_collection", title="Conditionings", category="collections", version="1.0.0", static=True)
class ConditioningCollection(BaseInvocation):
    """A list of encoded prompts."""

    collection: list[ConditioningField] = Field([], title="Items", description="The encoded prompts of the list")

    def invoke(self, context: InvocationContext) -> ConditioningCollectionOutput:
        return ConditioningCollectionOutput(collection=self.collection)
