"""Noise to latents, by the family's own pipeline: all steps or some of them, alone or over a picture and a mask."""

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
from nbgraph.diffusion.image_prompts import ImagePrompt, image_prompt_arguments
from nbgraph.diffusion.loop import Loop
from nbgraph.diffusion.masks import keep_outside, latents_to_keep, mix_noise
from nbgraph.diffusion.packing import pack, unpack
from nbgraph.diffusion.pipelines import make_pipeline
from nbgraph.diffusion.preview import preview_image
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.steering import Steer, steering
from nbgraph.diffusion.t2i_adapters import T2iAdapter, adapter_residuals
from nbgraph.diffusion.vae import check_shape
from nbgraph.diffusion.values import Conditioning, Latents, Window, generator_states, generators_of
from nbgraph.errors import ModelError

StepCallback = Callable[[int, int, Callable[[], Image.Image]], None]
"""Called as `(step, steps, preview)` after each step: steps done, steps in all, what draws the predicted picture."""


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
    on_step: StepCallback | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    factors: Tensor | None = None,
) -> Latents:
    """Denoise; needs the component `denoiser`. What is given decides what is done:

    - `noise` alone: a new picture (with a `start`: as if over an empty picture).
    - `latents` and `noise`: the latents are mixed with the noise of step `start`, and denoised from there
      (`start` = steps * (1 - strength)).
    - `latents` alone: go on from where they are; those that stopped at step `start` go on as if they never had.

    One conditioning serves every picture, or each has its own. `mask` (h, w) or (B, 1, h, w) in [0, 1], in latents,
    keeps `kept` where it is 0, else `latents`; with both, latents that stopped part-way go on from where they are, and
    `noise` is only for what is kept. `controls` and `adapters` steer by other pictures; `image_prompts`
    are shown to the IP-Adapters over the model. Without `negative` there is no classifier-free
    guidance (SDXL that was trained with empty prompts as zeros takes zeros); a model that needs one for its `cfg` is an
    error. After each step `on_step` is called and `cancelled` asked: `CancelledError`, and the components are as good
    as before. `factors` (of `preview.fit_factors`) colour the previews.
    """
    settings.check()
    family = components.model.need_family()
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
    start = _Start(components, call, settings, controls, steering(residuals, image_prompts))
    if noise is not None and not goes_on and (latents is not None or settings.start):
        begin = replace(begin, tensor=start.noised(latents, noise))
    loop = Loop(
        settings.steps,
        settings.start,
        settings.end,
        resume=latents is not None or settings.start > 0,
        solver=_solver_to_resume(latents if goes_on else None, settings),
        after_step=_reporter(components, begin, on_step, factors) if on_step else None,
        change=keep_outside(components, mask, kept, noise) if mask is not None else None,
        cancelled=cancelled,
    )
    generators = generators_of(begin)
    pipeline, result = start.run(loop, begin.tensor, generators)
    finished = unpack(components, result, begin.width, begin.height).float().to("cpu", copy=True)
    stopped = loop.last < settings.steps
    return replace(
        begin,
        tensor=finished,
        rng_states=generator_states(generators),
        window=Window(settings.start, loop.last, settings.steps, settings.scheduler),
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

    def run(self, loop: Loop, latents: Tensor, generators: list[torch.Generator]) -> tuple[Any, Tensor]:
        """The pipeline after it did the steps of `loop`, and its latents as it gives them."""
        pipeline = make_pipeline(self.components, self.settings.scheduler, loop, self.controls, self.steer)
        given = {"latents": pack(self.components, latents), "generator": generators, "output_type": "latent"}
        try:
            with quiet():
                return pipeline, pipeline(**self.call, **given, return_dict=False)[0]
        except (ValueError, TypeError) as error:
            if loop.began:
                raise
            raise ModelError(f"{type(pipeline).__name__} refuses these inputs: {error}") from error

    def noised(self, latents: Latents | None, noise: Latents) -> Tensor:
        """`latents`, or nothing, mixed with as much noise as step `start` has; a dry run tells the steps."""
        loop = Loop(self.settings.steps, self.settings.start, self.settings.end, dry=True)
        pipeline, _ = self.run(loop, noise.tensor, generators_of(noise))
        clean = torch.zeros_like(noise.tensor) if latents is None else latents.tensor.to(noise.tensor)
        return mix_noise(pipeline.scheduler, clean, noise.tensor, loop.evaluation(self.settings.start))


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
    if noise is not None and latents is not None:
        _check_alike(noise, latents, goes_on)
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
