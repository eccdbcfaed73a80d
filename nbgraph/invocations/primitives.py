"""Values as nodes: a number, a text, a colour, a reference that several nodes can share."""

from pydantic import Field

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

    value: int = Field(0, description="The whole number to pass on")

    def invoke(self, context: InvocationContext) -> IntegerOutput:
        return IntegerOutput(value=self.value)


@invocation("float", title="Float", category="primitives", version="1.0.0", static=True)
class Float(BaseInvocation):
    """A number."""

    value: float = Field(0.0, description="The number to pass on")

    def invoke(self, context: InvocationContext) -> FloatOutput:
        return FloatOutput(value=self.value)


@invocation("string", title="String", category="primitives", version="1.0.0", static=True)
class String(BaseInvocation):
    """A text."""

    value: str = Field("", description="The text to pass on")

    def invoke(self, context: InvocationContext) -> StringOutput:
        return StringOutput(value=self.value)


@invocation("boolean", title="Boolean", category="primitives", version="1.0.0", static=True)
class Boolean(BaseInvocation):
    """True or false."""

    value: bool = Field(False, description="The truth value to pass on")

    def invoke(self, context: InvocationContext) -> BooleanOutput:
        return BooleanOutput(value=self.value)


@invocation("color", title="Color", category="primitives", version="1.0.0", static=True)
class Color(BaseInvocation):
    """A colour, by its parts, its name or its code."""

    color: ColorField = Field(
        ColorField(),
        description="The colour to pass on: a name, a code such as #ff8800, or r, g, b and a from 0 to 255",
    )

    def invoke(self, context: InvocationContext) -> ColorOutput:
        return ColorOutput(color=self.color)


@invocation("latents", title="Latents", category="primitives", version="1.0.0")
class Latents(BaseInvocation):
    """Latents of the studio."""

    latents: LatentsField = Field(description="Latents of the studio to pass on")

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        _, metadata = context.tensors.get(self.latents.latents_name)
        return LatentsOutput(latents=self.latents, width=metadata["width"], height=metadata["height"])


@invocation("conditioning", title="Conditioning", category="primitives", version="1.0.0", static=True)
class Conditioning(BaseInvocation):
    """An encoded prompt of the studio."""

    conditioning: ConditioningField = Field(description="Encoded prompt of the studio to pass on")

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        return ConditioningOutput(conditioning=self.conditioning)
