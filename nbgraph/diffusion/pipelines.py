"""Pipelines of diffusers, made anew for each use over components that are shared."""

import functools
from typing import Any

import torch

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.description import empty_pipeline
from nbgraph.diffusion.families import Task
from nbgraph.diffusion.loop import Loop, looped_scheduler
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.schedulers import DEFAULT, make_scheduler


def make_pipeline(
    components: Components, task: Task = "text_to_image", scheduler: str = DEFAULT, loop: Loop | None = None
) -> Any:
    """A new pipeline of the model's family for `task`, with a new scheduler, over the components there are.

    It costs about a millisecond and shares every weight. A VAE that was not asked for is stood in for by one with the
    configuration but no weights, so that the pipeline knows its sizes. `loop` steers which steps are done.
    """
    pipeline_class = _driven(components.model.need_family().pipeline(task))
    with quiet():
        built = make_scheduler(components.model, scheduler)
        modules: dict[str, Any] = {**components.model.options, "vae": components.model.vae, **components.modules}
        modules["scheduler"] = looped_scheduler(built, loop) if loop else built
        pipeline = empty_pipeline(pipeline_class, modules)
    pipeline.loop, pipeline.chosen_device = loop, components.device
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@functools.lru_cache(maxsize=128)
def _driven(pipeline_class: Any) -> Any:
    """`pipeline_class`, which runs where it is told to and asks its loop before each step."""

    def interrupt(self: Any) -> bool:
        return self.loop.skips_next() if self.loop is not None else self._interrupt

    def device(self: Any) -> torch.device:
        return self.chosen_device

    members: dict[str, Any] = {"_execution_device": property(device), "device": property(device)}
    members |= {"loop": None, "chosen_device": torch.device("cpu"), "_interrupt": False}
    if hasattr(pipeline_class, "interrupt"):
        members["interrupt"] = property(interrupt)
    return type(pipeline_class.__name__, (pipeline_class,), members)
