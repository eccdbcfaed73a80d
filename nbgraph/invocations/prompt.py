"""Prompts: text in, conditioning out."""

from typing import Any

from nbgraph import diffusion
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ClipField, ConditioningField
from nbgraph.invocations.outputs import ConditioningOutput


def save_conditioning(context: InvocationContext, encoded: Any) -> ConditioningOutput:
    """Keep an encoded prompt, warn of what the model will not see of it, and give the output that names it."""
    for warning in encoded.warnings:
        context.warn(warning)
    name = context.tensors.save(encoded, kind="conditioning")
    return ConditioningOutput(conditioning=ConditioningField(conditioning_name=name))


@invocation("prompt", title="Prompt", category="conditioning", version="1.0.0")
class Prompt(BaseInvocation):
    """Encodes a text with the model's text encoders; warns of words the model does not know and of text cut off."""

    text: str = ""
    clip: ClipField

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        with context.models.use(self.clip.model, "text") as components:
            encoded = diffusion.encode_prompt(components, self.text)
        return save_conditioning(context, encoded)
