"""Prompts: text in, conditioning out."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.refs import TextualInversionPatch
from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ClipField, ConditioningField
from nbgraph.invocations.outputs import ConditioningOutput
from nbgraph.invocations.prompt_syntax import unread_syntax


def save_conditioning(
    context: InvocationContext,
    encoded: Any,
    texts: Sequence[str],
    clip: ClipField | None = None,
    weighted: bool = False,
) -> ConditioningOutput:
    """Store an encoded prompt, warn of what the model does not see of it, and return the output that names it.

    Syntax in `texts` that was encoded as letters is warned about too. `clip` is the text encoder, whose textual
    inversions are read. `weighted` says that weights were read.
    """
    patches = clip.model.patches if clip is not None else ()
    tokens = [patch.token for patch in patches if isinstance(patch, TextualInversionPatch)]
    for warning in (*encoded.warnings, *unread_syntax(texts, weighted, tokens)):
        context.warn(warning)
    name = context.tensors.save(encoded, kind="conditioning")
    return ConditioningOutput(conditioning=ConditioningField(conditioning_name=name))


@invocation("prompt", title="Prompt", category="conditioning", version="1.0.0")
class Prompt(BaseInvocation):
    """Encodes a text with the model's text encoders, as it is written.

    It warns of words the model does not know, of text cut off, and of syntax that other nodes read: `(red:1.3)`.
    """

    text: str = Field(
        "", title="Prompt", description="What the image should show; encoded as it is written, without weights"
    )
    clip: ClipField = Field(
        title="Text encoders",
        description="Part of a model that reads prompts, from a Model node or one that changes it, such as LoRA",
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        try:
            family = context.models.describe(known["clip"].model).need_family() if "clip" in known else None
        except NbgraphError:
            return  # the node that names the model says so
        if family is not None and diffusion.needs_images(family):
            text = f"models of the family {family.key!r} read an instruction together with the image that it changes"
            yield "clip", f"{text}; use EditPrompt(text=..., reference=...) instead"

    def batch_key(self, context: InvocationContext) -> Hashable | None:
        family = context.models.describe(self.clip.model).need_family()
        return self.clip.model_dump_json() if diffusion.encodes_alike(family) else None

    def batch_pixels(self, context: InvocationContext) -> int:
        return 0

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        return self.invoke_batch([self], [context])[0]

    @staticmethod
    def invoke_batch(nodes: Sequence["Prompt"], contexts: Sequence[InvocationContext]) -> list[ConditioningOutput]:
        with contexts[0].models.use(nodes[0].clip.model, "text") as components:
            encoded = diffusion.encode_prompts(components, [node.text for node in nodes])
        return [
            save_conditioning(context, each, [node.text], node.clip)
            for node, context, each in zip(nodes, contexts, encoded)
        ]
