"""Nodes with the exact results of ComfyUI and A1111: their samplers, and their prompt syntax."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Literal

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.tool_names import ToolSamplerName, ToolScheduleName
from nbgraph.image_modes import in_plain_mode
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import (
    ClipField,
    ConditioningField,
    ControlField,
    DenoiseMaskField,
    ImageField,
    LatentsField,
    Seed,
    UNetField,
    Vae,
)
from nbgraph.invocations.latents import load_latents, save_latents
from nbgraph.invocations.outputs import ConditioningOutput, LatentsOutput
from nbgraph.invocations.prompt import save_conditioning

ToolName = Literal["comfy", "a1111"]
_UNET = "Part of a model that removes noise, from a Model node or one that changes it, such as LoRA"


@invocation("tool_prompt", title="Prompt of ComfyUI or A1111", category="conditioning", version="1.0.0")
class ToolPrompt(BaseInvocation):
    """Encodes a text as ComfyUI or A1111 does: `(word:1.2)`, and texts of any length in chunks of 75 tokens.

    For Stable Diffusion 1.5, 2 and XL; with other models a text without weights is encoded plainly. Of A1111 `BREAK`
    and `[word]` are read too, and the tokens of textual inversions over the text encoders. LoRA tags, `AND` and changes
    part-way are refused by name.
    """

    text: str = Field("", max_length=100_000, title="Prompt", description="What the image should show, with weights")
    clip: ClipField = Field(
        title="Text encoders",
        description="Part of a model that reads prompts, from a Model node or one that changes it, such as LoRA",
    )
    syntax: ToolName = Field("comfy", description="Program whose way of reading weights and long texts is followed")

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        with context.models.use(self.clip.model, "text") as components:
            encoded = diffusion.encode_tool_prompt(components, self.text, self.syntax)
        return save_conditioning(context, encoded, [])


@invocation("zero_conditioning", title="Zero conditioning", category="conditioning", version="1.0.0")
class ZeroConditioning(BaseInvocation):
    """Conditioning of the same shape, all zeros, as ComfyUI's ConditioningZeroOut gives it."""

    conditioning: ConditioningField = Field(description="Encoded prompt whose shape is taken")

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        tensors, metadata = context.tensors.get(self.conditioning.conditioning_name)
        zeros = {name: tensor * 0 if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
        return save_conditioning(context, diffusion.Conditioning.from_tensors(zeros, metadata), [])


class InpaintOutput(BaseInvocationOutput):
    """Latents to paint into, and where."""

    latents: LatentsField
    denoise_mask: DenoiseMaskField
    width: int
    height: int


@invocation("tool_inpaint", title="Encode for inpainting of ComfyUI", category="inpaint", version="1.0.0")
class ToolInpaint(BaseInvocation):
    """Encodes an image to be painted into, as ComfyUI's VAEEncodeForInpaint does: grey where the mask is white.

    The mask that it gives is larger by `grow_mask_by` pixels.
    """

    image: ImageField = Field(description="Image to paint into")
    mask: ImageField = Field(description="White where it is painted anew; transparent counts as black")
    vae: Vae
    grow_mask_by: int = Field(
        6, ge=0, le=64, title="Grow mask by", description="Pixels by which the mask is made larger, to hide the seam"
    )

    def invoke(self, context: InvocationContext) -> InpaintOutput:
        image = context.images.get(self.image)
        mask = in_plain_mode(context.images.get(self.mask))
        with context.models.use(self.vae.model, "vae") as components:
            latents, grown = diffusion.encode_for_inpainting(components, image, mask, self.grow_mask_by)
        kept = context.images.output(grown, category="mask").image
        saved = save_latents(context, latents)
        return InpaintOutput(
            latents=saved.latents,
            denoise_mask=DenoiseMaskField(mask=kept, soft=True),
            width=saved.width,
            height=saved.height,
        )


@invocation("tool_sampler", title="Sampler of ComfyUI or A1111", category="latents", version="1.1.0")
class ToolSampler(BaseInvocation):
    """Draws noise and denoises exactly as ComfyUI's KSampler and KSamplerAdvanced, or A1111, do.

    The noise of a batch is drawn at once; `batch_index` says which image of the batch this one is. Without latents it
    starts from an empty image of `width` x `height` pixels. `denoise` below 1 runs the last `steps` steps of a longer
    schedule; `start_step` and `end_step` cut the schedule, and without `leftover_noise` an early end removes all noise
    at once.
    """

    unet: UNetField = Field(title="Denoiser", description=_UNET)
    positive: ConditioningField = Field(title="Positive prompt", description="What the image should show, encoded")
    negative: ConditioningField | None = Field(
        None, title="Negative prompt", description="What the image should not show, encoded; open where guidance is off"
    )
    latents: LatentsField | None = Field(None, description="Latents to change; left out, an empty image")
    denoise_mask: DenoiseMaskField | None = Field(None, title="Mask", description="Where to denoise")
    control: ControlField | list[ControlField] | None = Field(
        None, title="ControlNet", description="Control images and their models, one or a list"
    )
    width: int | None = Field(None, gt=0, le=32_768, description="Width in pixels of an empty image")
    height: int | None = Field(None, gt=0, le=32_768, description="Height in pixels of an empty image")
    batch_size: int = Field(1, ge=1, le=4096, description="How many pictures the noise is drawn for at once")
    batch_index: int = Field(0, ge=0, le=4095, description="Which picture of the batch this is, from 0")
    seed: Seed = Field(None, description="Seed of the noise, up to 2**64 - 1; drawn anew at every run if left out")
    steps: int = Field(20, ge=1, le=10_000, description="Number of denoising steps")
    cfg_scale: float = Field(8.0, ge=0, title="Guidance", description="How strongly the image follows the prompt")
    guidance: float | None = Field(None, ge=0, description="Guidance that distilled models such as Flux are given")
    sampler: ToolSamplerName = Field("euler", description="Sampling method, by ComfyUI's name")
    schedule: ToolScheduleName = Field("normal", description="Noise levels of the steps, by ComfyUI's name")
    shift: float | None = Field(None, gt=0, le=100, description="Shift of flow-matching models; left out, the tool's")
    denoise: float = Field(1.0, ge=0, le=1, description="How much of the latents is changed: 1 is all")
    start_step: int = Field(0, ge=0, le=10_000, description="First step of the schedule that is done")
    end_step: int | None = Field(None, ge=0, le=10_000, description="Step at which it ends; left out, at the last one")
    add_noise: bool = Field(True, description="Whether noise is added; off for latents that still hold some")
    leftover_noise: bool = Field(False, description="Whether an early end leaves noise for another node")
    tool: ToolName = Field("comfy", description="Program whose way of beginning is followed")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if {"batch_size", "batch_index"} <= known.keys() and known["batch_index"] >= known["batch_size"]:
            yield "batch_index", f"is {known['batch_index']}, and the batch has {known['batch_size']} pictures, from 0"

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        model = context.models.describe(self.unet.model)
        seed = self.seed or 0
        if self.latents is None:
            begin = diffusion.empty_latents(model, self.width, self.height)
        else:
            begin = load_latents(context, self.latents)
        noise = None
        if self.add_noise:
            noise = diffusion.batch_noise(begin.tensor.shape, seed, self.batch_size, self.batch_index)
        settings = diffusion.ToolSettings(
            self.steps, self.cfg_scale, self.sampler, self.schedule, self.denoise, self.start_step, self.end_step,
            self.leftover_noise, self.shift, self.guidance, self.tool,
        )  # fmt: skip
        positive, negative = (self._conditioning(context, each) for each in (self.positive, self.negative))
        with ExitStack() as held:
            pixels = begin.width * begin.height * len(begin)
            components = held.enter_context(context.models.use(self.unet.model, "denoiser", pixels=pixels))
            done = diffusion.sample_as_tool(
                components,
                positive,
                negative,
                diffusion.with_seed(begin, seed),
                noise,
                settings,
                mask=self._mask(context, model, begin),
                controls=[self._control(context, each, held) for each in self._controls()],
                on_step=lambda step, steps, preview: context.progress(step, steps, preview),
                cancelled=context.is_cancelled,
            )
        return save_latents(context, done)

    def _controls(self) -> list[ControlField]:
        if self.control is None:
            return []
        return self.control if isinstance(self.control, list) else [self.control]

    def _mask(self, context: InvocationContext, model: Any, begin: Any) -> Any:
        if self.denoise_mask is None:
            return None
        mask = in_plain_mode(context.images.get(self.denoise_mask.mask))
        if self.tool == "comfy" and self.denoise_mask.soft:
            return diffusion.tool_mask(model, mask, begin.width, begin.height)
        return diffusion.latent_mask(model, mask, begin.width, begin.height, self.denoise_mask.soft)

    @staticmethod
    def _control(context: InvocationContext, control: ControlField, held: ExitStack) -> Any:
        nets = held.enter_context(context.models.use(control.model, "controlnet"))
        image = context.images.get(control.image)
        return diffusion.Control(nets["controlnet"], image, control.weight, control.begin, control.end)

    @staticmethod
    def _conditioning(context: InvocationContext, field: ConditioningField | None) -> Any:
        if field is None:
            return None
        return diffusion.Conditioning.from_tensors(*context.tensors.get(field.conditioning_name))
