"""Families of models: the inputs and outputs of a pipeline class of diffusers, read from diffusers itself.

There is no list of models. The family of a folder is the row of diffusers' AUTO_*_PIPELINES_MAPPING that contains its
pipeline class; the names of its conditioning are those that its own `__call__` unpacks from `encode_prompt`.

The tables are read from the source of the module that defines them: importing it imports every pipeline of diffusers, a
tenth of the time of a first image. A class is imported when it is used.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import diffusers

from nbgraph.diffusion.quiet import quiet
from nbgraph.errors import ModelError, suggest

Task = Literal["text_to_image", "image_to_image", "inpaint"]
_MODULE = "diffusers.pipelines.auto_pipeline"
_TABLES: dict[str, Task] = {
    "AUTO_TEXT2IMAGE_PIPELINES_MAPPING": "text_to_image",
    "AUTO_IMAGE2IMAGE_PIPELINES_MAPPING": "image_to_image",
    "AUTO_INPAINT_PIPELINES_MAPPING": "inpaint",
}


@dataclass(frozen=True)
class Family:
    """How one family of text-to-image models is driven."""

    key: str
    """The family's name in diffusers' own table, such as `stable-diffusion-xl`."""
    pipelines: tuple[tuple[Task, type[diffusers.DiffusionPipeline]], ...]
    """The pipeline class of each task the family can do."""
    conditioning: tuple[str, ...]
    """Names of what `encode_prompt` returns, in its order; what belongs to the negative prompt included."""
    parameters: frozenset[str]
    """Names of the keyword arguments of the text-to-image pipeline's `__call__`."""
    cfg: str | None
    """The keyword of classifier-free guidance: `true_cfg_scale`, `guidance_scale`, or None if there is none."""
    guidance: str | None
    """The keyword of the guidance that distilled models take as an input, where it is not the same as `cfg`."""
    cfg_off: float
    """The value of `cfg` up to which the negative conditioning is not used."""
    denoiser: str
    """The name of the component that denoises: `unet` or `transformer`."""
    packed: bool
    """Whether the pipeline holds latents as a sequence of 2x2 patches rather than as (B, C, h, w)."""
    windows: bool
    """Whether it can start and stop at any step: its loop reads `interrupt` once a step."""
    padded: bool
    """Whether every text is padded to one number of tokens, and not only to the longest of those it came with."""
    conditioning_listed: bool = False
    """Whether embeddings are a list of (tokens, width), one for each prompt, instead of one (B, tokens, width)."""
    float_latents: bool = False
    """Whether latents stay float32 while the denoiser runs in another precision."""

    @property
    def positive(self) -> tuple[str, ...]:
        """The names in `conditioning` that are for the positive prompt, and that the pipeline takes as arguments."""
        return tuple(n for n in self.conditioning if not n.startswith("negative_") and n in self.parameters)

    @property
    def usual_guidance(self) -> float | None:
        """The default of `guidance` from text to image; pipelines of other tasks, such as ControlNets, have others."""
        if self.guidance is None:
            return None
        return _default_of(self.pipeline(), self.guidance)

    def pipeline(self, task: Task = "text_to_image") -> type[diffusers.DiffusionPipeline]:
        """Return the pipeline class for `task`; raise `ModelError` when diffusers has none for this family."""
        classes = dict(self.pipelines)
        if task not in classes:
            raise ModelError(f"models of the family {self.key!r} cannot do {task!r}{suggest(task, classes)}")
        return classes[task]


@cache
def _default_of(pipeline: type[diffusers.DiffusionPipeline], argument: str) -> float | None:
    """Return the default of an argument of a pipeline's `__call__`; kept, since each denoising reads it."""
    return inspect.signature(pipeline.__call__).parameters[argument].default


_OVERRIDES: dict[str, dict[str, Any]] = {
    "z-image": {"cfg_off": 0.0, "conditioning_listed": True, "float_latents": True},
    "krea2": {"cfg_off": 0.0},
}
"""Facts that are not in the names of diffusers' source: where guidance begins other than above 1, other types."""


_EDITING = ("qwenimage-edit", "qwenimage-edit-plus")
"""Families that diffusers lists under image to image alone: their pipelines begin with noise, and are shown images."""
_CONTROL = re.compile(r"-controlnet(-union)?(-inpaint)?(-pag)?$")
"""A folder saved from a ControlNet pipeline is its plain model and a ControlNet, which is loaded separately."""
_LCM_AS = {"lcm": "stable-diffusion"}
"""Models for few steps whose own pipeline equals the plain one with the scheduler that their folder names."""
_OTHER_TASKS = {
    "InstructPix2Pix": "instruct-pix2pix",
    "Depth2Img": "pictures by depth",
    "Upscale": "upscaling",
    "ImageVariation": "variations of a picture",
}
"""Tasks that no node does, by a part of the names of their pipelines."""
_ALONE = {"FluxFillPipeline": "flux"}
"""Pipelines that are in no table of diffusers, but do the steps of a family with a denoiser of more channels."""


def family_of_class(class_name: str) -> Family:
    """Return the family of the pipeline class that a `model_index.json` names; raise `ModelError` for another task."""
    if class_name in _ALONE:
        return family(_ALONE[class_name])
    drawing = _drawing()
    for names in class_names().values():
        for key, name in names.items():
            base = _LCM_AS.get(key, _CONTROL.sub("", key))
            if name == class_name and base in drawing:
                return family(base)
    if task := next((text for part, text in _OTHER_TASKS.items() if part in class_name), None):
        raise ModelError(
            f"the pipeline class {class_name!r} is for {task}, which is given a picture beside the text; use its base "
            "model, or a model for inpainting"
        )
    raise ModelError(
        f"the pipeline class {class_name!r} is no text-to-image pipeline that diffusers "
        f"knows{suggest(class_name, set(drawing.values()))}"
    )


@cache
def family(key: str) -> Family:
    """Return the family of a key such as `flux`; raise `ModelError` when there is none."""
    drawing = _drawing()
    if key not in drawing:
        raise ModelError(f"there is no family of models {key!r}{suggest(key, drawing)}")
    drawn_by = pipeline_class(drawing[key])
    parameters = frozenset(inspect.signature(drawn_by.__call__).parameters)
    true_cfg = "true_cfg_scale" in parameters
    guidance = "guidance_scale" if "guidance_scale" in parameters else None
    # Without a negative prompt there is nothing to guide away from: the scale is an input of a distilled model.
    distilled = true_cfg or not {"negative_prompt", "negative_prompt_embeds"} & parameters
    read = Family(
        key=key,
        pipelines=_pipelines(key),
        conditioning=_names_from_encode_prompt(drawn_by),
        parameters=parameters,
        cfg="true_cfg_scale" if true_cfg else None if distilled else guidance,
        guidance=guidance if distilled else None,
        cfg_off=1.0,
        denoiser="unet" if "unet" in inspect.signature(drawn_by.__init__).parameters else "transformer",
        packed=hasattr(drawn_by, "_pack_latents") and hasattr(drawn_by, "_unpack_latents"),
        windows=hasattr(drawn_by, "interrupt"),
        padded='padding="max_length"' in inspect.getsource(drawn_by),
    )
    return replace(read, **_OVERRIDES.get(key, {}))


def _drawing() -> dict[str, str]:
    """Return the names of the pipeline classes that begin with noise, by the keys of families."""
    tables = class_names()
    edited = tables["image_to_image"]
    return {**tables["text_to_image"], **{key: edited[key] for key in _EDITING if key in edited}}


def _pipelines(key: str) -> tuple[tuple[Task, type[diffusers.DiffusionPipeline]], ...]:
    begins = _drawing()[key]
    found: dict[Task, str] = {"text_to_image": begins}
    for task, names in class_names().items():
        # A pipeline that takes images and begins with noise is listed under both tasks.
        if names.get(key, begins) != begins:
            found[task] = names[key]
    return tuple((task, pipeline_class(name)) for task, name in found.items())


def _names_from_encode_prompt(pipeline_class: type) -> tuple[str, ...]:
    """Return the variables that the first `a, b = self.encode_prompt(...)` of `__call__` is unpacked into.

    () without one.
    """
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(pipeline_class.__call__)))
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        if isinstance(node.value.func, ast.Attribute) and node.value.func.attr == "encode_prompt":
            target = node.targets[0]
            elements = target.elts if isinstance(target, ast.Tuple) else [target]
            return tuple(element.id for element in elements if isinstance(element, ast.Name))
    return ()


@cache
def class_names() -> dict[Task, dict[str, str]]:
    """Return the names of pipeline classes for each task, by the keys of families, such as `flux`."""
    spec = find_spec(_MODULE)
    if spec is None or spec.origin is None:
        raise ImportError(f"{_MODULE} is not found; install diffusers again")
    found: dict[Task, dict[str, str]] = {task: {} for task in _TABLES.values()}
    for statement in _executed(ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body):
        match statement:
            case ast.Assign([ast.Name(table)], ast.Call(args=[ast.List(rows)])) if table in _TABLES:
                for row in rows:
                    match row:
                        case ast.Tuple([ast.Constant(str(key)), ast.Name(name)]):
                            found[_TABLES[table]][key] = name
                        case _:
                            pass
            case ast.Assign([ast.Subscript(ast.Name(table), ast.Constant(str(key)))], ast.Name(name)) if (
                table in _TABLES
            ):
                found[_TABLES[table]][key] = name
            case _:
                pass
    return found


def pipeline_class(class_name: str) -> type[diffusers.DiffusionPipeline]:
    """Import a pipeline class by its name."""
    with quiet():  # transformers warns of an image processor that no pipeline here uses
        return getattr(diffusers, class_name)


def _executed(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module that run when it is imported: those under an `if` where its test holds."""
    for statement in statements:
        match statement:
            case ast.If(ast.Call(ast.Name(test), [])):
                utilities: Any = diffusers.utils
                if getattr(utilities, test)():  # such as is_sentencepiece_available
                    yield from _executed(statement.body)
            case _:
                yield statement
