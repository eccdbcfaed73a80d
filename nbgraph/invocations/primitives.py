"""Values as nodes: a number, a text, a truth value that several nodes can share."""

from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import BooleanOutput, FloatOutput, IntegerOutput, StringOutput


@invocation("integer", title="Integer", category="primitives", version="1.0.0", static=True)
class Integer(BaseInvocation):
    """A whole number."""

    value: int = 0

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.value)


@invocation("float", title="Float", category="primitives", version="1.0.0", static=True)
class Float(BaseInvocation):
    """A number."""

    value: float = 0.0

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=self.value)


@invocation("string", title="String", category="primitives", version="1.0.0", static=True)
class String(BaseInvocation):
    """A text."""

    value: str = ""

    def invoke(self, context: InvocationContext) -> StringOutput:
        return StringOutput(value=self.value)


@invocation("boolean", title="Boolean", category="primitives", version="1.0.0", static=True)
class Boolean(BaseInvocation):
    """True or false."""

    value: bool = False

    def invoke(self, context: InvocationContext) -> BooleanOutput:
        return BooleanOutput(value=self.value)
