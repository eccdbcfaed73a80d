"""Denoising as ComfyUI and A1111 do it: their noise, their levels, their start, through the family's own pipeline.

The steps themselves are those of diffusers' schedulers, whose levels and timesteps are replaced by the tool's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import diffusers
import torch
from torch import Tensor

from nbgraph.diffusion.arguments import DenoiseSettings, call_arguments
from nbgraph.diffusion.components import Components
from nbgraph.diffusion.controls import Control, control_arguments
from nbgraph.diffusion.denoising import StepCallback, step_reporter
from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.finite import check_step
from nbgraph.diffusion.loop import Loop
from nbgraph.diffusion.masks import keep_outside
from nbgraph.diffusion.packing import pack, unpack
from nbgraph.diffusion.pipelines import make_pipeline
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.schedulers import own_scheduler
from nbgraph.diffusion.tool_names import ToolSamplerName, ToolScheduleName
from nbgraph.diffusion.tool_sigmas import (
    ONE_MORE_STEP,
    Levels,
    SigmaTable,
    flow_table,
    noise_table,
    part_of_sigmas,
    sigmas,
)
from nbgraph.diffusion.values import Conditioning, Latents, generator_states
from nbgraph.diffusion.working_sets import DENOISE
from nbgraph.errors import ModelError

Tool = Literal["comfy", "a1111"]
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_3m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "solver_order": 3}),
    "uni_pc": ("UniPCMultistepScheduler", {"solver_type": "bh1"}),
    "uni_pc_bh2": ("UniPCMultistepScheduler", {"solver_type": "bh2"}),
}
_SCALED = ("DPMSolverMultistepScheduler", "UniPCMultistepScheduler")
"""Schedulers whose latents are those of the others divided by sqrt(1 + sigma^2)."""
SHIFTS = {"flux": math.exp(1.15), "qwenimage": math.exp(1.15), "auraflow": 1.73, "stable-diffusion-3": 3.0}
"""The shift ComfyUI takes for a family whose workflow names none; others take that of the model's scheduler."""
FLUX_LEVELS = 10_000
UNIPC_LAST = 0.001
"""The level at which ComfyUI lets UniPC end, which divides by the last one."""
UNIPC_ORDER = 3


@dataclass(frozen=True)
class ToolSettings:
    """How a tool samples; the fields are those of ComfyUI's KSamplerAdvanced, and `denoise` of its KSampler.

    `start_step` and `end_step` cut the levels of `steps`; `end_step` None is the end. Without `leftover_noise` an early
    end goes to level 0 at once. `shift` is for flow-matching models; None takes the tool's own for the family.
    """

    steps: int = 20
    cfg: float = 8.0
    sampler: ToolSamplerName = "euler"
    schedule: ToolScheduleName = "normal"
    denoise: float = 1.0
    start_step: int = 0
    end_step: int | None = None
    leftover_noise: bool = False
    shift: float | None = None
    guidance: float | None = None
    tool: Tool = "comfy"


def sigma_table(model: ModelDescription, settings: ToolSettings) -> SigmaTable:
    """Return the levels a model was trained on, as the tool has them."""
    name, config = own_scheduler(model)
    if name.startswith("FlowMatch"):
        family = model.need_family().key
        shift = settings.shift or SHIFTS.get(family) or float(config.get("shift", 1.0))
        return flow_table(shift, FLUX_LEVELS if family in ("flux", "qwenimage") else 1000)
    known = cast(Any, diffusers.DDPMScheduler).from_config(
        {key: value for key, value in config.items() if key in ("beta_start", "beta_end", "beta_schedule")}
        | {"num_train_timesteps": config.get("num_train_timesteps", 1000)}
    )
    return noise_table(known.alphas_cumprod.double().numpy(), bool(config.get("rescale_betas_zero_snr")))


def sampled_sigmas(table: SigmaTable, settings: ToolSettings) -> Levels:
    """Return the levels of one run, n + 1 for n steps; fewer than two where there is nothing to do."""
    if settings.tool == "a1111" and settings.denoise < 1:
        done = min(int(settings.denoise * settings.steps), settings.steps - 1) + 1
        return sigmas(table, settings.schedule, settings.steps, settings.sampler)[settings.steps - done :]
    levels = part_of_sigmas(table, settings.schedule, settings.steps, settings.denoise, settings.sampler)
    if settings.end_step is not None and settings.end_step < len(levels) - 1:
        levels = levels[: settings.end_step + 1].copy()
        if not settings.leftover_noise:
            levels[-1] = 0.0
    return levels[settings.start_step :] if settings.start_step < len(levels) - 1 else levels[:0]


def batch_noise(shape: Sequence[int], seed: int, batch_size: int = 1, index: int = 0) -> Tensor:
    """Return the noise of one picture of a batch, (1, C, h, w): all of it is drawn at once on the CPU from one seed."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn((batch_size, *shape[-3:]), generator=generator)[index : index + 1]


def noised(table: SigmaTable, sigma: float, noise: Tensor, latents: Tensor, tool: Tool) -> Tensor:
    """Return latents with noise of a level over them, as the tool begins."""
    if table.flow:
        return sigma * noise + (1 - sigma) * latents
    is_whole = math.isclose(table.largest, sigma, rel_tol=1e-5) or sigma > table.largest
    return noise * (math.sqrt(1 + sigma**2) if is_whole and tool == "comfy" else sigma) + latents


@torch.no_grad()
def sample_as_tool(
    components: Components,
    positive: Conditioning,
    negative: Conditioning | None,
    begin: Latents,
    noise: Tensor | None,
    settings: ToolSettings,
    mask: Tensor | None = None,
    controls: Sequence[Control] = (),
    on_step: StepCallback | None = None,
    cancelled: Any = lambda: False,
    factors: Tensor | None = None,
) -> Latents:
    """Denoise latents as a tool does.

    Parameters
    ----------
    begin
        (B, C, h, w); zeros are an empty image.
    noise
        (B, C, h, w), added at the level of the first step; None if the latents hold their noise already.
    mask
        (1, 1, h, w) in [0, 1], 1 where the image is denoised; None denoises all of it.
    factors
        Colours of the previews, from `preview.fit_factors`.

    Raises
    ------
    ModelError
        A model for inpainting, or prompts that are combined of several.
    """
    if components.model.inpaints:
        raise ModelError(f"{str(components.model.folder)!r} is a model for inpainting; use DenoiseLatents with a mask")
    if any(each is not None and each.is_combined for each in (positive, negative)):
        raise ModelError("prompts that are combined or have a mask are for DenoiseLatents; this node takes single ones")
    table = sigma_table(components.model, settings)
    levels = sampled_sigmas(table, settings)
    if len(levels) < 2:
        return begin
    scheduler = tool_scheduler(components.model, settings, table, levels)
    pair = positive, negative
    if negative is not None:
        pair = alike(positive, negative)
    call = call_arguments(
        components, *pair, begin, DenoiseSettings(len(levels) - 1, settings.cfg, guidance=settings.guidance)
    )
    call |= control_arguments(components, controls)
    clean, over = begin.tensor.float(), torch.zeros_like(begin.tensor) if noise is None else noise
    first = float(levels[0])
    start = noised(table, first, over, clean, settings.tool)
    change = None
    if mask is not None:
        kept = noised(table, first, over, clean, "a1111")
        start = mask * start + (1 - mask) * kept
        change = keep_outside(components, mask, begin, replace(begin, tensor=over))
    scale = math.sqrt(1 + first**2) if type(scheduler).__name__ in _SCALED else 1.0
    generators = [torch.Generator("cpu").manual_seed(begin.seeds[0] if begin.seeds else 0) for _ in range(len(begin))]
    loop = Loop(
        len(levels) - 1,
        resume=True,
        after_step=step_reporter(components, begin, on_step, factors) if on_step else None,
        change=change,
        check=lambda step, steps, predicted, after: check_step(
            components, settings.sampler, step, steps, predicted, after
        ),
        cancelled=cancelled,
        generators=generators,
    )
    pipeline = make_pipeline(components, scheduler, loop, controls)
    given = {"latents": pack(components, start / scale), "generator": generators, "output_type": "latent"}
    with quiet(), components.watch(DENOISE, begin.width * begin.height * len(begin)):
        result = pipeline(**call, **given, return_dict=False)[0]
    last = last_level(levels, settings.sampler)
    return _finished(components, table, begin, result, last, scale != 1.0, generators)


def alike(first: Conditioning, second: Conditioning) -> tuple[Conditioning, Conditioning]:
    """Return two conditionings with equally many tokens: each is repeated, which attention does not notice."""
    name = "prompt_embeds"
    if name not in first.tensors or name not in second.tensors:
        return first, second
    lengths = [each.tensors[name].shape[1] for each in (first, second)]
    whole = math.lcm(*lengths)
    if lengths[0] == lengths[1] or max(lengths) % 77:
        return first, second
    return tuple(  # type: ignore[return-value]
        replace(each, tensors={**each.tensors, name: each.tensors[name].repeat(1, whole // length, 1)})
        for each, length in zip((first, second), lengths)
    )


def _finished(
    components: Components,
    table: SigmaTable,
    begin: Latents,
    result: Tensor,
    last: float,
    is_scaled: bool,
    generators: list[torch.Generator],
) -> Latents:
    """Return the latents as the tool passes them on: those that still hold noise are unscaled."""
    tensor = unpack(components, result, begin.width, begin.height).float().to("cpu", copy=True)
    if is_scaled:
        tensor = tensor * math.sqrt(1 + last**2)
    if table.flow and last:
        tensor = tensor / (1 - last)
    return replace(begin, tensor=tensor, rng_states=generator_states(generators), window=None, solver=None)


def tool_scheduler(model: ModelDescription, settings: ToolSettings, table: SigmaTable, levels: Levels) -> Any:
    """Return a scheduler of diffusers that steps through these levels, whatever a pipeline asks of it.

    `ModelError` for a sampler that a flow-matching model cannot have.
    """
    _, config = own_scheduler(model)
    if table.flow:
        if settings.sampler != "euler":
            raise ModelError(
                f"the sampler {settings.sampler!r} cannot step through a flow-matching model as ComfyUI does; use "
                "'euler', or a DenoiseLatents node with another scheduler"
            )
        class_name, options, own = "FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": False, "shift": 1.0}, {}
    else:
        class_name, options = SCHEDULERS[settings.sampler]
        names = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "prediction_type")
        own = {name: config[name] for name in names if name in config}
    base: Any = getattr(diffusers, class_name)
    nearest = settings.tool == "comfy"
    timesteps = [table.timestep_of(float(level), nearest) for level in levels[:-1]]
    if settings.sampler in ONE_MORE_STEP:
        options = {**options, "solver_order": max(1, min(UNIPC_ORDER, len(levels) - 2))}
    scheduler = base.from_config({**own, **options})
    scheduler.__class__ = _fixed(base)
    last = last_level(levels, settings.sampler)
    scheduler.fixed = torch.tensor([*levels[:-1], last], dtype=torch.float32), torch.tensor(timesteps)
    return scheduler


def last_level(levels: Levels, sampler: str) -> float:
    """Return the level at which a sampler ends: UniPC a little above 0."""
    last = float(levels[-1])
    return UNIPC_LAST if sampler in ONE_MORE_STEP and last == 0 else last


def _fixed(base: Any) -> Any:
    """Return a scheduler class whose levels and timesteps are always those in `fixed`."""

    def set_timesteps(
        self: Any, num_inference_steps: int | None = None, device: Any = None, sigmas: Any = None, mu: Any = None
    ) -> None:
        levels, timesteps = self.fixed
        base.set_timesteps(self, len(timesteps), device)
        if base.__name__ == "HeunDiscreteScheduler":
            levels = torch.cat([levels[:1], levels[1:-1].repeat_interleave(2), levels[-1:]])
            timesteps = torch.cat([timesteps[:1], timesteps[1:].repeat_interleave(2)])
        self.sigmas, self.timesteps = levels, timesteps.to(device)
        self.set_begin_index(0)

    return type(base.__name__, (base,), {"set_timesteps": set_timesteps, "fixed": None})
