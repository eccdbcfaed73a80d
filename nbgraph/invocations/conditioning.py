"""Encoded prompts put together, with the meaning that ComfyUI gives it."""

from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ConditioningField, ImageField
from nbgraph.invocations.outputs import ConditioningOutput
from nbgraph.invocations.pictures import open_mask
from nbgraph.invocations.prompt import save_conditioning


@invocation("conditioning_combine", title="Combine prompts", category="conditioning", version="1.0.0")
class CombineConditioning(BaseInvocation):
    """Two encoded prompts for one image, as ComfyUI's ConditioningCombine: it follows both at once.

    At each step the denoiser predicts with each prompt, and the predictions are averaged: with masks from Prompt in a
    region, each prompt counts in its region. It takes as long as that many images.
    """

    conditioning_1: ConditioningField = Field(title="First prompt", description="Prompt for the image")
    conditioning_2: ConditioningField = Field(title="Second prompt", description="Another prompt for the same image")

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        parts = [load_conditioning(context, each) for each in (self.conditioning_1, self.conditioning_2)]
        return save_conditioning(context, diffusion.combine_conditioning(parts), [])


@invocation("conditioning_mask", title="Prompt in a region", category="conditioning", version="1.0.0")
class MaskConditioning(BaseInvocation):
    """An encoded prompt that counts where a mask is white, as ComfyUI's ConditioningSetMask.

    Combine it with prompts for the rest of the image. Where several prompts count, they count by their strengths.
    """

    conditioning: ConditioningField = Field(title="Prompt", description="Prompt for a part of the image")
    mask: ImageField = Field(description="White where the prompt counts; brought to the size of the image")
    strength: float = Field(1.0, gt=0, le=10, description="How much it counts beside other prompts")

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        given, mask = load_conditioning(context, self.conditioning), open_mask(context, self.mask)
        return save_conditioning(context, diffusion.masked_conditioning(given, mask, self.strength), [])


@invocation("conditioning_average", title="Average prompts", category="conditioning", version="1.0.0")
class AverageConditioning(BaseInvocation):
    """The weighted average of two encoded prompts, as ComfyUI's ConditioningAverage: a blend of their meanings."""

    conditioning_to: ConditioningField = Field(title="Prompt at 1", description="Prompt that counts by the strength")
    conditioning_from: ConditioningField = Field(title="Prompt at 0", description="Prompt that counts by the rest")
    strength: float = Field(0.5, ge=0, le=1, description="Share of the first prompt, 0 to 1")

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        to, other = (load_conditioning(context, each) for each in (self.conditioning_to, self.conditioning_from))
        return save_conditioning(context, diffusion.average_conditioning(to, other, self.strength), [])


@invocation("conditioning_concat", title="Join prompts", category="conditioning", version="1.0.0")
class ConcatConditioning(BaseInvocation):
    """Two encoded prompts one after the other, as ComfyUI's ConditioningConcat: the denoiser sees all their tokens.

    Texts that are longer than a text encoder reads are encoded in parts and joined. Models with a UNet need a negative
    prompt of the same length: join it with an empty one.
    """

    conditioning_to: ConditioningField = Field(title="First prompt", description="Prompt whose tokens come first")
    conditioning_from: ConditioningField = Field(title="Second prompt", description="Prompt whose tokens come after")

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        parts = [load_conditioning(context, each) for each in (self.conditioning_to, self.conditioning_from)]
        return save_conditioning(context, diffusion.concat_conditioning(parts), [])


def load_conditioning(context: InvocationContext, field: ConditioningField) -> Any:
    """Return the encoded prompt that a field names."""
    return diffusion.Conditioning.from_tensors(*context.tensors.get(field.conditioning_name))
