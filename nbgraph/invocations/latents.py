"""Denoise latents; and what the other nodes on latents share with that."""

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from traceback import format_exc
from typing import Any, Literal

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.refs import ControlLoraPatch, IpAdapterPatch
from nbgraph.diffusion.scheduler_names import SchedulerName
from nbgraph.errors import NbgraphError
from nbgraph.image_modes import as_mask, has_alpha, in_plain_mode
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.denoise_steps import (
    MOST_STEPS,
    listed,
    mask_problem,
    negative_problem,
    no_step_problem,
    sampling_options,
    shape_problem,
    step_at,
)
from nbgraph.invocations.fields import (
    ConditioningField,
    ControlField,
    DenoiseMaskField,
    IpAdapterField,
    LatentsField,
    ModelField,
    ReferenceField,
    T2iAdapterField,
    UNetField,
)
from nbgraph.invocations.inputs import RARE
from nbgraph.invocations.outputs import LatentsOutput
from nbgraph.invocations.references import load_references, reference_problems

logger = logging.getLogger("nbgraph")
Spacing = Literal["leading", "linspace", "trailing"]


def save_latents(context: InvocationContext, latents: Any) -> LatentsOutput:
    """Store latents, and return the output that names them."""
    field = LatentsField(latents_name=context.tensors.save(latents))
    return LatentsOutput(latents=field, width=latents.width, height=latents.height)


@invocation("denoise_latents", title="Denoise", category="latents", version="1.6.0")
class DenoiseLatents(BaseInvocation):
    """Denoises: from noise alone to a new picture, from latents and noise to a changed one.

    `denoising_start` and `denoising_end` are shares of the steps: 0.3 to 1.0 keeps what the latents show in coarse
    lines. A mask keeps the latents where it is black; ControlNets, T2I-Adapters and IP-Adapters steer by other
    pictures, one or a list of each.
    """

    unet: UNetField = Field(
        title="Denoiser",
        description="Part of a model that removes noise, from a Model node or one that changes it, such as LoRA",
    )
    positive: ConditioningField = Field(
        title="Positive prompt", description="What the image should show, encoded by a Prompt node"
    )
    negative: ConditioningField | None = Field(
        None,
        title="Negative prompt",
        description="What the image should not show, encoded; left open, there is no guidance",
    )
    noise: LatentsField | None = Field(None, description="Noise to begin with, or to add to latents")
    latents: LatentsField | None = Field(
        None, description="Latents to change; without them the image starts from noise alone"
    )
    denoise_mask: DenoiseMaskField | None = Field(
        None, title="Mask", description="Where to denoise; without it everywhere"
    )
    control: ControlField | list[ControlField] | None = Field(
        None, title="ControlNet", description="Control images and their ControlNets or control LoRAs, one or a list"
    )
    t2i_adapter: T2iAdapterField | list[T2iAdapterField] | None = Field(
        None, title="T2I-Adapter", description="Control images and their adapters, one or a list"
    )
    ip_adapter: IpAdapterField | list[IpAdapterField] | None = Field(
        None, title="IP-Adapter", description="Images as prompts, one adapter or a list"
    )
    reference: ReferenceField | None = Field(
        None, title="Reference images", description="Images that a model for editing is shown, from Reference images"
    )
    steps: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Number of denoising steps: more take longer, with less and less to gain; without, the model's own",
    )
    cfg_scale: float | None = Field(
        None,
        ge=0,
        title="Guidance",
        description="How strongly the image follows the prompt; 1 switches guidance off; left out, the model's own",
    )
    guidance: float | None = Field(
        None,
        ge=0,
        le=100,
        title="Distilled guidance",
        description="Guidance that distilled models such as FLUX.1 dev take as an input; the model's own without",
    )
    scheduler: SchedulerName = Field(
        "default", description="Sampling method; default is the model's own, names in _k use Karras sigmas"
    )
    shift: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Shift of a flow-matching model's steps towards noise; left out, the model's own for the size",
    )
    timestep_spacing: Spacing | None = Field(
        None, description="How steps are spread over the schedule; left out, as the model's scheduler says"
    )
    sigmas: list[float] | None = Field(
        None, max_length=1000, description="Noise levels of the steps, falling, without the last 0; one for each step"
    )
    denoising_start: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Start",
        description="Share of the schedule, 0 to 1, to skip; with latents, a higher share changes them less",
        json_schema_extra=RARE,
    )
    tile_size: int | None = Field(
        None,
        ge=8,
        le=32_768,
        title="Tile",
        description="Side of tiles in pixels, for images larger than the model was made for; left out, no tiles",
    )
    tile_overlap: int = Field(
        64,
        ge=0,
        le=16_384,
        description="Pixels that neighbouring tiles share and are blended over",
        json_schema_extra=RARE,
    )
    tiles_at_once: int = Field(
        1,
        ge=1,
        le=256,
        description="Tiles, or prompts of regions in them, computed at once: more memory, less time",
        json_schema_extra=RARE,
    )
    denoising_end: float = Field(
        1.0,
        ge=0,
        le=1,
        title="End",
        description="Share of the schedule, 0 to 1, at which to stop; below 1 some noise is left for another node",
        json_schema_extra=RARE,
    )

    @classmethod
    def arrival_problems(cls, linked: set[str]) -> Iterator[str]:
        if not linked & {"noise", "latents"}:
            yield "needs noise, or latents, or both to start from; link Noise(...) to noise"

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        start, end = known.get("denoising_start", 0.0), known.get("denoising_end", 1.0)
        if start >= end:
            yield "denoising_end", f"is {end}, and must be more than denoising_start, which is {start}"
        elif {"steps", "denoising_start", "denoising_end"} <= known.keys():
            yield from no_step_problem(self._steps(known, context), start, end)
        if known.get("tile_size") and known.get("tile_overlap", 0) > known["tile_size"] // 2:
            yield (
                "tile_overlap",
                f"is {known['tile_overlap']}, and must be at most half of the tile: {known['tile_size'] // 2}",
            )
        if known.get("steps") and known.get("sigmas") and known["steps"] != len(known["sigmas"]):
            yield "steps", f"is {known['steps']}, and there are {len(known['sigmas'])} sigmas; leave steps out"
        if "unet" in known:
            yield from self._model_problems(known, context)
            yield from negative_problem(self.negative, known["unet"].model, context)
            yield from reference_problems(self.reference, known, known["unet"].model, context)

    @staticmethod
    def _steps(known: Mapping[str, Any], context: InvocationContext) -> int:
        """Return the number of steps as far as it is known: the largest possible where the model is unknown."""
        given = known["steps"] or len(known.get("sigmas") or ())
        if given or "unet" not in known:
            return given or MOST_STEPS
        try:
            return diffusion.defaults_of(context.models.describe(known["unet"].model)).steps
        except NbgraphError:
            return MOST_STEPS  # the node that names the model says so

    @staticmethod
    def _model_problems(known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        """Yield (field, problem) for inputs that the model does not take, or that it needs."""
        try:
            model = context.models.describe(known["unet"].model)
        except NbgraphError:
            return  # the node that names the model says so
        family = model.family
        if known.get("guidance") is not None and family is not None and family.guidance is None:
            yield "guidance", f"models of the family {family.key!r} take no guidance as an input; use cfg_scale"
        if problem := mask_problem(model.inpaints, known):
            yield problem
        options = sampling_options(known.get("shift"), known.get("timestep_spacing"), known.get("sigmas"))
        if str(options) and "scheduler" in known:
            try:
                found = diffusion.sampling_problems(model, known["scheduler"], options)
            except NbgraphError as error:
                found = [("scheduler", str(error))]
            yield from (("timestep_spacing" if name == "spacing" else name, text) for name, text in found)

    def batch_key(self, context: InvocationContext) -> Hashable | None:
        """Return all inputs that images of a batch share, and the sizes and shapes of the others; None for edits."""
        if self.reference is not None:
            return None
        own = dict.fromkeys(("positive", "negative", "noise", "latents"), True)
        shared = self.model_dump_json(exclude={**own, "denoise_mask": {"latents"}})
        return shared, self._input(context).batch_key()

    def batch_pixels(self, context: InvocationContext) -> int:
        begin = self._latents(context, self.noise or self.latents)
        return begin.width * begin.height * len(begin)

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        return self.invoke_batch([self], [context])[0]

    @staticmethod
    def invoke_batch(nodes: Sequence["DenoiseLatents"], contexts: Sequence[InvocationContext]) -> list[LatentsOutput]:
        inputs = [node._input(context) for node, context in zip(nodes, contexts)]
        for context, given in zip(contexts, inputs):
            if given.lacks_noise:
                context.warn("the latents are of a finished picture and hold no noise to remove; link Noise to noise")
        first = nodes[0]
        pixels = sum(node.batch_pixels(context) for node, context in zip(nodes, contexts))
        done = first._denoise(inputs, contexts[0], pixels)
        return [save_latents(context, latents) for context, latents in zip(contexts, done)]

    def _denoise(self, inputs: Sequence[Any], context: InvocationContext, pixels: int) -> list[Any]:
        """Return the latents of several images, of `pixels` in all, all denoised with the inputs of this node."""
        settings = self._settings(context)
        factors = self._preview_factors(context)
        with ExitStack() as held:
            parts = self._parts(context)
            components = held.enter_context(context.models.use(self._adapted(), *parts, pixels=pixels))
            return diffusion.denoise_together(
                components,
                inputs,
                settings,
                mask=self._mask(context),
                differential=self.denoise_mask is not None and self.denoise_mask.differential,
                tiles=self._tiles(),
                controls=[self._control(context, each, held) for each in listed(self.control) if not each.is_lora],
                control_image=self._control_image(context),
                adapters=[self._adapter(context, adapter, held) for adapter in listed(self.t2i_adapter)],
                image_prompts=[self._image_prompt(context, adapter, held) for adapter in listed(self.ip_adapter)],
                masked=self._masked(context),
                references=self._references(context, held),
                on_step=context.progress,
                cancelled=context.is_cancelled,
                factors=factors,
            )

    def _settings(self, context: InvocationContext) -> Any:
        """Return the settings, with the defaults of the model for inputs that are left out."""
        model = context.models.describe(self.unet.model)
        usual = diffusion.defaults_of(model)
        steps = self.steps or len(self.sigmas or ()) or usual.steps
        cfg = diffusion.default_cfg(model, self.negative is not None) if self.cfg_scale is None else self.cfg_scale
        return diffusion.DenoiseSettings(
            steps=steps,
            cfg=cfg,
            guidance=usual.guidance if self.guidance is None else self.guidance,
            scheduler=self.scheduler,
            start=step_at(steps, self.denoising_start),
            end=step_at(steps, self.denoising_end),
            options=sampling_options(self.shift, self.timestep_spacing, self.sigmas),
        )

    def _tiles(self) -> Any:
        return self.tile_size and diffusion.Tiles(self.tile_size, self.tile_overlap, self.tiles_at_once)

    def _preview_factors(self, context: InvocationContext) -> Any:
        """Return the colours of previews, or None: then they are wrong, which is no reason for a run to fail."""
        if not context.wants_previews:
            return None
        try:
            return context.models.preview_factors(self.unet.model)
        except Exception:
            # as text: a traceback in the record would keep the tensors of its frames wherever records are kept
            logger.warning("previews of %s have no colours\n%s", self.unet.model.path, format_exc())
            return None

    def _input(self, context: InvocationContext) -> Any:
        """Return the inputs that belong to one image alone."""
        return diffusion.DenoiseInput(
            self._conditioning(context, self.positive),
            self._conditioning(context, self.negative),
            self._latents(context, self.noise),
            self._latents(context, self.latents),
            self._latents(context, self.denoise_mask.latents if self.denoise_mask else None),
        )

    def _mask(self, context: InvocationContext) -> Any:
        model = context.models.describe(self.unet.model)
        if self.denoise_mask is None or model.inpaints:
            return None
        if self.latents is None:
            raise NbgraphError("a mask needs latents, which it keeps where it is black, and noise; link both")
        kept = load_latents(context, self.latents)
        soft = self.denoise_mask.soft or self.denoise_mask.differential
        mask = in_plain_mode(context.images.get(self.denoise_mask.mask))
        if problem := shape_problem(mask.size, (kept.width, kept.height)):
            raise NbgraphError(f"the mask {problem}")
        if as_mask(mask).getbbox() is None:
            hint = "; if its shape is in its transparency, put MaskFromAlpha before it" if has_alpha(mask) else ""
            context.warn(f"the mask is black everywhere, so nothing is painted anew{hint}")
        return diffusion.latent_mask(model, mask, kept.width, kept.height, soft)

    def _masked(self, context: InvocationContext) -> Any:
        """Return the mask and the masked image for a model for inpainting; None for other models."""
        given = self.denoise_mask
        if given is None or given.image is None or given.vae is None:
            return None
        if not context.models.describe(self.unet.model).inpaints:
            return None
        if given.soft or given.differential:
            name = "soft" if given.soft else "differential"
            context.warn(f"models for inpainting take a hard mask, so {name} is not used")
        mask, image = (context.images.get(each) for each in (given.mask, given.image))
        if problem := shape_problem(mask.size, image.size):
            raise NbgraphError(f"the mask {problem}")
        with context.models.use(given.vae.model, "vae") as components:
            return diffusion.encode_masked_image(components, image, in_plain_mode(mask))

    def _adapted(self) -> ModelField:
        """Return the model with the IP-Adapters and control LoRAs as patches, in their order."""
        model = self.unet.model
        laid = [IpAdapterPatch(path=a.adapter.path, fingerprint=a.adapter.fingerprint) for a in listed(self.ip_adapter)]
        widened = [
            ControlLoraPatch(path=each.model.path, fingerprint=each.model.fingerprint, weight=each.weight)
            for each in listed(self.control)
            if each.is_lora
        ]
        return model.model_copy(update={"patches": (*model.patches, *widened, *laid)})

    def _control_image(self, context: InvocationContext) -> Any:
        """Return the image of a control LoRA; None without one."""
        image = next((each.image for each in listed(self.control) if each.is_lora), None)
        return None if image is None else diffusion.ControlImage(context.images.get(image))

    @staticmethod
    def _control(context: InvocationContext, control: ControlField, held: ExitStack) -> Any:
        nets = held.enter_context(context.models.use(control.model, "controlnet"))
        image = context.images.get(control.image)
        return diffusion.Control(nets["controlnet"], image, control.weight, control.begin, control.end, control.mode)

    @staticmethod
    def _adapter(context: InvocationContext, adapter: T2iAdapterField, held: ExitStack) -> Any:
        loaded = held.enter_context(context.models.use(adapter.model, "t2i_adapter"))
        image = context.images.get(adapter.image)
        return diffusion.T2iAdapter(loaded["t2i_adapter"], image, adapter.weight, adapter.begin, adapter.end)

    @staticmethod
    def _image_prompt(context: InvocationContext, adapter: IpAdapterField, held: ExitStack) -> Any:
        loaded = held.enter_context(context.models.use(adapter.image_encoder, "image_encoder"))
        images = [context.images.get(image) for image in adapter.images]
        return diffusion.ImagePrompt(loaded["image_encoder"], images, adapter.weight, adapter.begin, adapter.end)

    def _parts(self, context: InvocationContext) -> tuple[str, ...]:
        """The parts of the model that denoising needs; ControlNets of transformers need the VAE too."""
        encodes = self.control is not None and diffusion.encodes_controls(context.models.describe(self.unet.model))
        return ("denoiser", "vae") if encodes else ("denoiser",)

    def _references(self, context: InvocationContext, held: ExitStack) -> Any:
        if self.reference is None:
            return None
        loaded = held.enter_context(context.models.use(self.reference.vae.model, "vae"))
        return load_references(context, self.reference, loaded["vae"])

    @staticmethod
    def _conditioning(context: InvocationContext, field: ConditioningField | None) -> Any:
        if field is None:
            return None
        return diffusion.Conditioning.from_tensors(*context.tensors.get(field.conditioning_name))

    @staticmethod
    def _latents(context: InvocationContext, field: LatentsField | None) -> Any:
        return None if field is None else load_latents(context, field)


def load_latents(context: InvocationContext, field: LatentsField) -> Any:
    """Return the latents that a field names."""
    return diffusion.Latents.from_tensors(*context.tensors.get(field.latents_name))
