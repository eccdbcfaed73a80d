"""The text that A1111, Forge and their kin write into images: a prompt, a negative prompt, one line of settings."""

import json
import re
from collections.abc import Mapping

from nbgraph.errors import RecipeError
from nbgraph.recipes.opened import Report
from nbgraph.recipes.samplers import TOOL_SAMPLERS, TOOL_SCHEDULES
from nbgraph.recipes.settings_import import ListedLora, ListedSettings, name_the_rest, whole
from nbgraph.texts import shorten

PAIR = re.compile(r'\s*(\w[\w \-/]{0,60}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
TAG = re.compile(r"<(lora|lyco|hypernet):([^<>]{1,300})>")
LEAST_PAIRS = 3
LONGEST_LINE = 20_000
NEGATIVE = "Negative prompt:"
SAMPLERS = {name.casefold(): tool for tool, name in TOOL_SAMPLERS.items()} | {"ddim": "euler"}
SCHEDULES = {name.casefold(): tool for tool, name in TOOL_SCHEDULES.items()} | {"uniform": "normal"}
AUTOMATIC = {"dpm++ 2m": "karras", "dpm++ 2m sde": "exponential", "dpm++ 3m sde": "exponential"}
"""The schedule that `Automatic` means for a sampler since version 1.9; `normal` for the others."""
OWN_FORMULAS = {
    "ddim": "A1111 begins with a little less noise; Euler over the levels of ddim_uniform is taken",
    "unipc": "A1111 has one of its own; that of ComfyUI is taken",
    "dpm++ 3m sde": "A1111 leaves out the last level but one",
}
USED = frozenset({
    "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model", "Model hash", "VAE", "Clip skip",
    "Version", "RNG", "Denoising strength",
})  # fmt: skip
QUIET = frozenset({"Lora hashes", "Hashes", "VAE hash", "TI hashes"})
"""Hashes of what other settings and the prompt name."""


def is_parameters(text: str) -> bool:
    """Return whether a text has a line of at least three settings that begins with the number of steps."""
    return _settings_line(text.strip().split("\n")) is not None


def read_parameters(text: str, report: Report) -> ListedSettings:
    """Return the settings in a text of A1111 or Forge; what is not taken over is in the report."""
    lines = [line.strip() for line in text.strip().split("\n")]
    place = _settings_line(lines)
    if place is None:
        raise RecipeError("this is no text of A1111: it has no line of settings such as 'Steps: 20, Sampler: Euler'")
    pairs = {name.strip(): _plain(value) for name, value in PAIR.findall(lines[place])}
    for line in lines[place + 1 :]:
        report.missing(shorten(line, 60), "this line after the settings is not taken over")
    positive, negative = _prompts(lines[:place])
    found = ListedSettings(
        prompt=positive,
        negative=negative,
        model=pairs.get("Model", ""),
        model_hash=pairs.get("Model hash", ""),
        vae=pairs.get("VAE", ""),
        seed=whole(pairs.get("Seed", "0")),
        steps=whole(pairs.get("Steps", "20")),
        cfg=float(pairs.get("CFG scale", "7")),
        clip_skip=max(0, whole(pairs.get("Clip skip", "1")) - 1),
    )
    digests = dict(re.findall(r"([^:,]+): *([0-9a-fA-F]{10,64})", pairs.get("Lora hashes", "")))
    digests = {name.strip(): digest for name, digest in digests.items()}
    found.prompt = TAG.sub(lambda tag: _read_tag(tag, found, digests, report), positive).strip()
    if size := re.fullmatch(r"(\d{1,5})x(\d{1,5})", pairs.get("Size", "")):
        found.width, found.height = int(size[1]), int(size[2])
    _choose_sampler(found, pairs, report)
    if "nbgraph" not in pairs.get("Version", "") and pairs.get("RNG", "GPU") != "CPU":
        report.differs("RNG", "the noise was drawn on the GPU, and is drawn on the CPU here")
    if any(name.startswith("Hires ") for name in pairs):
        report.missing("hires fix", "the image was enlarged and denoised again; the graph gives the one before that")
    elif "Denoising strength" in pairs:
        report.missing("picture that went in", "the text says how much of it was changed, and has not the picture")
    name_the_rest(pairs, USED | QUIET, report)
    return found


def _settings_line(lines: list[str]) -> int | None:
    """The place of the line of settings: the last one, as a prompt may look like it."""
    for place in range(len(lines) - 1, -1, -1):
        line = lines[place].strip()
        if line.startswith("Steps: ") and len(PAIR.findall(line[:LONGEST_LINE])) >= LEAST_PAIRS:
            return place
    return None


def _prompts(lines: list[str]) -> tuple[str, str]:
    """(prompt, negative prompt): the second one begins with a line that says so, and not within a line."""
    begin = next((place for place, line in enumerate(lines) if line.startswith(NEGATIVE)), len(lines))
    negative = "\n".join(lines[begin:]).removeprefix(NEGATIVE)
    return "\n".join(lines[:begin]), negative.strip()


def _read_tag(tag: "re.Match[str]", found: ListedSettings, digests: Mapping[str, str], report: Report) -> str:
    """Take a tag out of the prompt: a LoRA by its name, text weight and denoiser weight, by place or by name."""
    kind, inner = tag.groups()
    items = inner.split(":")
    named = dict(item.split("=", 1) for item in items if "=" in item)
    name, *weights = [item for item in items if "=" not in item] or [""]
    if kind == "hypernet":
        report.missing(tag[0], "no node here reads hypernetworks")
        return ""
    try:
        text = float(named.pop("te", weights[0] if weights else 1.0))
        denoiser = float(named.pop("unet", weights[1] if len(weights) > 1 else text))
    except ValueError:
        report.missing(tag[0], "its weights are no numbers")
        return ""
    if named or len(weights) > 2:
        report.differs(tag[0], "of its values, the two weights alone are taken over")
    found.loras.append(ListedLora(name, denoiser, text, digests.get(name, "")))
    return ""


def _choose_sampler(found: ListedSettings, pairs: dict[str, str], report: Report) -> None:
    sampler, schedule = pairs.get("Sampler", "Euler"), pairs.get("Schedule type", "")
    name = sampler.casefold().strip()
    for ending in ("karras", "exponential"):
        if name.endswith(f" {ending}"):
            name, schedule = name.removesuffix(f" {ending}"), ending
    if name not in SAMPLERS:
        report.differs(f"sampler {sampler}", "it has no equivalent here; Euler is taken")
    elif name in OWN_FORMULAS:
        report.differs(f"sampler {sampler}", OWN_FORMULAS[name])
    found.sampler = SAMPLERS.get(name, "euler")
    if name == "ddim":
        found.schedule = "ddim_uniform"  # of which A1111's DDIM takes the timesteps, whatever schedule is chosen
        return
    automatic, chosen = AUTOMATIC.get(name, "normal"), schedule.casefold()
    if not chosen and automatic != "normal" and not _has_schedules(pairs.get("Version", "")):
        automatic = "normal"
        report.differs("schedule type", "the text names none; normal is taken, as A1111 did before version 1.9")
    if chosen not in ("", "automatic", *SCHEDULES):
        report.differs(f"schedule type {schedule}", f"it has no equivalent here; {automatic} is taken")
    found.schedule = SCHEDULES.get(chosen, automatic)


def _has_schedules(version: str) -> bool:
    """Whether a version lets a person choose the schedule apart from the sampler, so that none means Automatic."""
    numbers = re.search(r"v(\d{1,3})\.(\d{1,3})", version)
    return version.startswith("f") or (numbers is not None and (int(numbers[1]), int(numbers[2])) >= (1, 9))


def _plain(value: str) -> str:
    text = value.strip()
    if text[:1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text.strip('"')
    return text
