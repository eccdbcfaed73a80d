"""Pipelines of diffusers that run as a whole: those that cannot be called in pieces, with their signature as inputs."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import diffusers
import torch
from PIL import Image

from nbgraph.diffusion.classes import component_class, component_rows, pipeline_options
from nbgraph.diffusion.components import Components
from nbgraph.diffusion.description import ModelDescription, empty_pipeline
from nbgraph.diffusion.model_files import read_json
from nbgraph.diffusion.pipelines import driven, own_denoiser
from nbgraph.diffusion.quiet import quiet
from nbgraph.diffusion.sources import Source
from nbgraph.diffusion.whole_families import moving_reason
from nbgraph.errors import CancelledError, ModelError, ModelNotFoundError, suggest

_CLASS = "_class_name"
_OWN = frozenset(
    {
        "self", "generator", "output_type", "return_dict", "callback", "callback_steps", "callback_on_step_end",
        "callback_on_step_end_tensor_inputs", "args", "kwargs",
    }
)  # fmt: skip
"""Parameters of pipelines that are set here."""
OnStep = Callable[[int, int], None]


@lru_cache(maxsize=64)
def describe_whole(folder: Path, fingerprint: str) -> ModelDescription:
    """Return the description of a folder as a pipeline that runs as a whole: its components, and no family.

    Raises
    ------
    ModelError
        The folder names a class that is no pipeline of the installed diffusers or makes no images, or lacks a
        component.
    ModelNotFoundError
        The folder is no model in the diffusers layout.
    """
    if not (folder / "model_index.json").is_file():
        raise ModelNotFoundError(
            f"{str(folder)!r} has no model_index.json; give a model folder in the diffusers layout"
        )
    index = read_json(folder / "model_index.json")
    pipeline = _pipeline_class(folder, str(index.get(_CLASS)))
    if reason := moving_reason(pipeline):
        raise ModelError(
            f"the model {str(folder)!r} names the pipeline {pipeline.__name__}, which is not run: {reason}"
        )
    classes = {name: component_class(folder, name, *row) for name, row in component_rows(index).items()}
    absent = [name for name in classes if not (folder / name).is_dir()]
    if absent:
        raise ModelError(
            f"the model {str(folder)!r} is incomplete: its model_index.json names {', '.join(absent)}, but there is no "
            "such folder in it. Copy or download it again"
        )
    options = pipeline_options(index)
    sources = {name: Source(str(folder), fingerprint, folder / name, content=fingerprint) for name in classes}
    options[_CLASS] = pipeline.__name__
    return ModelDescription(folder, None, classes, options, 0, 1, 1, 0, 0, None, sources)


def whole_parameters(model: ModelDescription) -> dict[str, inspect.Parameter]:
    """Return the parameters of the call of a pipeline that a person sets, by name."""
    pipeline = _pipeline_class(model.folder, str(model.options[_CLASS]))
    return {name: each for name, each in inspect.signature(pipeline.__call__).parameters.items() if name not in _OWN}


def argument_problems(model: ModelDescription, names: set[str]) -> Iterator[tuple[str, str]]:
    """Yield (name, problem) for arguments that a pipeline does not take, and for those it lacks."""
    known, kind = whole_parameters(model), model.options[_CLASS]
    for name in sorted(names - known.keys()):
        yield name, f"is no parameter of {kind}{suggest(name, known)}"
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in names:
            yield name, f"is left out, and {kind} needs it"


def run_whole(
    components: Components,
    arguments: Mapping[str, Any],
    seed: int,
    on_step: OnStep = lambda step, steps: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Image.Image]:
    """Run a pipeline as a whole.

    Parameters
    ----------
    components
        All components of a model that `describe_whole` described.
    arguments
        Of the pipeline's own call; images as `PIL.Image.Image`.
    seed
        Of a generator on the CPU, so that images are the same on every device as far as the model is.
    on_step, cancelled
        Called and asked after each step, where the pipeline says when a step is done.

    Raises
    ------
    ModelError
        The pipeline refuses the arguments, or gives something other than images.
    CancelledError
        `cancelled` returned True.
    """
    model = components.model
    pipeline = _built(components)
    taken = inspect.signature(type(pipeline).__call__).parameters
    given: dict[str, Any] = dict(arguments)
    if "generator" in taken:
        given["generator"] = torch.Generator("cpu").manual_seed(seed)
    steps = int(given.get("num_inference_steps") or getattr(taken.get("num_inference_steps"), "default", 0) or 0)

    def after_step(pipe: Any, step: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        on_step(step + 1, max(steps, step + 1))
        if cancelled():
            raise CancelledError(f"cancelled after step {step + 1}")
        return values

    if "callback_on_step_end" in taken:
        given["callback_on_step_end"] = after_step
    cards = [components.device] if components.device.type == "cuda" else []
    try:
        # some draw from torch's own state, and some seed it: a person's own seed stays as it is
        with quiet(), torch.no_grad(), torch.random.fork_rng(devices=cards):  # pyright: ignore[reportUnknownMemberType]
            torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
            result = pipeline(**given)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{model.options[_CLASS]} refuses these inputs: {error}") from error
    except NameError as error:
        # modules of diffusers that do without an optional package name it all the same
        raise ModelError(f"{model.options[_CLASS]} needs the package {error.name}; install it") from error
    images = _flat(getattr(result, "images", None))
    if not images or not all(isinstance(image, Image.Image) for image in images):
        fields = ", ".join(cast(Mapping[str, Any], result)) if isinstance(result, Mapping) else type(result).__name__
        raise ModelError(f"{model.options[_CLASS]} gives no images, but {fields}; only pipelines of images are run")
    return images


def _built(components: Components) -> Any:
    """Return a pipeline of the model's class over its components, with schedulers and tokenizers of its own."""
    model = components.model
    modules = {name: _own(module) for name, module in components.modules.items()}
    with quiet():
        pipeline_class = driven(_pipeline_class(model.folder, str(model.options[_CLASS])))
        pipeline = empty_pipeline(pipeline_class, {**model.options, **own_denoiser(pipeline_class, modules)})
    pipeline.chosen_device = components.device
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _own(module: Any) -> Any:
    """Return a copy of what a run changes; modules with weights are shared."""
    if isinstance(module, torch.nn.Module):
        return module
    return (
        cast(Any, type(module)).from_config(module.config)
        if hasattr(module, "set_timesteps")
        else copy.deepcopy(module)
    )


def _pipeline_class(folder: Path, name: str) -> Any:
    """Return a pipeline class of diffusers: a model folder is data, and never says which code to import."""
    try:
        with quiet():
            found = getattr(diffusers, name, None)
        if isinstance(found, type) and issubclass(found, diffusers.DiffusionPipeline):
            return found
    except (ImportError, RuntimeError) as error:
        raise ModelError(f"{name}, the pipeline of {str(folder)!r}, cannot be imported: {error}") from error
    raise ModelError(
        f"the model {str(folder)!r} wants the pipeline {name!r}, which the installed diffusers does not have; a newer "
        "diffusers may have it"
    )


def _flat(images: Any) -> list[Any]:
    if not isinstance(images, list | tuple):
        return []
    outer = cast(Sequence[Any], images)
    return [
        each for image in outer for each in cast(Sequence[Any], image if isinstance(image, list | tuple) else [image])
    ]
