"""Denoise latents with the pipeline of the model's family: all steps or a part, from noise, latents or a mask."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nbgraph.diffusion.arguments import DenoiseSettings, call_arguments, check_conditioning
from nbgraph.diffusion.components import Components
from nbgraph.diffusion.controls import Control, control_arguments
from nbgraph.diffusion.description import ModelDescription, latent_patch
from nbgraph.diffusion.finite import check_finite, check_step
from nbgraph.diffusion.image_prompts import ImagePrompt, image_prompt_arguments
from nbgraph.diffusion.inpainting import ControlImage, MaskedImage, Shown, shown_beside
from nbgraph.diffusion.loop import Loop
from nbgraph.diffusion.masks import check_mixes_noise, keep_outside, latents_to_keep, mix_noise, noise_level
from nbgraph.diffusion.packing import pack, unpack
from nbgraph.diffusion.pipelines import make_pipeline
from nbgraph.diffusion.preview import preview_image
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.references import References, area_arguments, reference_arguments, with_vae
from nbgraph.diffusion.refs import ControlLoraPatch
from nbgraph.diffusion.rows import Rows, Tiles, rows_of
from nbgraph.diffusion.schedulers import make_scheduler
from nbgraph.diffusion.steering import Steer, steering
from nbgraph.diffusion.t2i_adapters import T2iAdapter, adapter_residuals
from nbgraph.diffusion.vae import check_shape
from nbgraph.diffusion.values import Conditioning, Latents, Window, generator_states, generators_of
from nbgraph.diffusion.working_sets import DENOISE
from nbgraph.errors import ModelError

StepCallback = Callable[[int, int, Callable[[], Image.Image]], None]
"""Called as `(step, steps, preview)` after each step: steps done, steps in all, a function that draws the preview."""

_LEVEL_TOLERANCE = 0.01
"""Relative difference up to which the noise that latents hold fits the step where they continue."""


@torch.no_grad()
def denoise(
    components: Components,
    positive: Conditioning,
    negative: Conditioning | None,
    noise: Latents | None = None,
    latents: Latents | None = None,
    settings: DenoiseSettings = DenoiseSettings(),  # noqa: B008
    mask: Tensor | None = None,
    differential: bool = False,
    kept: Latents | None = None,
    controls: Sequence[Control] = (),
    adapters: Sequence[T2iAdapter] = (),
    image_prompts: Sequence[ImagePrompt] = (),
    masked: MaskedImage | None = None,
    control_image: ControlImage | None = None,
    references: References | None = None,
    tiles: Tiles | None = None,
    on_step: StepCallback | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    factors: Tensor | None = None,
) -> Latents:
    """Denoise latents with the component `denoiser`.

    The arguments decide what is done:

    - `noise` alone: a new image (with a `start`: as if over an empty image).
    - `latents` and `noise`: the latents are mixed with the noise of step `start`, and denoised from there
      (`start` = steps * (1 - strength)).
    - `latents` alone: denoising continues. Latents that stopped at step `start` continue as if they never had stopped.

    Parameters
    ----------
    positive, negative
        One conditioning for all images, or one for each. Without `negative` there is no classifier-free guidance, but
        for SDXL that was trained with zeros for an empty prompt. Prompts that are combined with `positive` are each
        denoised with, and their predictions are mixed by their masks and strengths.
    noise, latents
        (B, C, h, w) each, of one size.
    mask
        (h, w) or (B, 1, h, w) in [0, 1], of the size of the latents. It keeps `kept` where it is 0, or `latents`
        without `kept`; with both, unfinished latents continue and `noise` is only for what is kept. A model for
        inpainting uses `masked` instead.
    differential
        Whether numbers between 0 and 1 in the mask are shares of the steps, counted from the last, that a latent is
        denoised for.
    controls, adapters, image_prompts
        ControlNets, T2I-Adapters and IP-Adapters with their images.
    control_image
        The image of a control LoRA, which is a patch of the model; needs the component `vae`.
    references
        Images that a model for editing is shown beside the text.
    tiles
        Images that are larger than a tile are denoised in tiles that overlap.
    on_step
        Called after each step.
    cancelled
        Asked after each step; the components are usable again after a cancellation.
    factors
        Colours of the previews, from `preview.fit_factors`.

    Raises
    ------
    ModelError
        Inputs of different sizes, of another family, that the pipeline refuses, or that hold another amount of noise
        than step `start` begins with; a `cfg` that needs a negative conditioning where there is none.
    CancelledError
        `cancelled` returned True.
    """
    settings.check()
    if components.model.inpaints:
        mask = kept = None
    if latents is not None and mask is not None:
        # Contiguous as in the inpaint pipelines: the memory layout decides how convolutions round.
        latents = replace(latents, tensor=latents.tensor.contiguous())
        kept = latents_to_keep(latents, kept)
    continues = latents is not None and (noise is None or (mask is not None and latents.unfinished))
    begin = _beginning(components.model, noise, latents, settings, continues)
    components = with_vae(components, references)
    rows = rows_of(components, positive, negative, begin, tiles)
    if rows is not None:
        _check_rows(rows, controls, adapters, masked or control_image, references)
    shown = _shown(components, masked, control_image, begin)
    prepared = _prepare(
        components, positive, negative, begin, settings, controls, adapters, image_prompts, shown, rows, tiles
    )
    prepared.call.update(reference_arguments(components.model.need_family(), references))
    begin, solver = _first_latents(prepared, begin, noise, latents, continues)
    loop = Loop(
        settings.steps,
        settings.start,
        settings.end,
        # pipelines scale the values they begin with as if they were noise, which latents are not
        resume=latents is not None or settings.start > 0,
        solver=solver,
        after_step=step_reporter(components, begin, on_step, factors) if on_step else None,
        change=keep_outside(components, mask, kept, noise, differential) if mask is not None else None,
        check=functools.partial(check_step, components, settings.scheduler),
        cancelled=cancelled,
        generators=generators_of(begin),
        gather=rows.gather if rows else None,
        scatter=functools.partial(rows.scatter, width=begin.width, height=begin.height) if rows else None,
    )
    with components.watch(DENOISE, begin.width * begin.height * len(begin)):
        pipeline, result = prepared.run(loop, begin.tensor)
    if loop.latest is not None and (rows is not None or latent_patch(components.model.vae) > 1):
        # the pipeline returns rows; that of klein returns latents in the scale of its VAE even if nothing is decoded
        result = loop.latest
    return _finished(components, settings, begin, loop, pipeline.scheduler, result)


def _prepare(
    components: Components,
    positive: Conditioning,
    negative: Conditioning | None,
    begin: Latents,
    settings: DenoiseSettings,
    controls: Sequence[Control],
    adapters: Sequence[T2iAdapter],
    image_prompts: Sequence[ImagePrompt],
    shown: Shown | None,
    rows: Rows | None,
    tiles: Tiles | None,
) -> "_Prepared":
    """Return the call of the pipeline, with everything but the steps and the latents."""
    family = components.model.need_family()
    if rows is not None:
        check_conditioning(family, positive, negative, begin)
        positive = rows.conditioning(positive, len(begin))
        negative = None if negative is None else rows.conditioning(negative, len(begin))
        begin = rows.begin(begin)
    call = call_arguments(components, positive, negative, begin, settings) | control_arguments(components, controls)
    call |= area_arguments(family, begin)
    guided = bool(family.cfg) and call[family.cfg] > family.cfg_off
    call |= image_prompt_arguments(components, image_prompts, len(begin), guided)
    residuals = adapter_residuals(components, adapters, begin.width, begin.height)
    at_once = tiles.at_once if tiles is not None and rows is not None else None
    return _Prepared(components, call, settings, controls, steering(residuals, image_prompts, shown, at_once), rows)


def _shown(
    components: Components, masked: MaskedImage | None, control: ControlImage | None, begin: Latents
) -> Shown | None:
    """Return what adds further channels to the latents: of a model for inpainting, or of a control LoRA."""
    if components.model.inpaints:
        return shown_beside(components, masked, begin)
    laid = sum(isinstance(patch, ControlLoraPatch) for patch in components.patches)
    if laid != (control is not None):
        raise ModelError(f"there are {int(control is not None)} control images for {laid} control LoRAs")
    if control is None:
        return None
    from nbgraph.diffusion.control_loras import control_beside

    return control_beside(components, control, begin)


def _check_rows(
    rows: Rows,
    controls: Sequence[Control],
    adapters: Sequence[T2iAdapter],
    beside: MaskedImage | ControlImage | None,
    references: References | None,
) -> None:
    """Raise `ModelError` for inputs that belong to the whole image, and cannot be divided among its rows."""
    if references is not None:
        raise ModelError(
            "a model for editing is given one instruction for the whole image; combine no prompts, no tiles"
        )
    if len(rows.corners) == 1:
        return
    given = {"ControlNets": controls, "T2I-Adapters": adapters, "models for inpainting or control LoRAs": beside}
    if names := [name for name, value in given.items() if value]:
        raise ModelError(
            f"an image in tiles cannot be denoised with {' and '.join(names)}, which see the whole image; leave the "
            "tiles out, or steer a small image first and enlarge it"
        )


def _first_latents(
    prepared: "_Prepared", begin: Latents, noise: Latents | None, latents: Latents | None, continues: bool
) -> tuple[Latents, dict[str, Any] | None]:
    """Return the latents of the first step, and the state of the solver when they stopped (None for a new run)."""
    if noise is not None and not continues and (latents is not None or prepared.settings.start):
        return replace(begin, tensor=prepared.noised(latents, noise)), None
    if latents is not None and latents.window is not None and latents.unfinished:
        tensor, solver = prepared.resumed(latents, latents.window)
        return replace(begin, tensor=tensor), solver
    return begin, None


def _finished(
    components: Components, settings: DenoiseSettings, begin: Latents, loop: Loop, scheduler: Any, result: Tensor
) -> Latents:
    """Return the latents of a run, with the states of generators and solver that another run needs to continue."""
    stopped = loop.last < settings.steps
    return replace(
        begin,
        tensor=unpack(components, result, begin.width, begin.height).float().to("cpu", copy=True),
        rng_states=generator_states(loop.generators),
        window=Window(
            settings.start,
            loop.last,
            settings.steps,
            settings.scheduler,
            type(scheduler).__name__,
            noise_level(scheduler, loop.evaluation(loop.last)) if stopped else None,
            str(settings.options),
        ),
        solver=loop.solver_state(scheduler) if stopped else None,
    )


@dataclass(frozen=True)
class _Prepared:
    """A call of the pipeline without its steps and latents. Each run makes a pipeline of its own."""

    components: Components
    call: dict[str, Any]
    settings: DenoiseSettings
    controls: Sequence[Control]
    steer: Steer | None
    rows: Rows | None = None

    def run(self, loop: Loop, latents: Tensor) -> tuple[Any, Tensor]:
        """Return the pipeline after the steps of `loop`, and its latents, packed if the family packs them."""
        scheduler = make_scheduler(self.components.model, self.settings.scheduler, self.settings.options)
        pipeline = make_pipeline(self.components, scheduler, loop, self.controls, self.steer)
        if loop.change is not None:
            check_mixes_noise(pipeline.scheduler)
        generators = loop.generators
        if self.rows is not None:
            latents = self.rows.spread(latents)
            # the scheduler draws for whole images, from the generators of the loop
            generators = [torch.Generator("cpu") for _ in range(len(latents))]
        given = {"latents": pack(self.components, latents), "generator": generators, "output_type": "latent"}
        try:
            with quiet():
                return pipeline, pipeline(**self.call, **given, return_dict=False)[0]
        except (ValueError, TypeError, AttributeError) as error:
            if loop.began:
                raise
            raise ModelError(f"{type(pipeline).__name__} refuses these inputs: {error}") from error

    def noised(self, latents: Latents | None, noise: Latents) -> Tensor:
        """Return `latents`, or zeros, mixed with as much noise as step `start` begins with."""
        scheduler, evaluation = self._prepared(noise)
        clean = torch.zeros_like(noise.tensor) if latents is None else latents.tensor.to(noise.tensor)
        return mix_noise(scheduler, clean, noise.tensor, evaluation)

    def resumed(self, latents: Latents, window: Window) -> tuple[Tensor, dict[str, Any] | None]:
        """Return the tensor to continue with from latents that stopped in `window`, and the state of their scheduler.

        The state is None unless the same scheduler continues at the same of as many steps. Latents of a scheduler that
        scales them otherwise are scaled.

        Raises
        ------
        ModelError
            Step `start` begins with another amount of noise than these latents hold.
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
        """Return the scheduler as a run prepares it, and the number of its evaluations before step `start`."""
        settings = self.settings
        # Only the pipeline knows the arguments of `set_timesteps`, so it is called with a loop that does no step.
        loop = Loop(settings.steps, settings.start, settings.end, dry=True, generators=generators_of(begin))
        pipeline, _ = self.run(loop, begin.tensor)
        return pipeline.scheduler, loop.evaluation(settings.start)


def _sigma(level: tuple[float, float] | None) -> str:
    """Return ` (sigma 2.9)`, the ratio of noise to image; empty where it is unknown, or there is noise alone."""
    return f" (sigma {level[1] / level[0]:.3g})" if level and level[0] else ""


def _beginning(
    model: ModelDescription, noise: Latents | None, latents: Latents | None, settings: DenoiseSettings, continues: bool
) -> Latents:
    """Return the value that gives the result its size and generators: the noise, or latents that continue.

    Raises
    ------
    ModelError
        Neither noise nor latents, or values that do not fit the model or each other.
    """
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
        _check_alike(noise, latents, continues)
        if latents.window is not None and latents.unfinished and not continues:
            raise ModelError(
                f"these latents stopped at step {latents.window.end} of {latents.window.steps} and still hold noise; "
                "to go on from there give no other noise, or finish them first"
            )
    if not family.windows and (settings.start or settings.end not in (None, settings.steps) or latents is not None):
        raise ModelError(
            f"the pipeline of the family {family.key!r} cannot start or stop part-way, and so takes only "
            "noise and all its steps"
        )
    return replace(given[-1] if continues else given[0], family=family.key)


def _check_alike(noise: Latents, latents: Latents, continues: bool) -> None:
    if noise.tensor.shape[-3:] != latents.tensor.shape[-3:]:
        raise ModelError(
            f"the noise is for {noise.width}x{noise.height} and the latents are "
            f"{latents.width}x{latents.height}; draw noise of the same size"
        )
    if len(latents) != len(noise) and (continues or len(latents) != 1):
        needed = "one for each" if continues else "one for all or one for each"
        raise ModelError(f"there are {len(latents)} latents for {len(noise)} noises; {needed} is needed")


def step_reporter(
    components: Components, begin: Latents, on_step: StepCallback, factors: Tensor | None
) -> Callable[[int, int, Callable[[], Tensor]], None]:
    """Return the function that a loop calls after each step: it calls `on_step`, with a function for the preview."""

    def report(step: int, steps: int, predicted: Callable[[], Tensor]) -> None:
        def preview() -> Image.Image:
            spatial = unpack(components, predicted(), begin.width, begin.height)
            return preview_image(spatial[0], factors, components.model.vae_scale_factor)

        on_step(step, steps, preview)

    return report
