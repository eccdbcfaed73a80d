"""Arithmetic nodes. An operation without a result is refused before the run if its numbers are known then."""

import random
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import ceil, floor, trunc
from typing import Any, Literal

from pydantic import Field

from nbgraph.invocations.arithmetic import (
    FloatOperation,
    IntegerOperation,
    compute_float,
    compute_integer,
    divide,
    float_problem,
    integer_problem,
)
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import DRAWN_MAX, Seed
from nbgraph.invocations.outputs import FloatOutput, IntegerOutput

Rounding = Literal["Nearest", "Floor", "Ceiling", "Truncate"]


def _nearest(number: Fraction) -> int:
    return trunc(number + (Fraction(1, 2) if number >= 0 else Fraction(-1, 2)))


WHOLE: dict[Rounding, Callable[[Fraction], int]] = {
    "Floor": floor,
    "Ceiling": ceil,
    "Truncate": trunc,
    "Nearest": _nearest,
}


@invocation("add", title="Add", category="math", version="1.0.0", static=True)
class Add(BaseInvocation):
    """a + b"""

    a: int = Field(0, description="First number")
    b: int = Field(0, description="Number to add to it")

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.a + self.b)


@invocation("sub", title="Subtract", category="math", version="1.0.0", static=True)
class Subtract(BaseInvocation):
    """a - b"""

    a: int = Field(0, description="Number to subtract from")
    b: int = Field(0, description="Number to subtract")

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.a - self.b)


@invocation("mul", title="Multiply", category="math", version="1.0.0", static=True)
class Multiply(BaseInvocation):
    """a * b"""

    a: int = Field(0, description="First number")
    b: int = Field(0, description="Number to multiply it by")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"a", "b"} <= known.keys():
            yield from integer_problem("MUL", known["a"], known["b"])

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=compute_integer("MUL", self.a, self.b))


@invocation("div", title="Divide", category="math", version="1.0.0", static=True)
class Divide(BaseInvocation):
    """a / b, cut off towards zero, exact for whole numbers of any size."""

    a: int = Field(0, description="Dividend")
    b: int = Field(1, description="Divisor, not 0")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if known.get("b") == 0:
            yield "b", "is 0, and a number cannot be divided by zero; give it another value"

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        # `check` sees typed numbers only; this one may have come over an edge
        if self.b == 0:
            raise ZeroDivisionError("b is 0; a number cannot be divided by zero")
        # not `//`, which rounds down, nor `/`, which is a float
        return IntegerOutput(value=divide(self.a, self.b))


@invocation("rand_int", title="Random integer", category="math", version="1.0.0")
class RandomInteger(BaseInvocation):
    """A random whole number from low up to, not including, high; the same for the same seed, a new one without."""

    low: int = Field(0, description="Smallest number")
    high: int = Field(DRAWN_MAX, description="Upper end, not included")
    seed: Seed = Field(None, description="Seed of the number; drawn anew at every run if left out")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"low", "high"} <= known.keys() and known["high"] <= known["low"]:
            yield "high", f"is {known['high']}, and must be more than low, which is {known['low']}"

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=random.Random(self.seed).randrange(self.low, self.high))


@invocation("rand_float", title="Random float", category="math", version="1.0.0")
class RandomFloat(BaseInvocation):
    """A random number from low to high, rounded to so many decimals; the same for the same seed, a new one without."""

    low: float = Field(0.0, description="Smallest number")
    high: float = Field(1.0, description="Largest number")
    decimals: int = Field(2, ge=0, le=15, description="Decimal places to round to")
    seed: Seed = Field(None, description="Seed of the number; drawn anew at every run if left out")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"low", "high"} <= known.keys() and known["high"] < known["low"]:
            yield "high", f"is {known['high']}, and must not be less than low, which is {known['low']}"

    def invoke(self, context: InvocationContext) -> FloatOutput:
        drawn = round(random.Random(self.seed).uniform(self.low, self.high), self.decimals)
        # rounding can leave the range
        return FloatOutput(value=min(max(drawn, self.low), self.high))


@invocation("float_to_int", title="Float to integer", category="math", version="1.0.0", static=True)
class FloatToInteger(BaseInvocation):
    """A number as a whole number, or as a whole multiple of one; `Nearest` takes a half away from zero."""

    value: float = Field(0.0, description="Number to round")
    multiple: int = Field(1, ge=1, description="Round to a multiple of this, such as 8 for image sizes")
    method: Rounding = Field(
        "Nearest", description="Direction: Nearest, Floor (down), Ceiling (up) or Truncate (towards zero)"
    )

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        # fractions, because dividing floats rounds before it is asked to
        share = Fraction(self.value) / self.multiple
        return IntegerOutput(value=WHOLE[self.method](share) * self.multiple)


@invocation("round_float", title="Round float", category="math", version="1.0.0", static=True)
class RoundFloat(BaseInvocation):
    """A number rounded to so many decimals; negative ones round to tens, hundreds."""

    value: float = Field(0.0, description="Number to round")
    decimals: int = Field(0, ge=-15, le=15, description="Decimal places to keep; -1 rounds to tens")

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=round(self.value, self.decimals))


@invocation("integer_math", title="Integer math", category="math", version="1.0.0", static=True)
class IntegerMath(BaseInvocation):
    """One operation on whole numbers, exact; DIV cuts off towards zero, MOD has the sign of b, ABS is of a."""

    operation: IntegerOperation = Field(
        "ADD", description="Operation to perform; EXP is a to the power of b, ABS uses a alone"
    )
    a: int = Field(1, description="First number")
    b: int = Field(1, description="Second number")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"operation", "a", "b"} <= known.keys():
            yield from integer_problem(known["operation"], known["a"], known["b"])

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=compute_integer(self.operation, self.a, self.b))


@invocation("float_math", title="Float math", category="math", version="1.0.0", static=True)
class FloatMath(BaseInvocation):
    """One operation on numbers; SQRT and ABS are of a."""

    operation: FloatOperation = Field(
        "ADD", description="Operation to perform; EXP is a to the power of b, SQRT and ABS use a alone"
    )
    a: float = Field(1.0, description="First number")
    b: float = Field(1.0, description="Second number")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"operation", "a", "b"} <= known.keys():
            yield from float_problem(known["operation"], known["a"], known["b"])

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=compute_float(self.operation, self.a, self.b))
