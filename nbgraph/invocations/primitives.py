"""Values as nodes: a number, a text, a colour, a reference that several nodes can share."""

from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ColorField, ConditioningField, LatentsField
from nbgraph.invocations.outputs import (
    BooleanOutput,
    ColorOutput,
    ConditioningOutput,
    FloatOutput,
    IntegerOutput,
    LatentsOutput,
    StringOutput,
)


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


@invocation("color", title="Color", category="primitives", version="1.0.0", static=True)
class Color(BaseInvocation):
    """A colour, by its parts, its name or its code."""

    color: ColorField = ColorField()

    def invoke(self, context: InvocationContext) -> ColorOutput:
        return ColorOutput(color=self.color)


@invocation("latents", title="Latents", category="primitives", version="1.0.0")
class Latents(BaseInvocation):
    """Latents of the studio."""

    latents: LatentsField

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        _, metadata = context.tensors.get(self.latents.latents_name)
        return LatentsOutput(latents=self.latents, width=metadata["width"], height=metadata["height"])


@invocation("conditioning", title="Conditioning", category="primitives", version="1.0.0", static=True)
class Conditioning(BaseInvocation):
    """An encoded prompt of the studio."""

    conditioning: ConditioningField

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        return ConditioningOutput(conditioning=self.conditioning)
