"""The text of a script while it is written: imports, lines, names of variables, helpers, schedulers."""

import keyword
import math
import re
from typing import Any

from nbgraph.diffusion.description import ModelDescription
from nbgraph.diffusion.schedulers import make_scheduler, own_scheduler

ON_WHITE = '''
def on_white(image):
    """Return an image as RGB; transparent parts become white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")

'''
MEANS = '''
def encoding_means(vae):
    """Return a VAE that encodes a control image as the mean of its distribution, the same every time."""

    def encode(pixels, return_dict=True):
        mean = vae.encode(pixels).latent_dist.mode()
        return SimpleNamespace(latent_dist=SimpleNamespace(sample=lambda generator=None: mean, mode=lambda: mean))

    other = copy(vae)
    other.encode = encode
    return other


'''
FROZEN = '''

def frozen(model):
    """Return a model or pipeline on the device; weights that need gradients would round otherwise, by 1e-6."""
    for module in getattr(model, "components", {"": model}).values():
        if isinstance(module, torch.nn.Module):
            module.requires_grad_(False)
    return model.to(DEVICE)


'''
TAKEN = {
    "frozen",
    "torch",
    "Image",
    "ImageOps",
    "DEVICE",
    "DTYPE",
    "on_white",
    "encoding_means",
    "generator",
    "noise",
    "decoded",
    "encoded",
    "pixels",
}
WIDTH = 118
DRAWING = ("DPMSolverSDEScheduler",)
"""Schedulers that draw noise from a generator of their own, which nbgraph replaces by that of the image."""
WARMING_UP = ("PNDMScheduler", "LMSDiscreteScheduler")
"""Schedulers whose beginning part-way is mended in nbgraph, see `diffusion/scheduler_fixes.py`."""


class ScriptText:
    """Collects the parts of a script; `whole` puts them together."""

    def __init__(self, made_by: str, versions: str) -> None:
        self.made_by, self.versions = made_by, versions
        self.saved: list[str] = []
        self._imports: dict[str, set[str]] = {}
        self._lines: list[str] = []
        self._names = set(TAKEN)
        self._on_white = self._means = False

    def use(self, module: str, *names: str) -> None:
        """Import names of a module."""
        self._imports.setdefault(module, set()).update(names)
        self._names.update(names)

    def add(self, line: str) -> None:
        """Add a line."""
        self._lines.append(line)

    def assign(self, wanted: str, code: str, ending: str = "") -> str:
        """Add an assignment to a new variable, and return its name."""
        name = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        name = name if name and not name[0].isdigit() and not keyword.iskeyword(name) else f"node_{name}"
        name, number = f"{name}{ending}", 2
        while name in self._names:
            name, number = f"{name.rstrip('0123456789')}{number}", number + 1
        self._names.add(name)
        self.add(f"{name} = {code}")
        return name

    @staticmethod
    def frozen(code: str) -> str:
        """Return the code that loads a model, ready to run."""
        return f"frozen({code})"

    def need_on_white(self) -> None:
        """Define the helper that puts an image on white."""
        self._on_white = True
        self.use("PIL", "Image")

    def need_means(self) -> None:
        """Define the helper for ControlNets whose control image is encoded by the VAE."""
        self._means = True
        self.use("copy", "copy")
        self.use("types", "SimpleNamespace")

    def save(self, variable: str, node_id: str) -> None:
        """Save an image under the id of its node."""
        file = re.sub(r"[^\w.-]", "_", node_id)
        file = f"{file if file not in self.saved else f'{file}_{len(self.saved)}'}.png"
        self.saved.append(file.removesuffix(".png"))
        self.add(f"{variable}.save({file!r})")

    def whole(self, device: str, dtype: str) -> str:
        """Return the script for a device and a precision."""
        imports = [f"from {module} import {', '.join(sorted(names))}" for module, names in self._imports.items()]
        heads = [f'"""Draw what a graph of {self.made_by} draws.', "", f'Written with {self.versions}.\n"""', ""]
        heads += ["import torch", *sorted(imports), "", f'DEVICE, DTYPE = "{device}", torch.{dtype}']
        helpers = [ON_WHITE.lstrip("\n")] * self._on_white + [MEANS.lstrip("\n")] * self._means
        heads += [FROZEN + "\n".join(helpers) + "torch.set_grad_enabled(False)"]
        return "\n".join([*heads, *self._lines]) + "\n"


def call_code(function: str, arguments: list[str], **named: str) -> str:
    """Return a call, on several lines where it is long."""
    parts = [*arguments, *(f"{name}={code}" for name, code in named.items())]
    line = f"{function}({', '.join(parts)})"
    if len(line) <= WIDTH:
        return line
    return f"{function}(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def interpolate_code(latents: str, size: tuple[int, int], mode: str, antialias: bool) -> str:
    """Return the call that resizes latents to (height, width), in latents."""
    smooth = {"antialias": repr(antialias)} if mode in ("bilinear", "bicubic") else {}
    return call_code("torch.nn.functional.interpolate", [latents], size=repr(size), mode=repr(mode), **smooth)


def scheduler_code(description: ModelDescription, name: str, steps: int, is_part: bool) -> tuple[str, str, str]:
    """Return (class, code, problem) of a scheduler by its name in nbgraph; `is_part` says that it begins part-way.

    The code has every option, since `from_config` would take defaults of the new class for some of the old one.
    """
    scheduler: Any = make_scheduler(description, name)
    class_name = type(scheduler).__name__
    options = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    problem = ""
    if class_name in DRAWING:
        problem = f"{name!r} draws its noise from a generator of its own in diffusers; choose dpmpp_2m_sde"
    elif class_name in WARMING_UP and is_part:
        problem = f"{name!r} begins part-way otherwise in diffusers; choose euler or dpmpp_2m"
    elif class_name == "PNDMScheduler" and steps <= 3 and not options.get("skip_prk_steps"):
        problem = f"{name!r} warms up in more steps than {steps}; take at least 4"
    elif own_scheduler(description)[0].startswith("FlowMatch") and class_name != "FlowMatchEulerDiscreteScheduler":
        problem = f"{name!r} is given its levels otherwise by diffusers' pipelines; choose flow_euler or default"
    elif options.get("stochastic_sampling"):
        problem = "it draws noise from torch's global state in diffusers; choose another one"
    written = ", ".join(f"{key}={_code(value)}" for key, value in options.items())
    return class_name, f"{class_name}({written})", problem


def _code(value: Any) -> str:
    """A value as Python; infinity has no literal."""
    return f'float("{value}")' if isinstance(value, float) and math.isinf(value) else repr(value)
