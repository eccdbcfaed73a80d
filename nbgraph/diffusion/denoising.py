"""Noise to latents, by the family's own pipeline: all steps or some of them, alone or over a picture and a mask."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.families import Family
from nbgraph.diffusion.loop import Loop
from nbgraph.diffusion.masks import keep_outside, mix_noise
from nbgraph.diffusion.packing import pack, unpack
from nbgraph.diffusion.pipelines import make_pipeline
from nbgraph.diffusion.preview import preview_image
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.schedulers import DEFAULT
from nbgraph.diffusion.values import Conditioning, Latents, Window, generator_states, generators_of
from nbgraph.errors import ModelError

StepCallback = Callable[[int, int, Callable[[], Image.Image]], None]
"""Called as `(step, steps, preview)` after each step: steps done, steps in all, what draws the predicted picture."""


@dataclass(frozen=True)
class DenoiseSettings:
    """How to denoise.

    `cfg` is the scale of classifier-free guidance, against the negative conditioning. `guidance` is the scale that
    distilled models (Flux) take as an input; None is the pipeline's own. `start` and `end` are steps out of `steps`;
    `end` None is the last. `scheduler` is a name of `schedulers.SCHEDULER_NAMES`.
    """

    steps: int = 20
    cfg: float = 7.5
    scheduler: str = DEFAULT
    start: int = 0
    end: int | None = None
    guidance: float | None = None

    def check(self) -> None:
        """`ModelError` unless 0 <= start <= end <= steps and steps > 0."""
        end = self.steps if self.end is None else self.end
        if self.steps < 1 or not 0 <= self.start <= end <= self.steps:
            raise ModelError(
                f"cannot denoise from step {self.start} to {end} of {self.steps}: steps must be at least 1, "
                "and start and end in order within them"
            )


@torch.no_grad()
def denoise(
    components: Components,
    positive: Conditioning,
    negative: Conditioning | None,
    noise: Latents | None = None,
    latents: Latents | None = None,
    settings: DenoiseSettings = DenoiseSettings(),  # noqa: B008
    mask: Tensor | None = None,
    on_step: StepCallback | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    factors: Tensor | None = None,
) -> Latents:
    """Denoise; needs the component `denoiser`. What is given decides what is done:

    - `noise` alone: a new picture.
    - `latents` and `noise`: the latents are mixed with the noise of step `start`, and denoised from there
      (`start` = steps * (1 - strength)).
    - `latents` alone: go on from where they are; those that stopped at step `start` go on as if they never had.

    One conditioning serves every picture, or each has its own. `mask` (h, w) or (B, 1, h, w) in [0, 1], in latents,
    keeps `latents` where it is 0. Without `negative` there is no classifier-free guidance (SDXL that was trained with
    empty prompts as zeros takes zeros); a model that needs one for its `cfg` is an error. After each step `on_step`
    is called and `cancelled` asked: `CancelledError`, and the components are as good as before. `factors` (of
    `preview.fit_factors`) colour the previews.
    """
    settings.check()
    family = components.model.need_family()
    begin = _beginning(family, noise, latents, settings)
    _check_inputs(family, positive, negative, begin, settings)
    call = _call_arguments(components, family, positive, negative, begin, settings)
    tensor = begin.tensor
    if latents is not None and noise is not None:
        tensor = _noised(components, call, latents, noise, settings)
    loop = Loop(
        settings.steps,
        settings.start,
        settings.end,
        resume=latents is not None or settings.start > 0,
        solver=_solver_to_resume(latents if noise is None else None, settings),
        after_step=_reporter(components, begin, on_step, factors) if on_step else None,
        cancelled=cancelled,
    )
    if mask is not None:
        loop.change = keep_outside(components, mask, latents, noise, begin)
    generators = generators_of(begin)
    pipeline = make_pipeline(components, scheduler=settings.scheduler, loop=loop)
    result = _run(pipeline, call, pack(components, tensor), generators)
    finished = unpack(components, result, begin.width, begin.height).float().to("cpu", copy=True)
    stopped = loop.last < settings.steps
    return replace(
        begin,
        tensor=finished,
        rng_states=generator_states(generators),
        window=Window(settings.start, loop.last, settings.steps, settings.scheduler),
        solver=loop.solver_state(pipeline.scheduler) if stopped else None,
    )


def _run(pipeline: Any, call: dict[str, Any], latents: Tensor, generators: list[torch.Generator]) -> Tensor:
    with quiet():
        try:
            return pipeline(**call, latents=latents, generator=generators, output_type="latent", return_dict=False)[0]
        except (ValueError, TypeError) as error:
            raise ModelError(f"{type(pipeline).__name__} refuses these inputs: {error}") from error


def _beginning(family: Family, noise: Latents | None, latents: Latents | None, settings: DenoiseSettings) -> Latents:
    """The value whose size and generators the result carries on."""
    given = [value for value in (noise, latents) if value is not None]
    if not given:
        raise ModelError("denoising needs noise, or latents, or both; it was given neither")
    for value in given:
        if value.family and value.family != family.key:
            raise ModelError(
                f"these latents are of a model of the family {value.family!r}, and this one is of "
                f"{family.key!r}; decode them to a picture and encode that"
            )
    if noise is not None and latents is not None and noise.tensor.shape[-3:] != latents.tensor.shape[-3:]:
        raise ModelError(
            f"the noise is for {noise.width}x{noise.height} and the latents are "
            f"{latents.width}x{latents.height}; draw noise of the same size"
        )
    if not family.windows and (settings.start or settings.end not in (None, settings.steps) or latents is not None):
        raise ModelError(
            f"the pipeline of the family {family.key!r} cannot start or stop part-way, and so takes only "
            "noise and all its steps"
        )
    begin = given[0]
    return replace(begin, family=family.key)


def _check_inputs(
    family: Family, positive: Conditioning, negative: Conditioning | None, begin: Latents, settings: DenoiseSettings
) -> None:
    for name, value in (("positive", positive), ("negative", negative)):
        if value is None:
            continue
        if value.family != family.key:
            raise ModelError(
                f"the {name} conditioning is of a model of the family {value.family!r}, and this one is of "
                f"{family.key!r}; encode the text with this model"
            )
        if len(value) not in (1, len(begin)):
            raise ModelError(
                f"there are {len(value)} {name} conditionings for {len(begin)} pictures: one for all of "
                "them or one for each is needed"
            )


def _call_arguments(
    components: Components,
    family: Family,
    positive: Conditioning,
    negative: Conditioning | None,
    begin: Latents,
    settings: DenoiseSettings,
) -> dict[str, Any]:
    guided = settings.cfg > family.cfg_off
    call: dict[str, Any] = {"height": begin.height, "width": begin.width, "num_inference_steps": settings.steps}
    call |= _embeddings(components, family, positive, len(begin), "")
    if negative is not None and guided:
        call |= _embeddings(components, family, negative, len(begin), "negative_")
    if family.cfg:
        call[family.cfg] = settings.cfg if negative is not None or _makes_negative(components) else family.cfg_off
    if guided and negative is None and family.cfg == "guidance_scale" and not _makes_negative(components):
        raise ModelError(
            f"cfg is {settings.cfg}, which guides away from a negative conditioning, and there is none; "
            f"encode an empty text for it, or set cfg to {family.cfg_off:g}"
        )
    if family.guidance and settings.guidance is not None:
        call[family.guidance] = settings.guidance
    if "negative_prompt" in family.parameters:
        call["negative_prompt"] = None
    if "use_resolution_binning" in family.parameters:
        call["use_resolution_binning"] = False
    return call


def _makes_negative(components: Components) -> bool:
    """Whether the pipeline itself makes zeros of a missing negative conditioning: `force_zeros_for_empty_prompt`."""
    return bool(components.model.options.get("force_zeros_for_empty_prompt"))


def _embeddings(
    components: Components, family: Family, conditioning: Conditioning, pictures: int, prefix: str
) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, stored in conditioning.tensors.items():
        dtype = components.dtype if stored.is_floating_point() else stored.dtype
        tensor = stored.to(components.device, dtype)
        if len(tensor) == 1 and pictures > 1:
            tensor = tensor.repeat(pictures, *(1,) * (tensor.ndim - 1))
        if prefix + name in family.parameters:
            arguments[prefix + name] = list(tensor) if family.conditioning_listed else tensor
    return arguments


def _noised(
    components: Components, call: dict[str, Any], latents: Latents, noise: Latents, settings: DenoiseSettings
) -> Tensor:
    """`latents` mixed with as much noise as step `start` has. A dry run of the loop tells the scheduler's steps."""
    loop = Loop(settings.steps, settings.start, settings.end, dry=True)
    pipeline = make_pipeline(components, scheduler=settings.scheduler, loop=loop)
    _run(pipeline, call, pack(components, noise.tensor), generators_of(noise))
    return mix_noise(pipeline.scheduler, latents.tensor.to(noise.tensor), noise.tensor, loop.evaluation(settings.start))


def _solver_to_resume(latents: Latents | None, settings: DenoiseSettings) -> dict[str, Any] | None:
    """What the scheduler remembered, if the latents stopped where this begins, by the same scheduler and steps."""
    if latents is None or latents.window is None:
        return None
    stopped = (latents.window.end, latents.window.steps, latents.window.scheduler)
    return latents.solver if stopped == (settings.start, settings.steps, settings.scheduler) else None


def _reporter(
    components: Components, begin: Latents, on_step: StepCallback, factors: Tensor | None
) -> Callable[[int, int, Callable[[], Tensor]], None]:
    def report(step: int, steps: int, predicted: Callable[[], Tensor]) -> None:
        def preview() -> Image.Image:
            spatial = unpack(components, predicted(), begin.width, begin.height)
            return preview_image(spatial[0], factors, components.model.vae_scale_factor)

        on_step(step, steps, preview)

    return report
