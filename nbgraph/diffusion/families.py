"""Families of models: what a pipeline class of diffusers takes and gives, read from diffusers itself.

Nothing here is a list of models. The family of a folder is the row of diffusers' AUTO_*_PIPELINES_MAPPING that its
pipeline class stands in; the names of its conditioning are those its own `__call__` unpacks from `encode_prompt`.
"""

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from diffusers import DiffusionPipeline

from nbgraph.diffusion.family_tables import Task, class_names, pipeline_class
from nbgraph.errors import ModelError, suggest


@dataclass(frozen=True)
class Family:
    """How one family of text-to-image models is driven."""

    key: str
    """The family's name in diffusers' own table, such as `stable-diffusion-xl`."""
    pipelines: tuple[tuple[Task, type[DiffusionPipeline]], ...]
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
        """The names among `conditioning` that one encoded text fills, and that the pipeline takes as arguments."""
        return tuple(n for n in self.conditioning if not n.startswith("negative_") and n in self.parameters)

    def pipeline(self, task: Task = "text_to_image") -> type[DiffusionPipeline]:
        """The pipeline class for `task`; `ModelError` when diffusers has none for this family."""
        classes = dict(self.pipelines)
        if task not in classes:
            raise ModelError(f"models of the family {self.key!r} cannot do {task!r}{suggest(task, classes)}")
        return classes[task]


_OVERRIDES: dict[str, dict[str, Any]] = {
    "z-image": {"cfg_off": 0.0, "conditioning_listed": True, "float_latents": True},
}
"""What the names in diffusers' source do not tell: where guidance begins elsewhere than above 1, odd types."""


_CONTROL = re.compile(r"-controlnet(-union)?(-inpaint)?(-pag)?$")
"""A folder saved from a ControlNet pipeline is its plain model with a ControlNet beside it, which is loaded apart."""
_LCM_AS = {"lcm": "stable-diffusion"}
"""The plain pipeline draws with a model for few steps as its own does, by the scheduler that the folder names."""
_OTHER_TASKS = {
    "InstructPix2Pix": "instruct-pix2pix",
    "Depth2Img": "pictures by depth",
    "Upscale": "upscaling",
    "ImageVariation": "variations of a picture",
}
"""Tasks that no node does, by what names the pipelines of them."""
_ALONE = {"FluxFillPipeline": "flux"}
"""Pipelines that no table of diffusers has, whose steps are those of a family: the denoiser is given more."""


def family_of_class(class_name: str) -> Family:
    """The family of the pipeline class that a `model_index.json` names; `ModelError` when it draws no pictures."""
    if class_name in _ALONE:
        return family(_ALONE[class_name])
    drawing = class_names()["text_to_image"]
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
    """The family of that key, such as `flux`; `ModelError` when there is none."""
    drawing = class_names()["text_to_image"]
    if key not in drawing:
        raise ModelError(f"there is no family of models {key!r}{suggest(key, drawing)}")
    drawn_by = pipeline_class(drawing[key])
    parameters = frozenset(inspect.signature(drawn_by.__call__).parameters)
    true_cfg = "true_cfg_scale" in parameters
    guidance = "guidance_scale" if "guidance_scale" in parameters else None
    read = Family(
        key=key,
        pipelines=tuple((task, pipeline_class(names[key])) for task, names in class_names().items() if key in names),
        conditioning=_names_from_encode_prompt(drawn_by),
        parameters=parameters,
        cfg="true_cfg_scale" if true_cfg else guidance,
        guidance=guidance if true_cfg else None,
        cfg_off=1.0,
        denoiser="unet" if "unet" in inspect.signature(drawn_by.__init__).parameters else "transformer",
        packed=hasattr(drawn_by, "_pack_latents") and hasattr(drawn_by, "_unpack_latents"),
        windows=hasattr(drawn_by, "interrupt"),
        padded='padding="max_length"' in inspect.getsource(drawn_by),
    )
    return replace(read, **_OVERRIDES.get(key, {}))


def _names_from_encode_prompt(pipeline_class: type) -> tuple[str, ...]:
    """The variables that the first `a, b = self.encode_prompt(...)` of `__call__` is unpacked into; () without one."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(pipeline_class.__call__)))
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        if isinstance(node.value.func, ast.Attribute) and node.value.func.attr == "encode_prompt":
            target = node.targets[0]
            elements = target.elts if isinstance(target, ast.Tuple) else [target]
            return tuple(element.id for element in elements if isinstance(element, ast.Name))
    return ()
