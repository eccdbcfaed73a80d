"""Recipes that are a list of settings, as a graph: A1111 and Forge, Fooocus, NovelAI, and InvokeAI's metadata."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from nbgraph.errors import RecipeError
from nbgraph.recipes.graph_builder import GraphBuilder, Out
from nbgraph.recipes.json_values import is_list, is_object
from nbgraph.recipes.opened import Report
from nbgraph.recipes.shelf import Shelf
from nbgraph.services.shared.graph.graph import Graph

PAIR = re.compile(r'\s*(\w[\w \-/]{0,60}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
LORA = re.compile(r"<lora:([^:<>]{1,200}):([\d.+-]{1,20})[^<>]{0,40}>")
LEAST_PAIRS = 3
A1111_SAMPLERS = {
    "euler": "euler", "euler a": "euler_ancestral", "heun": "heun", "lms": "lms", "ddim": "euler",
    "dpm++ 2m": "dpmpp_2m", "dpm++ 2m sde": "dpmpp_2m_sde", "dpm++ 3m sde": "dpmpp_3m_sde", "unipc": "uni_pc",
}  # fmt: skip
INVOKE_SAMPLERS = {
    "euler": "euler", "euler_a": "euler_ancestral", "heun": "heun", "lms": "lms", "ddim": "euler", "unipc": "uni_pc",
    "dpmpp_2m": "dpmpp_2m", "dpmpp_2m_sde": "dpmpp_2m_sde",
}  # fmt: skip
A1111_SCHEDULES = {
    "karras": "karras", "exponential": "exponential", "sgm uniform": "sgm_uniform", "simple": "simple",
    "normal": "normal", "ddim": "ddim_uniform", "kl optimal": "kl_optimal",
}  # fmt: skip
USED = ("Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model", "Model hash", "Clip skip", "Version")
QUIET = ("RNG", "Lora hashes", "Hashes", "Denoising strength", "VAE hash", "TI hashes")


@dataclass
class ListedSettings:
    """The settings of one picture, by names of our own."""

    prompt: str = ""
    negative: str = ""
    model: str = ""
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
    loras: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])


def is_parameters(text: str) -> bool:
    """Return whether a text ends as A1111's do: a line with at least three settings, one of them the steps."""
    last = text.strip().rpartition("\n")[2]
    return "Steps: " in last and len(PAIR.findall(last[:20_000])) >= LEAST_PAIRS


def read_parameters(text: str, report: Report) -> ListedSettings:
    """Return the settings in a text of A1111 or Forge; what is not taken over is in the report."""
    if not is_parameters(text):
        raise RecipeError("this is no text of A1111: its last line has no settings such as 'Steps: 20, Sampler: Euler'")
    head, _, last = text.strip().rpartition("\n")
    pairs = {name.strip(): _plain(value) for name, value in PAIR.findall(last)}
    positive, _, negative = head.partition("Negative prompt:")
    loras = [(name, float(weight)) for name, weight in LORA.findall(positive)]
    found = ListedSettings(
        prompt=LORA.sub("", positive).strip(),
        negative=negative.strip(),
        model=pairs.get("Model", ""),
        vae=pairs.get("VAE", ""),
        seed=_whole(pairs.get("Seed", "0")),
        steps=_whole(pairs.get("Steps", "20")),
        cfg=float(pairs.get("CFG scale", "7")),
        clip_skip=max(0, _whole(pairs.get("Clip skip", "1")) - 1),
        loras=loras,
    )
    if size := re.fullmatch(r"(\d{1,5})x(\d{1,5})", pairs.get("Size", "")):
        found.width, found.height = int(size[1]), int(size[2])
    _choose_sampler(found, pairs.get("Sampler", "Euler"), pairs.get("Schedule type", ""), report)
    if "nbgraph" not in pairs.get("Version", "") and pairs.get("RNG", "GPU") != "CPU":
        report.differs("RNG", "the noise was drawn on the GPU, and is drawn on the CPU here")
    if "Denoising strength" in pairs:
        report.missing("picture that went in", "the text says how much of it was changed, and has not the picture")
    for name in pairs.keys() - {*USED, *QUIET}:
        report.missing(f"{name}: {pairs[name][:60]}", "this setting is not taken over")
    return found


def _choose_sampler(found: ListedSettings, sampler: str, schedule: str, report: Report) -> None:
    name = sampler.casefold().strip()
    for ending in ("karras", "exponential"):
        if name.endswith(f" {ending}"):
            name, schedule = name.removesuffix(f" {ending}"), ending
    if name not in A1111_SAMPLERS:
        report.differs(f"sampler {sampler}", "it has no equivalent here; Euler is taken")
    found.sampler = A1111_SAMPLERS.get(name, "euler")
    automatic = "karras" if name.startswith(("dpm++ 2m", "dpm++ 3m")) else "normal"
    chosen = schedule.casefold()
    if chosen and chosen != "automatic" and chosen not in A1111_SCHEDULES:
        report.differs(f"schedule type {schedule}", f"it has no equivalent here; {automatic} is taken")
    found.schedule = A1111_SCHEDULES.get(chosen, automatic)


def read_fooocus(data: dict[str, Any], report: Report) -> ListedSettings:
    """Return the settings in Fooocus' JSON."""
    report.differs("Fooocus", "its sharpness and adaptive guidance have no equivalent here")
    width, height = _pair(data.get("resolution"))
    return ListedSettings(
        prompt=str(data.get("prompt", "")),
        negative=str(data.get("negative_prompt", "")),
        model=str(data.get("base_model", "")),
        width=width,
        height=height,
        seed=_whole(data.get("seed", 0)),
        steps=_whole(data.get("steps", 30)),
        cfg=float(data.get("guidance_scale", 4.0)),
        sampler="dpmpp_2m_sde" if "dpmpp_2m_sde" in str(data.get("sampler")) else "euler",
        schedule="karras" if data.get("scheduler") == "karras" else "normal",
        syntax="comfy",
    )


def read_novelai(prompt: str, data: dict[str, Any], report: Report) -> ListedSettings:
    """Return the settings in NovelAI's comment; its model is not to be had, so that another one draws."""
    report.missing("model of NovelAI", "it is not to be had; choose another one")
    sampler = str(data.get("sampler", "k_euler")).removeprefix("k_")
    return ListedSettings(
        prompt=prompt or str(data.get("prompt", "")),
        negative=str(data.get("uc", "")),
        seed=_whole(data.get("seed", 0)),
        steps=_whole(data.get("steps", 28)),
        cfg=float(data.get("scale", 5.0)),
        width=_whole(data["width"]) if "width" in data else None,
        height=_whole(data["height"]) if "height" in data else None,
        sampler=sampler if sampler in INVOKE_SAMPLERS.values() else "euler",
        schedule="karras",
    )


def read_invoke_metadata(data: dict[str, Any], report: Report) -> ListedSettings:
    """Return the settings in InvokeAI's metadata of a picture."""
    name = str(data.get("scheduler", "euler"))
    plain = name.removesuffix("_k")
    if plain not in INVOKE_SAMPLERS:
        report.differs(f"scheduler {name}", "it has no equivalent here; euler is taken")
    report.differs("start", "InvokeAI begins with diffusers' own scale of the noise")
    given = data.get("loras")
    loras: list[Any] = given if is_list(given) else []
    for part in ("controlnets", "ipAdapters", "t2iAdapters", "refiner_model", "strength"):
        if data.get(part):
            report.missing(part, "this part of the metadata is not taken over")
    return ListedSettings(
        prompt=str(data.get("positive_prompt", "")),
        negative=str(data.get("negative_prompt") or ""),
        model=model_name(data.get("model")),
        vae=model_name(data.get("vae")),
        width=_whole(data["width"]) if data.get("width") else None,
        height=_whole(data["height"]) if data.get("height") else None,
        seed=_whole(data.get("seed", 0)),
        steps=_whole(data.get("steps", 30)),
        cfg=float(data.get("cfg_scale") or 7.5),
        sampler=INVOKE_SAMPLERS.get(plain, "euler"),
        schedule="karras" if name.endswith("_k") else "normal",
        clip_skip=_whole(data.get("clip_skip") or 0),
        syntax="comfy",
        loras=[
            (model_name(each.get("model") or each.get("lora")), float(each.get("weight", 0.75)))
            for each in loras
            if is_object(each)
        ],
    )


def import_settings(found: ListedSettings, shelf: Shelf, report: Report) -> Graph:
    """Return the graph that draws by a list of settings."""
    builder = GraphBuilder(report)
    model = builder.add("model_loader", "model", model=shelf.model(found.model, report))
    unet, clip = Out(model, "unet"), Out(model, "clip")
    for name, weight in found.loras:
        lora = builder.add("lora_loader", "lora", lora=shelf.lora(name, report), weight=weight, unet=unet, clip=clip)
        unet, clip = Out(lora, "unet"), Out(lora, "clip")
    if found.clip_skip:
        clip = Out(builder.add("clip_skip", "clip_skip", clip=clip, skipped_layers=found.clip_skip), "clip")
    sides = {
        side: Out(builder.add("tool_prompt", side, text=text, clip=clip, syntax=found.syntax), "conditioning")
        for side, text in (("positive", found.prompt), ("negative", found.negative))
    }
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
        tool=found.syntax,
    )
    vae = Out(model, "vae")
    if found.vae and found.vae not in ("None", "Automatic"):
        vae = Out(builder.add("vae_loader", "vae", vae_model=shelf.model(found.vae, report)), "vae")
    builder.add("l2i", "image", latents=Out(sampler, "latents"), vae=vae)
    report.exact("prompts, steps, seed, guidance and size")
    return builder.graph()


def _plain(value: str) -> str:
    text = value.strip()
    if text[:1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text.strip('"')
    return text


def _whole(value: Any) -> int:
    try:
        return int(float(value)) if isinstance(value, str) and "." in value else int(value)
    except (TypeError, ValueError, OverflowError):
        raise RecipeError(f"{str(value)[:40]!r} is no whole number") from None


def _pair(value: Any) -> tuple[int | None, int | None]:
    numbers = re.findall(r"\d{1,5}", str(value or ""))
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else (None, None)


def model_name(value: Any) -> str:
    """Return the name in a model that is given as an object, or as a name."""
    if is_object(value):
        return str(value.get("name") or value.get("model_name") or value.get("key") or "")
    return str(value or "")
