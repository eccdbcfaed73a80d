"""A list of settings as a graph: what A1111, Forge, Fooocus, NovelAI and InvokeAI's metadata say of an image."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nbgraph.errors import RecipeError
from nbgraph.recipes.graph_builder import GraphBuilder, Out
from nbgraph.recipes.opened import Report
from nbgraph.recipes.samplers import DRAWING, OTHER_GENERATOR
from nbgraph.recipes.shelf import Shelf
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.texts import shorten


class ListedLora(NamedTuple):
    """A LoRA by its name, its weights in the denoiser and in the text encoders (None is the same), and its hash."""

    name: str
    weight: float
    clip_weight: float | None = None
    digest: str = ""


@dataclass
class ListedSettings:
    """The settings of one image, by names of our own.

    `clip_skip` counts the last layers of the text encoders that are left out. `syntax` is the tool whose weights the
    prompts are written with: `a1111`, `comfy`, or `compel`, which InvokeAI uses.
    """

    prompt: str = ""
    negative: str = ""
    model: str = ""
    model_hash: str = ""
    vae: str = ""
    width: int | None = None
    height: int | None = None
    seed: int = 0
    steps: int = 20
    cfg: float = 7.0
    sampler: str = "euler"
    schedule: str = "normal"
    clip_skip: int = 0
    syntax: str = "a1111"
    loras: list[ListedLora] = field(default_factory=list[ListedLora])


def import_settings(found: ListedSettings, shelf: Shelf, report: Report) -> Graph:
    """Return the graph that draws by a list of settings."""
    builder = GraphBuilder(report)
    model_name = shelf.model(found.model, report, found.model_hash)
    model = builder.add("model_loader", "model", model=model_name)
    unet, clip = Out(model, "unet"), Out(model, "clip")
    for name, weight, clip_weight, digest in found.loras:
        path = shelf.lora(name, report, digest)
        weights = {"weight": weight, "clip_weight": None if clip_weight == weight else clip_weight}
        lora = builder.add("lora_loader", "lora", lora=path, **weights, unet=unet, clip=clip)
        unet, clip = Out(lora, "unet"), Out(lora, "clip")
    if found.clip_skip and _can_skip(found, model_name, shelf, report):
        clip = Out(builder.add("clip_skip", "clip_skip", clip=clip, skipped_layers=found.clip_skip), "clip")
    encoder, syntax = ("tool_prompt", found.syntax) if found.syntax != "compel" else ("compel", None)
    if encoder == "compel" and not shelf.is_stable_diffusion(model_name):
        encoder = "prompt"  # InvokeAI reads weights for Stable Diffusion alone
    sides = {
        side: Out(builder.add(encoder, side, text=text, clip=clip, syntax=syntax), "conditioning")
        for side, text in (("positive", found.prompt), ("negative", found.negative))
    }
    if found.sampler in DRAWING:
        report.differs(f"sampler {found.sampler}", OTHER_GENERATOR)
    sampler = builder.add(
        "tool_sampler",
        "sampler",
        unet=unet,
        **sides,
        width=found.width,
        height=found.height,
        seed=found.seed,
        steps=found.steps,
        cfg_scale=found.cfg,
        sampler=found.sampler,
        schedule=found.schedule,
        tool="a1111" if found.syntax == "a1111" else "comfy",
    )
    vae = Out(model, "vae")
    if found.vae and found.vae not in ("None", "Automatic"):
        vae = Out(builder.add("vae_loader", "vae", vae_model=shelf.model(found.vae, report)), "vae")
    builder.add("l2i", "image", latents=Out(sampler, "latents"), vae=vae)
    report.exact("prompts, steps, seed, guidance and size")
    return builder.graph()


def _can_skip(found: ListedSettings, model: str, shelf: Shelf, report: Report) -> bool:
    """Whether text encoders leave out more layers than by themselves; those of SDXL leave out their last one."""
    if not shelf.is_stable_diffusion_xl(model):
        return True
    if found.clip_skip > 1:
        report.differs(f"Clip skip {found.clip_skip + 1}", "SDXL's text encoders leave out their last layer alone here")
    return False


def name_the_rest(values: Mapping[str, Any], used: Collection[str], report: Report) -> None:
    """Report every setting that is not among those `used` and says something: none is left out without a word."""
    for name, value in values.items():
        if name not in used and value not in (None, "", [], {}, False):
            report.missing(f"{shorten(str(name), 60)}: {shorten(str(value), 60)}", "this setting is not taken over")


def whole(value: Any) -> int:
    """Return a value as a whole number; `RecipeError` for what is none."""
    try:
        return int(float(value)) if isinstance(value, str) and "." in value else int(value)
    except (TypeError, ValueError, OverflowError):
        raise RecipeError(f"{str(value)[:40]!r} is no whole number") from None


def pair(value: Any) -> tuple[int | None, int | None]:
    """Return (width, height) of a text that holds two numbers; None for each where it does not."""
    numbers = re.findall(r"\d{1,5}", str(value or ""))
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else (None, None)
