"""Nodes the graph tests need: they make ragged lists, fail when told to, and say what they are given."""

from typing import Any

from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import BooleanOutput, IntegerCollectionOutput, IntegerOutput


@invocation("test_spread", category="test", static=True)
class Spread(BaseInvocation):
    """A list whose length depends on a number: ten times it, and up; empty if it divides by `modulus`."""

    value: int = 0
    modulus: int = 3

    def invoke(self, context: InvocationContext) -> IntegerCollectionOutput:
        return IntegerCollectionOutput(collection=[self.value * 10 + k for k in range(self.value % self.modulus)])


@invocation("test_total", category="test", static=True)
class Total(BaseInvocation):
    """How many numbers there are in a list, lists in it counted through, and their sum."""

    collection: list[Any]

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=total(self.collection))


@invocation("test_fails", category="test")
class Fails(BaseInvocation):
    """Passes a number on, unless it is the one it fails at."""

    value: int = 0
    at: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        if self.value == self.at:
            raise ValueError(f"the value is {self.at}")
        return IntegerOutput(value=self.value)


@invocation("test_is_odd", category="test")
class IsOdd(BaseInvocation):
    """Whether a number is odd."""

    value: int = 0

    def invoke(self, context: InvocationContext) -> BooleanOutput:
        return BooleanOutput(value=self.value % 2 == 1)


def total(items: list[Any]) -> int:
    """The sum of all numbers in nested lists, each one more than it is."""
    return sum(total(item) if isinstance(item, list) else item + 1 for item in items)
