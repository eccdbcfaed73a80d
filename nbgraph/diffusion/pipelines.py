"""Pipelines of diffusers, made anew for each use over components that are shared."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.controls import Control, control_modules, controlled_family
from nbgraph.diffusion.description import empty_pipeline
from nbgraph.diffusion.loop import Loop, looped_scheduler
from nbgraph.diffusion.patches import share_weights
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.schedulers import DEFAULT, make_scheduler
from nbgraph.diffusion.step_caches import with_step_cache

_DENOISERS = ("unet", "transformer")


def make_pipeline(
    components: Components,
    scheduler: Any = DEFAULT,
    loop: Loop | None = None,
    controls: Sequence[Control] = (),
    steer: Callable[[Any, Loop], Any] | None = None,
) -> Any:
    """Make a text-to-image pipeline of the model's family, with a new scheduler, over the given components.

    It takes about a millisecond and shares every weight. A missing VAE is replaced by one with the configuration but no
    weights, so that the pipeline knows its sizes.

    Parameters
    ----------
    loop
        Decides which steps are done.
    controls
        With some, it is the family's ControlNet pipeline.
    steer
        Makes the denoiser of this run from the shared one.
    """
    family = controlled_family(components, controls) if controls else components.model.need_family()
    pipeline_class = driven(family.pipeline())
    with quiet():
        built = make_scheduler(components.model, scheduler)
        modules: dict[str, Any] = {**components.model.options, "vae": components.model.vae, **components.modules}
        if controls:
            modules |= control_modules(components, controls, loop)
        current: list[Any] = []
        if loop and family.denoiser in modules:
            modules[family.denoiser] = with_step_cache(
                components, modules[family.denoiser], lambda: current[0].current_timestep
            )
        if steer and loop:
            modules[family.denoiser] = steer(modules[family.denoiser], loop)
        modules["scheduler"] = looped_scheduler(built, loop) if loop else built
        pipeline = empty_pipeline(pipeline_class, own_denoiser(pipeline_class, modules))
    current.append(pipeline)
    pipeline.loop, pipeline.chosen_device = loop, components.device
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def own_denoiser(pipeline_class: Any, modules: dict[str, Any]) -> dict[str, Any]:
    """Return the modules of a pipeline, with a denoiser of its own over the same weights where the pipeline changes it.

    Pipelines with perturbed attention guidance put their attention into the denoiser at the beginning of a call, and
    take it out at its end, which a cancelled call never reaches.
    """
    if not hasattr(pipeline_class, "set_pag_applied_layers"):
        return modules
    return {name: share_weights(each) if name in _DENOISERS else each for name, each in modules.items()}


@functools.lru_cache(maxsize=128)
def driven(pipeline_class: Any) -> Any:
    """Return a subclass that runs on the device chosen for it and asks its loop before each step."""

    def interrupt(self: Any) -> bool:
        return self.loop.skips_next() if self.loop is not None else self._interrupt

    def device(self: Any) -> torch.device:
        return self.chosen_device

    # diffusers would take the device of the first module, which may be a stand-in without weights
    members: dict[str, Any] = {"_execution_device": property(device), "device": property(device)}
    members |= {"loop": None, "chosen_device": torch.device("cpu"), "_interrupt": False}
    if hasattr(pipeline_class, "interrupt"):
        members["interrupt"] = property(interrupt)
    return type(pipeline_class.__name__, (pipeline_class,), members)
