"""Settings that are listed as JSON: those of Fooocus and NovelAI, and InvokeAI's metadata of an image."""

import re
from typing import Any, get_args

from nbgraph.diffusion.tool_names import ToolSamplerName, ToolScheduleName
from nbgraph.recipes.json_values import is_list, is_object
from nbgraph.recipes.opened import Report
from nbgraph.recipes.settings_import import ListedLora, ListedSettings, name_the_rest, pair, whole

INVOKE_SAMPLERS = {
    "euler": "euler", "euler_a": "euler_ancestral", "heun": "heun", "lms": "lms", "ddim": "euler", "unipc": "uni_pc",
    "dpmpp_2m": "dpmpp_2m", "dpmpp_2m_sde": "dpmpp_2m_sde",
}  # fmt: skip
FOOOCUS = frozenset({
    "prompt", "negative_prompt", "full_prompt", "full_negative_prompt", "base_model", "resolution", "seed", "steps",
    "guidance_scale", "sampler", "scheduler", "vae", "loras", "clip_skip",
    "metadata_scheme", "version", "created_by", "base_model_hash", "performance",
})  # fmt: skip
NOVELAI = frozenset({
    "prompt", "uc", "seed", "scale", "steps", "sampler", "noise_schedule", "width", "height", "request_type",
    "signed_hash", "version", "extra_noise_seed", "n_samples",
})  # fmt: skip
INVOKE = frozenset({
    "generation_mode", "positive_prompt", "negative_prompt", "model", "vae", "width", "height", "seed", "steps",
    "cfg_scale", "scheduler", "clip_skip", "loras", "rand_device", "app_version", "canvas_v2_metadata",
})  # fmt: skip
FOOOCUS_LAYERS = 2
"""Its count of the layers of text encoders at which SDXL's end by themselves."""


def read_fooocus(data: dict[str, Any], report: Report) -> ListedSettings:
    """Return the settings in Fooocus' JSON."""
    report.differs("Fooocus", "its sharpness and adaptive guidance have no equivalent here")
    width, height = pair(data.get("resolution"))
    loras = [each for each in _listed(data.get("loras")) if is_list(each) and len(each) >= 2]
    vae = str(data.get("vae") or "")
    name_the_rest(data, FOOOCUS, report)
    return ListedSettings(
        prompt=str(data.get("prompt", "")),
        negative=str(data.get("negative_prompt", "")),
        model=str(data.get("base_model", "")),
        model_hash=str(data.get("base_model_hash") or ""),
        vae="" if vae.startswith("Default") else vae,
        width=width,
        height=height,
        seed=whole(data.get("seed", 0)),
        steps=whole(data.get("steps", 30)),
        cfg=float(data.get("guidance_scale", 4.0)),
        sampler=_sampler(str(data.get("sampler") or "dpmpp_2m_sde_gpu").removesuffix("_gpu"), report),
        schedule=_schedule(str(data.get("scheduler") or "karras"), report),
        clip_skip=max(0, whole(data.get("clip_skip") or FOOOCUS_LAYERS) - 1),
        syntax="comfy",
        loras=[ListedLora(str(name), float(weight)) for name, weight, *_ in loras],
    )


def read_novelai(prompt: str, data: dict[str, Any], report: Report) -> ListedSettings:
    """Return the settings in NovelAI's comment; its model is not to be had, so that another one draws."""
    report.missing("model of NovelAI", "it is not to be had; choose another one")
    text = prompt or str(data.get("prompt", ""))
    if re.search(r"[{}\[\]]|\d::", text + str(data.get("uc", ""))):
        report.differs("emphasis", "NovelAI's {word}, [word] and 1.2::word:: are read as A1111 reads them")
    if "img2img" in str(data.get("request_type", "")).casefold():
        report.missing("picture that went in", "the text says how much of it was changed, and has not the picture")
    name_the_rest(data, NOVELAI, report)
    return ListedSettings(
        prompt=text,
        negative=str(data.get("uc", "")),
        seed=whole(data.get("seed", 0)),
        steps=whole(data.get("steps", 28)),
        cfg=float(data.get("scale", 5.0)),
        width=whole(data["width"]) if "width" in data else None,
        height=whole(data["height"]) if "height" in data else None,
        sampler=_sampler(str(data.get("sampler") or "euler").removeprefix("k_"), report),
        schedule=_schedule(str(data.get("noise_schedule") or "karras"), report),
    )


def read_invoke_metadata(data: dict[str, Any], report: Report) -> ListedSettings:
    """Return the settings in InvokeAI's metadata of an image."""
    name = str(data.get("scheduler", "euler"))
    plain = name.removesuffix("_k")
    if plain not in INVOKE_SAMPLERS:
        report.differs(f"scheduler {name}", "it has no equivalent here; euler is taken")
    report.differs("start", "InvokeAI begins with diffusers' own scale of the noise, and takes its spacing of levels")
    if str(data.get("rand_device") or "cpu") != "cpu":
        report.differs("rand_device", "the noise was drawn on the GPU, and is drawn on the CPU here")
    mode = str(data.get("generation_mode") or "txt2img")
    if not mode.endswith("txt2img"):
        report.missing("picture that went in", f"this was {mode[:40]}, and the metadata have not the picture")
    if data.get("controlnets"):
        report.missing("controlnets", "the images that steer are not in the metadata")
    name_the_rest(data, INVOKE | {"controlnets"}, report)
    return ListedSettings(
        prompt=str(data.get("positive_prompt", "")),
        negative=str(data.get("negative_prompt") or ""),
        model=model_name(data.get("model")),
        vae=model_name(data.get("vae")),
        width=whole(data["width"]) if data.get("width") else None,
        height=whole(data["height"]) if data.get("height") else None,
        seed=whole(data.get("seed", 0)),
        steps=whole(data.get("steps", 30)),
        cfg=float(data.get("cfg_scale") or 7.5),
        sampler=INVOKE_SAMPLERS.get(plain, "euler"),
        schedule="karras" if name.endswith("_k") else "normal",
        clip_skip=whole(data.get("clip_skip") or 0),
        syntax="compel",
        loras=[
            ListedLora(model_name(each.get("model") or each.get("lora")), float(each.get("weight", 0.75)))
            for each in _listed(data.get("loras"))
            if is_object(each)
        ],
    )


def model_name(value: Any) -> str:
    """Return the name in a model that is given as an object, or as a name."""
    if is_object(value):
        return str(value.get("name") or value.get("model_name") or value.get("key") or "")
    return str(value or "")


def _listed(value: Any) -> list[Any]:
    return value if is_list(value) else []


def _sampler(name: str, report: Report) -> str:
    if name in get_args(ToolSamplerName):
        return name
    report.differs(f"sampler {name[:60]}", "it has no equivalent here; euler is taken")
    return "euler"


def _schedule(name: str, report: Report) -> str:
    if name in get_args(ToolScheduleName):
        return name
    report.differs(f"schedule {name[:60]}", "it has no equivalent here; normal is taken")
    return "normal"
