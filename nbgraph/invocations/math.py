"""Arithmetic on whole numbers."""

from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput


@invocation("add", title="Add", category="math", version="1.0.0", static=True)
class Add(BaseInvocation):
    """a + b"""

    a: int = 0
    b: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.a + self.b)


@invocation("sub", title="Subtract", category="math", version="1.0.0", static=True)
class Subtract(BaseInvocation):
    """a - b"""

    a: int = 0
    b: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.a - self.b)


@invocation("mul", title="Multiply", category="math", version="1.0.0", static=True)
class Multiply(BaseInvocation):
    """a * b"""

    a: int = 0
    b: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.a * self.b)


@invocation("div", title="Divide", category="math", version="1.0.0")
class Divide(BaseInvocation):
    """a / b, cut off towards zero, exact for whole numbers of any size."""

    a: int = 0
    b: int = 1

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        if self.b == 0:
            raise ZeroDivisionError("b is 0; a number cannot be divided by zero")
        quotient = abs(self.a) // abs(self.b)
        return IntegerOutput(value=quotient if (self.a < 0) == (self.b < 0) else -quotient)
