"""How a picture was made as a line of text, in the form that A1111 began and most viewers read."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbgraph import diffusion
from nbgraph.diffusion.refs import ClipSkipPatch, LoraPatch
from nbgraph.errors import ModelError
from nbgraph.invocations.fields import ModelField, models_in
from nbgraph.recipes.hashes import lora_hash, model_hash
from nbgraph.recipes.samplers import TOOL_SAMPLERS, TOOL_SCHEDULES, a1111_name
from nbgraph.recipes.upstream import Upstream
from nbgraph.services.shared.graph.plan import Prepared

PROMPTS = frozenset({"prompt", "compel", "sdxl_prompt", "tool_prompt"})
DENOISERS = frozenset({"denoise_latents", "tool_sampler"})
NAME_LENGTH = 200


def parameters_text(upstream: Upstream, size: tuple[int, int], version: str, with_prompts: bool = True) -> str:
    """Return the prompts and settings of the denoising nearest to a picture; "" where none was done.

    The first lines are the prompt, with the LoRAs as tags, then `Negative prompt: ...`, then one line that begins with
    `Steps: `. Values that hold commas or colons are in double quotes.
    """
    denoise = next((one for one in upstream.prepared() if one.planned.node.type in DENOISERS), None)
    if denoise is None:
        return ""
    model = _model(upstream, denoise)
    lines: list[str] = []
    if with_prompts:
        lines.append(_prompt(upstream, denoise, "positive") + _lora_tags(model, _text_weights(upstream, denoise)))
        if negative := _prompt(upstream, denoise, "negative"):
            lines.append(f"Negative prompt: {negative}")
    settings = {**_sampling(upstream, denoise), "Size": f"{size[0]}x{size[1]}", **_of_model(model)}
    settings["Version"] = f"nbgraph {version}"
    lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in settings.items() if value not in ("", None)))
    return "\n".join(lines)


def _sampling(upstream: Upstream, denoise: Prepared) -> dict[str, Any]:
    values = upstream.values(denoise)
    if denoise.planned.node.type == "tool_sampler":
        return _tool_sampling(values)
    sampler, schedule = a1111_name(values["scheduler"], _own_scheduler(upstream, denoise))
    noise = next(iter(upstream.sources(denoise, "noise")), None)
    seed = getattr(upstream.output(noise), "seed", None) if noise else None
    changes_picture = values["latents"] is not None and noise is not None
    steps, cfg = _with_defaults(upstream, denoise)
    return {
        "Steps": steps,
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": "" if cfg is None else f"{cfg:g}",
        "Seed": "" if seed is None else seed,
        "Denoising strength": f"{1 - values['denoising_start']:g}" if changes_picture else "",
    }


def _with_defaults(upstream: Upstream, denoise: Prepared) -> tuple[int | None, float | None]:
    """(steps, scale of guidance) of a node; those of its model where left out, None for a model that is gone."""
    values = upstream.values(denoise)
    steps, cfg = values["steps"] or len(values["sigmas"] or ()) or None, values["cfg_scale"]
    model = next(iter(models_in(values["unet"])), None)
    if model is None or (steps is not None and cfg is not None):
        return steps, cfg
    try:
        described = diffusion.describe_model(model)
        usual = diffusion.defaults_of(described).steps, diffusion.default_cfg(described, values["negative"] is not None)
    except ModelError:
        return steps, cfg
    return usual[0] if steps is None else steps, usual[1] if cfg is None else cfg


def _tool_sampling(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "Steps": values["steps"],
        "Sampler": TOOL_SAMPLERS.get(values["sampler"], values["sampler"]),
        "Schedule type": TOOL_SCHEDULES.get(values["schedule"], values["schedule"]),
        "CFG scale": f"{values['cfg_scale']:g}",
        "Seed": values["seed"],
        "Denoising strength": f"{values['denoise']:g}" if values["denoise"] < 1 else "",
    }


def _prompt(upstream: Upstream, denoise: Prepared, side: str) -> str:
    """The text that was encoded for one side, through nodes that only pass conditioning on."""
    waiting = upstream.sources(denoise, side)
    while waiting:
        one = waiting.pop(0)
        if one.planned.node.type in PROMPTS:
            return str(upstream.values(one)["text"]).strip()
        waiting += [source for edge in one.planned.inputs for source in upstream.sources(one, edge.field)]
    return ""


def _model(upstream: Upstream, denoise: Prepared) -> ModelField | None:
    found = models_in(upstream.values(denoise)["unet"])
    clips = [models_in(upstream.values(one)) for one in upstream.sources(denoise, "positive")]
    if not found:
        return None
    skips = [patch for models in clips for model in models for patch in model.patches if patch.kind == "clip_skip"]
    return found[0].model_copy(update={"patches": (*found[0].patches, *skips)})


def _own_scheduler(upstream: Upstream, denoise: Prepared) -> str:
    """The class of the model's own scheduler, read from its folder; "" for a model that is gone."""
    model = next(iter(models_in(upstream.values(denoise)["unet"])), None)
    file = Path(model.path) / "scheduler" / "scheduler_config.json" if model else None
    try:
        return "" if file is None else str(json.loads(file.read_bytes())["_class_name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _of_model(model: ModelField | None) -> dict[str, Any]:
    if model is None:
        return {}
    loras = [patch for patch in model.patches if isinstance(patch, LoraPatch)]
    skipped = sum(patch.layers for patch in model.patches if isinstance(patch, ClipSkipPatch))
    hashes = {_lora_name(patch): lora_hash(patch.path) for patch in loras}
    return {
        "Model": Path(model.name).name[:NAME_LENGTH],
        "Model hash": model_hash(model.path),
        "Clip skip": skipped + 1 if skipped else "",
        "Lora hashes": ", ".join(f"{name}: {digest}" for name, digest in hashes.items() if digest),
        "RNG": "CPU",
    }


def _text_weights(upstream: Upstream, denoise: Prepared) -> dict[str, float]:
    """The weights of LoRAs in the text encoders that read the prompt, by fingerprint."""
    models = [found for one in upstream.sources(denoise, "positive") for found in models_in(upstream.values(one))]
    patches = [patch for model in models for patch in model.patches]
    return {patch.fingerprint: patch.weight for patch in patches if isinstance(patch, LoraPatch)}


def _lora_tags(model: ModelField | None, text_weights: Mapping[str, float]) -> str:
    """The tags of LoRAs: with one weight, or with that of the text encoders before that of the denoiser."""
    tags: list[str] = []
    for patch in model.patches if model else ():
        if isinstance(patch, LoraPatch):
            text = text_weights.get(patch.fingerprint, patch.weight)
            weights = f"{patch.weight:g}" if text == patch.weight else f"{text:g}:{patch.weight:g}"
            tags.append(f" <lora:{_lora_name(patch)}:{weights}>")
    return "".join(tags)


def _lora_name(patch: LoraPatch) -> str:
    """The name of the file, with the letters alone that a tag may have."""
    return re.sub(r"[^a-zA-Z0-9_.-]", "_", Path(patch.path).stem[:NAME_LENGTH])


def _quoted(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ',:\n"') else text
