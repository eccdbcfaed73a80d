"""Noise to latents, by the family's own pipeline: all steps or some of them, alone or over a picture and a mask."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nbgraph.diffusion.arguments import DenoiseSettings, call_arguments
from nbgraph.diffusion.components import Components
from nbgraph.diffusion.controls import Control, control_arguments
from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.finite import check_finite, check_step
from nbgraph.diffusion.image_prompts import ImagePrompt, image_prompt_arguments
from nbgraph.diffusion.inpainting import MaskedImage, shown_beside
from nbgraph.diffusion.loop import Loop
from nbgraph.diffusion.masks import check_mixes_noise, keep_outside, latents_to_keep, mix_noise, noise_level
from nbgraph.diffusion.packing import pack, unpack
from nbgraph.diffusion.pipelines import make_pipeline
from nbgraph.diffusion.preview import preview_image
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.schedulers import make_scheduler
from nbgraph.diffusion.steering import Steer, steering
from nbgraph.diffusion.t2i_adapters import T2iAdapter, adapter_residuals
from nbgraph.diffusion.vae import check_shape
from nbgraph.diffusion.values import Conditioning, Latents, Window, generator_states, generators_of
from nbgraph.errors import ModelError

StepCallback = Callable[[int, int, Callable[[], Image.Image]], None]
"""Called as `(step, steps, preview)` after each step: steps done, steps in all, what draws the predicted picture."""

_LEVEL_TOLERANCE = 0.01
"""How far, as a share, the noise that a step begins with may be from what latents that go on there hold."""


@torch.no_grad()
def denoise(
    components: Components,
    positive: Conditioning,
    negative: Conditioning | None,
    noise: Latents | None = None,
    latents: Latents | None = None,
    settings: DenoiseSettings = DenoiseSettings(),  # noqa: B008
    mask: Tensor | None = None,
    kept: Latents | None = None,
    controls: Sequence[Control] = (),
    adapters: Sequence[T2iAdapter] = (),
    image_prompts: Sequence[ImagePrompt] = (),
    masked: MaskedImage | None = None,
    on_step: StepCallback | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    factors: Tensor | None = None,
) -> Latents:
    """Denoise; needs the component `denoiser`. What is given decides what is done:

    - `noise` alone: a new picture (with a `start`: as if over an empty picture).
    - `latents` and `noise`: the latents are mixed with the noise of step `start`, and denoised from there
      (`start` = steps * (1 - strength)).
    - `latents` alone: go on from where they are; those that stopped at step `start` go on as if they never had, and
      those that stopped where there is more or less noise are refused.

    One conditioning serves every picture, or each has its own. `mask` (h, w) or (B, 1, h, w) in [0, 1], in latents,
    keeps `kept` where it is 0, else `latents`; with both, latents that stopped part-way go on from where they are, and
    `noise` is only for what is kept. `controls` and `adapters` steer by other pictures; `image_prompts`
    are shown to the IP-Adapters over the model. A model for inpainting paints within the mask of `masked` by itself, so
    that `mask` and `kept` are not used. Without `negative` there is no classifier-free
    guidance (SDXL that was trained with empty prompts as zeros takes zeros); a model that needs one for its `cfg` is an
    error. After each step `on_step` is called and `cancelled` asked: `CancelledError`, and the components are as good
    as before. `factors` (of `preview.fit_factors`) colour the previews.
    """
    settings.check()
    family = components.model.need_family()
    if components.model.inpaints:
        mask = kept = None
    if latents is not None and mask is not None:
        # As the inpaint pipelines have them: the layout decides how convolutions round.
        latents = replace(latents, tensor=latents.tensor.contiguous())
        kept = latents_to_keep(latents, kept)
    goes_on = latents is not None and (noise is None or (mask is not None and latents.unfinished))
    begin = _beginning(components.model, noise, latents, settings, goes_on)
    call = call_arguments(components, positive, negative, begin, settings) | control_arguments(components, controls)
    guided = bool(family.cfg) and call[family.cfg] > family.cfg_off
    call |= image_prompt_arguments(components, image_prompts, len(begin), guided)
    residuals = adapter_residuals(components, adapters, begin.width, begin.height)
    shown = shown_beside(components, masked, begin) if components.model.inpaints else None
    start = _Start(components, call, settings, controls, steering(residuals, image_prompts, shown))
    solver = None
    if noise is not None and not goes_on and (latents is not None or settings.start):
        begin = replace(begin, tensor=start.noised(latents, noise))
    elif latents is not None and latents.window is not None and latents.unfinished:
        tensor, solver = start.resumed(latents, latents.window)
        begin = replace(begin, tensor=tensor)
    generators = generators_of(begin)
    loop = Loop(
        settings.steps,
        settings.start,
        settings.end,
        resume=latents is not None or settings.start > 0,
        solver=solver,
        after_step=step_reporter(components, begin, on_step, factors) if on_step else None,
        change=keep_outside(components, mask, kept, noise) if mask is not None else None,
        check=functools.partial(check_step, components, settings.scheduler),
        cancelled=cancelled,
        generators=generators,
    )
    pipeline, result = start.run(loop, begin.tensor)
    finished = unpack(components, result, begin.width, begin.height).float().to("cpu", copy=True)
    stopped = loop.last < settings.steps
    return replace(
        begin,
        tensor=finished,
        rng_states=generator_states(generators),
        window=Window(
            settings.start,
            loop.last,
            settings.steps,
            settings.scheduler,
            type(pipeline.scheduler).__name__,
            noise_level(pipeline.scheduler, loop.evaluation(loop.last)) if stopped else None,
            str(settings.options),
        ),
        solver=loop.solver_state(pipeline.scheduler) if stopped else None,
    )


@dataclass(frozen=True)
class _Start:
    """Everything a call of the pipeline takes but the steps and the latents."""

    components: Components
    call: dict[str, Any]
    settings: DenoiseSettings
    controls: Sequence[Control]
    steer: Steer | None

    def run(self, loop: Loop, latents: Tensor) -> tuple[Any, Tensor]:
        """The pipeline after it did the steps of `loop`, and its latents as it gives them."""
        scheduler = make_scheduler(self.components.model, self.settings.scheduler, self.settings.options)
        pipeline = make_pipeline(self.components, scheduler, loop, self.controls, self.steer)
        if loop.change is not None:
            check_mixes_noise(pipeline.scheduler)
        given = {"latents": pack(self.components, latents), "generator": loop.generators, "output_type": "latent"}
        try:
            with quiet():
                return pipeline, pipeline(**self.call, **given, return_dict=False)[0]
        except (ValueError, TypeError, AttributeError) as error:
            if loop.began:
                raise
            raise ModelError(f"{type(pipeline).__name__} refuses these inputs: {error}") from error

    def noised(self, latents: Latents | None, noise: Latents) -> Tensor:
        """`latents`, or nothing, mixed with as much noise as step `start` has."""
        scheduler, evaluation = self._prepared(noise)
        clean = torch.zeros_like(noise.tensor) if latents is None else latents.tensor.to(noise.tensor)
        return mix_noise(scheduler, clean, noise.tensor, evaluation)

    def resumed(self, latents: Latents, window: Window) -> tuple[Tensor, dict[str, Any] | None]:
        """The tensor to go on with from latents that stopped in `window`, and what the scheduler remembered of them.

        The memory is for the same scheduler at the same step of as many; another one begins without. Latents of a
        scheduler that scales them otherwise are scaled. `ModelError` unless step `start` begins with the noise they
        hold.
        """
        scheduler, evaluation = self._prepared(latents)
        settings, level = self.settings, noise_level(scheduler, evaluation)
        stopped = (window.end, window.steps, window.scheduler, window.options)
        same = stopped == (settings.start, settings.steps, settings.scheduler, str(settings.options))
        same = same and window.solver in ("", type(scheduler).__name__)
        if level is None or window.level is None:
            fits, scaled = same, latents.tensor
        else:
            (picture, noise), (held, held_noise) = level, window.level
            fits = math.isclose(picture * held_noise, held * noise, rel_tol=_LEVEL_TOLERANCE)
            scaled = latents.tensor * (picture / held)
        if not fits:
            raise ModelError(
                f"these latents stopped at step {window.end} of {window.steps} by {window.scheduler!r}"
                f"{_sigma(window.level)}, and step {settings.start} of {settings.steps} by {settings.scheduler!r} "
                f"begins with another amount of noise{_sigma(level)}; go on with denoising_start="
                f"{window.end / window.steps:g}, steps={window.steps} and scheduler={window.scheduler!r}"
            )
        return scaled, latents.solver if same else None

    def _prepared(self, begin: Latents) -> tuple[Any, int]:
        """The scheduler as a run prepares it, and its evaluations before step `start`; a dry run tells."""
        settings = self.settings
        loop = Loop(settings.steps, settings.start, settings.end, dry=True, generators=generators_of(begin))
        pipeline, _ = self.run(loop, begin.tensor)
        return pipeline.scheduler, loop.evaluation(settings.start)


def _sigma(level: tuple[float, float] | None) -> str:
    """` (sigma 2.9)`: the noise for each part of the picture; empty where that is not known, or there is no picture."""
    return f" (sigma {level[1] / level[0]:.3g})" if level and level[0] else ""


def _beginning(
    model: ModelDescription, noise: Latents | None, latents: Latents | None, settings: DenoiseSettings, goes_on: bool
) -> Latents:
    """The value whose size and generators go on into the result: the noise, unless the latents go on or are alone."""
    family = model.need_family()
    given = [value for value in (noise, latents) if value is not None]
    if not given:
        raise ModelError("denoising needs noise, or latents, or both; it was given neither")
    for value in given:
        if value.family and value.family != family.key:
            raise ModelError(
                f"these latents are of a model of the family {value.family!r}, and this one is of "
                f"{family.key!r}; decode them to a picture and encode that"
            )
        check_shape(model, value)
        check_finite(value.tensor, "the noise or latents to denoise have")
    if noise is not None and noise.window is not None:
        raise ModelError("the noise given was denoised already; give it as latents, or draw noise with the node Noise")
    if noise is not None and latents is not None:
        _check_alike(noise, latents, goes_on)
    if noise is not None and latents is not None and latents.window is not None and latents.unfinished and not goes_on:
        raise ModelError(
            f"these latents stopped at step {latents.window.end} of {latents.window.steps} and still hold noise; to go "
            "on from there give no other noise, or finish them first"
        )
    if not family.windows and (settings.start or settings.end not in (None, settings.steps) or latents is not None):
        raise ModelError(
            f"the pipeline of the family {family.key!r} cannot start or stop part-way, and so takes only "
            "noise and all its steps"
        )
    return replace(given[-1] if goes_on else given[0], family=family.key)


def _check_alike(noise: Latents, latents: Latents, goes_on: bool) -> None:
    if noise.tensor.shape[-3:] != latents.tensor.shape[-3:]:
        raise ModelError(
            f"the noise is for {noise.width}x{noise.height} and the latents are "
            f"{latents.width}x{latents.height}; draw noise of the same size"
        )
    if len(latents) != len(noise) and (goes_on or len(latents) != 1):
        needed = "one for each" if goes_on else "one for all or one for each"
        raise ModelError(f"there are {len(latents)} latents for {len(noise)} noises; {needed} is needed")


def step_reporter(
    components: Components, begin: Latents, on_step: StepCallback, factors: Tensor | None
) -> Callable[[int, int, Callable[[], Tensor]], None]:
    """Return what a loop calls after each step: it passes the step on, with what draws a preview of it."""

    def report(step: int, steps: int, predicted: Callable[[], Tensor]) -> None:
        def preview() -> Image.Image:
            spatial = unpack(components, predicted(), begin.width, begin.height)
            return preview_image(spatial[0], factors, components.model.vae_scale_factor)

        on_step(step, steps, preview)

    return report
