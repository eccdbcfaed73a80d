"""Writes the node reference docs/nodes.md from the registry: `python -m nbgraph.cli.node_reference`."""

import ast
import inspect
import sys
from pathlib import Path
from typing import Any, get_args, get_origin

from nbgraph.errors import NbgraphError
from nbgraph.grammar.catalogue import limits
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.fields import ClipField, ConditioningField, ImageField, LatentsField, UNetField, VaeField
from nbgraph.invocations.inputs import REQUIRED, InputSpec
from nbgraph.invocations.node_registry import BUILT_IN, registry
from nbgraph.invocations.types import type_name

TARGET = Path("docs/nodes.md")
HEAD = """\
# The nodes

Made from the registry by `python -m nbgraph.cli.node_reference`; do not edit it by hand. Every node also has `id`,
`is_intermediate` and `use_cache`. Every input takes a value or another node, except where only nodes make sense.
A seed that is left out is drawn anew at every run, and recorded in the stats.
The examples need `from nbgraph.invocations import *`, a picture in `picture.png` and prompts in `prompts.txt`.
"""


def built_in_nodes() -> dict[str, type[BaseInvocation]]:
    """Return the nodes of the package, by type."""
    found: dict[str, Any] = {name: cls for name, cls in registry().items() if cls.__module__.startswith(f"{BUILT_IN}.")}
    return found


def reference() -> str:
    """Return the whole page."""
    # Nodes of installed packages and of tests are in the registry too.
    nodes = built_in_nodes()
    categories = sorted({cls.category for cls in nodes.values()})
    parts = [HEAD]
    for category in categories:
        listed = [cls for cls in nodes.values() if cls.category == category]
        links = " · ".join(f"[{cls.type}](#{cls.type})" for cls in listed)
        parts.append(f"## {category.capitalize()}\n\n{links}\n")
        parts.extend(map(section, listed))
    return "\n".join(parts)


def section(cls: type[BaseInvocation]) -> str:
    """Return the section of one node: docstring, inputs, outputs and an example."""
    marks = [] if cls.cached_by_default else ["runs every time"]
    note = f" ({', '.join(marks)})" if marks else ""
    inputs = "\n".join(map(_input_row, cls.inputs().values()))
    outputs = ", ".join(f"`{name}`: {type_name(annotation)}" for name, annotation in cls.outputs().items())
    head = "| input | what it is | type | default | limits |\n|---|---|---|---|---|"
    table = f"\n{head}\n{inputs}\n" if inputs else "\nIt has no inputs.\n"
    return (
        f"### {cls.type}\n\n`{cls.__name__}`, version {cls.version}{note}. {inspect.getdoc(cls)}\n{table}\n"
        f"Outputs: {outputs}\n\n```python\n{example_of(cls)}\n```\n"
    )


def _input_row(spec: InputSpec) -> str:
    default = "required" if spec.required or spec.default is REQUIRED else f"`{_shown(spec.default)}`"
    # a bare | would end the cell of the table
    kind = type_name(spec.annotation).replace("|", "\\|")
    about = spec.about.replace("|", "\\|")
    return f"| `{spec.name}` | {about} | {kind} | {default} | {', '.join(_notes(spec))} |"


def _notes(spec: InputSpec) -> list[str]:
    many = ["any number of edges"] if spec.many else []
    return [*limits(spec), *many, *(["drawn if left out"] if spec.seed else [])]


def _shown(value: Any) -> str:
    return repr(value).replace("|", "\\|")


Line = tuple[str, str, tuple[str, ...]]
LINES: tuple[Line, ...] = (
    ("picture", 'LoadImage(path="picture.png")', ()),
    ("model", 'ModelLoader(model="emoji")', ()),
    ("text", 'Prompt(text="a red apple", clip=model)', ("model",)),
    ("noise", "Noise(unet=model, seed=7)", ("model",)),
    ("latents", "DenoiseLatents(unet=model, positive=text, noise=noise, cfg_scale=1)", ("model", "text", "noise")),
    ("numbers", "Range(start=0, stop=3)", ()),
)
"""The first lines of examples: a variable, the call that makes it, and the variables used in that call."""
SOURCES: dict[Any, str] = {
    ImageField: "picture",
    UNetField: "model",
    ClipField: "model",
    VaeField: "model",
    ConditioningField: "text",
    LatentsField: "latents",
    list[Any]: "numbers",
}
ARGUMENTS = {
    "add": "a=1, b=2",
    "blank_image": 'width=64, height=64, color="orange"',
    "boolean": "value=True",
    "boolean_collection": "collection=[True, False]",
    "canny_image_processor": "image=picture, low_threshold=50, high_threshold=150",
    "collect": "item=[picture, picture]",
    "color": 'color="orange"',
    "color_map_image_processor": "image=picture, color_map_tile_size=16",
    "compel": 'text="a (red)1.3 apple++", clip=model',
    "conditioning_collection": "collection=Collect(item=[text, text])",
    "denoise_latents": "unet=model, positive=text, noise=noise, steps=20, cfg_scale=1",
    "div": "a=-7, b=2",
    "dynamic_prompt": 'prompt="a {red|green} apple", combinatorial=True, max_prompts=2',
    "float": "value=0.5",
    "float_collection": "collection=[0.5, 1.0]",
    "float_math": 'operation="SQRT", a=2.0',
    "float_range": "start=2.0, stop=8.0, steps=4",
    "float_to_int": 'value=517.0, multiple=8, method="Floor"',
    "if": "condition=True, true_input=picture, false_input=picture",
    "image": "image=picture",
    "image_collection": "collection=Collect(item=[picture, picture])",
    "image_compare": "image1=picture, image2=BlurImage(image=picture, radius=2)",
    "image_psnr": "image=BlurImage(image=picture, radius=2), reference=picture",
    "image_ssim": "image=BlurImage(image=picture, radius=2), reference=picture",
    "image_grid": 'images=Collect(item=[picture, picture]), labels=["one", "two"]',
    "img_channel_multiply": 'image=picture, channel="Saturation (HSV)", scale=0.5',
    "img_channel_offset": 'image=picture, channel="Red (RGBA)", offset=40',
    "img_crop": "image=picture, x=8, y=8, width=48, height=48",
    "img_hue_adjust": "image=picture, hue=120",
    "img_ilerp": "image=picture, min=64, max=192",
    "img_lerp": "image=picture, min=64, max=192",
    "img_paste": "base_image=picture, image=picture, x=16, y=16",
    "img_resize": "image=picture, width=64, height=64",
    "img_rotate": 'image=picture, angle=30, fill="white"',
    "img_scale": "image=picture, scale_factor=0.5",
    "img_text": 'image=picture, text="a red apple"',
    "infill_rgba": 'image=picture, color="orange"',
    "infill_tile": "image=picture, tile_size=16, seed=7",
    "integer": "value=3",
    "integer_collection": "collection=[1, 2, 3]",
    "integer_math": 'operation="MOD", a=7, b=3',
    "ip_adapter": 'image=picture, ip_adapter_model="models/my-ip-adapter.safetensors"',
    "latents_collection": "collection=Collect(item=[latents, latents])",
    "lscale": "latents=latents, vae=model, scale_factor=2.0",
    "mask_edge": "image=picture, edge_size=8",
    "core_metadata": 'positive_prompt="a red apple", width=512, height=512, seed=7, steps=20',
    "merge_metadata": "collection=Collect(item=[CoreMetadata(seed=7), CoreMetadata(steps=20)])",
    "metadata": 'items=MetadataItem(label="mood", value="calm")',
    "metadata_item": 'label="mood", value="calm"',
    "mul": "a=6, b=7",
    "noise": "unet=model, seed=7",
    "pipeline_loader": 'model="models/my-kandinsky"',
    "whole_pipeline": 'pipeline=PipelineLoader(model="models/my-kandinsky"), prompt="a red apple", seed=7',
    "prompt": 'text="a red apple", clip=model',
    "paste_region": "image=picture, painted=picture, mask=picture, region=CropToMask(image=picture, mask=picture)",
    "edit_prompt": 'text="make the apple green", clip=model',
    "control_lora": 'image=picture, lora="models/flux1-depth-lora.safetensors"',
    "step_cache": 'unet=ModelLoader(model="models/flux1-dev"), threshold=0.1',
    "reference": 'image=picture, vae=ModelLoader(model="models/flux2-klein")',
    "image_aesthetic_score": 'image=picture, model=MetricModel(model="clip"), predictor=MetricModel(model="head")',
    "image_clip_score": 'image=picture, text="a red apple", model=MetricModel(model="clip")',
    "image_lpips": 'image=picture, reference=picture, model=MetricModel(model="lpips.safetensors")',
    "metric_model": 'model="models/clip"',
    "upscale": 'image=picture, upscaler=UpscalerLoader(upscaler_model="models/4x.safetensors")',
    "upscaler_loader": 'upscaler_model="models/4x.safetensors"',
    "segment_clicks": 'image=picture, sam_model="models/my-sam", points=[(20, 30)]',
    "segment_labels": 'image=picture, segmentation_model="models/my-segmenter", labels=["sky"]',
    "rand_float": "low=0.0, high=1.0, seed=7",
    "rand_int": "low=1, high=7, seed=7",
    "random_range": "size=4, seed=7",
    "range": "start=0, stop=10, step=2",
    "range_of_size": "start=5, size=3",
    "round_float": "value=3.14159, decimals=2",
    "sdxl_prompt": 'text="a red apple", clip=ModelLoader(model="models/my-sdxl"), crop_left=128',
    "step_param_easing": 'easing="CubicOut", num_steps=20, start_value=8.0, end_value=2.0',
    "string": 'value="a red apple"',
    "string_collection": 'collection=["red", "green"]',
    "string_join": 'string_left="a red ", string_right="apple"',
    "string_join_three": 'string_left="a ", string_middle="red", string_right=" apple"',
    "string_replace": 'string="a red apple", search_string="red", replace_string="green"',
    "string_split": 'string="red|green", delimiter="|"',
    "string_split_neg": 'string="a red apple [blurry]"',
    "sub": "a=3, b=2",
    "text_encoder_loader": 'kind="flux-dev", files=["models/clip_l.safetensors", "models/t5xxl.safetensors"]',
    "tile_image_processor": "image=picture, down_sampling_rate=4",
    "transformer_loader": 'model="models/flux1-dev.safetensors"',
    "wildcards": 'folder="."',
}
"""Arguments of nodes whose example needs more than the required inputs."""
VALUES = {
    "path": "picture.png",
    "file_path": "prompts.txt",
    "model": "emoji",
    "vae_model": "models/my-vae",
    "control_model": "models/my-controlnet",
    "t2i_adapter_model": "models/my-t2i-adapter",
    "depth_model": "models/my-depth",
    "segmentation_model": "models/my-segmenter",
    "sam_model": "models/my-sam",
    "caption_model": "models/my-captioner",
    "embedding": "my-embedding.safetensors",
    "lora": "my-lora.safetensors",
    "prompt": "a red apple",
    "value": 3,
}
BY_TYPE: dict[Any, Any] = {int: 64, float: 2.0, str: "a red apple", bool: True}


def example_of(cls: type[BaseInvocation]) -> str:
    """Return Python lines that make a node of the class. Raises `NbgraphError` for an input without an example."""
    arguments = ARGUMENTS.get(cls.type)
    if arguments is None:
        required = [spec for spec in cls.inputs().values() if spec.required]
        arguments = ", ".join(f"{spec.name}={_argument(cls, spec)}" for spec in required)
    needed = {node.id for node in ast.walk(ast.parse(f"f({arguments})")) if isinstance(node, ast.Name)}
    # Backwards through the lines, so that what a needed line needs is found in the same pass.
    for name, _, needs in reversed(LINES):
        if name in needed:
            needed.update(needs)
    lines = [f"{name} = {call}" for name, call, _ in LINES if name in needed]
    return "\n".join([*lines, f"node = {cls.__name__}({arguments})"])


def _argument(cls: type[BaseInvocation], spec: InputSpec) -> str:
    annotation = spec.annotation
    if annotation in SOURCES:
        return SOURCES[annotation]
    if get_origin(annotation) is list and get_args(annotation)[0] in SOURCES:
        return f"Collect(item=[{SOURCES[get_args(annotation)[0]]}])"
    if spec.name in VALUES or annotation in BY_TYPE:
        return repr(VALUES.get(spec.name, BY_TYPE.get(annotation))).replace("'", '"')
    where = f"{cls.type}.{spec.name}, a {type_name(annotation)}"
    raise NbgraphError(
        f"no example is known for {where}; add one to SOURCES or ARGUMENTS in nbgraph/cli/node_reference.py"
    )


def main() -> None:
    """Write the page to the path given as argument, or to docs/nodes.md."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(reference(), encoding="utf-8")
    print(f"wrote {target}: {len(built_in_nodes())} nodes")


if __name__ == "__main__":
    main()
