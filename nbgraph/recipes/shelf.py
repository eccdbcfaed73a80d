"""Models by the names that other programs give their files."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from nbgraph.recipes.opened import Report


def plain_name(name: str) -> str:
    """Return a model's name without folders, ending and case: `SDXL\\\\Base-1.0.safetensors` is `base-1.0`."""
    stem = PureWindowsPath(str(name)).name.casefold()
    for ending in (".safetensors", ".ckpt", ".gguf", ".pt", ".pth", ".bin", ".sft"):
        stem = stem.removesuffix(ending)
    return stem


@dataclass(frozen=True)
class Shelf:
    """The models that can be named, as (name, path), and where they are looked for by the names of others."""

    models: tuple[tuple[str, str], ...] = ()
    loras: tuple[Path, ...] = ()

    @classmethod
    def of(cls, models: Iterable[tuple[str, str]], folders: Iterable[Path] = ()) -> "Shelf":
        """Return the shelf of these models, with the LoRA files that lie beside them."""
        files = [file for folder in folders if folder.is_dir() for file in sorted(folder.rglob("*.safetensors"))]
        return cls(tuple(models), tuple(file for file in files if "lora" in str(file.parent).casefold()))

    def model(self, name: str, report: Report) -> str:
        """Return the name here of a model of another program; its own name, and a finding, if there is none."""
        wanted = plain_name(name)
        for known, _ in self.models:
            if plain_name(known) == wanted:
                report.exact(f"model {name!r}", "" if known == name else f"found as {known!r}")
                return known
        possible = ", ".join(known for known, _ in self.models[:20])
        report.missing(f"model {name!r}", f"no model of that name here (there are: {possible or 'none'})")
        return str(name)

    def is_folder(self, name: str) -> bool:
        """Return whether a model of this shelf is a folder in the diffusers layout; False for one that is not here."""
        path = dict(self.models).get(name)
        return path is not None and Path(path).is_dir()

    def file(self, name: str, report: Report) -> str:
        """Return the path of a model in a single file; its own name, and a finding, if there is none."""
        found = Report()
        known = self.model(name, found)
        if self.is_folder(known):
            report.missing(f"model {name!r}", f"no single file of that name here, but the folder {known!r}")
            return str(name)
        report.extend(found)
        return dict(self.models).get(known, known)

    def is_stable_diffusion(self, name: str) -> bool:
        """Return whether a model of this shelf is a Stable Diffusion 1.5, 2 or XL; True for one that is not here."""
        found = self._pipeline(name)
        return not found or found.startswith(("StableDiffusionP", "StableDiffusionX"))

    def is_stable_diffusion_xl(self, name: str) -> bool:
        """Return whether a model is an SDXL; one that is not here, or is a file, is judged by its name."""
        found = self._pipeline(name)
        return found.startswith("StableDiffusionX") if found else "xl" in plain_name(name)

    def _pipeline(self, name: str) -> str:
        """The pipeline class that a model's folder names; "" for one that is not here, or is no folder."""
        path = dict(self.models).get(name)
        try:
            return str(json.loads((Path(path) / "model_index.json").read_bytes())["_class_name"]) if path else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def lora(self, name: str, report: Report) -> str:
        """Return the path of a LoRA file; its own name, and a finding, if there is none."""
        for file in self.loras:
            if plain_name(file.name) == plain_name(name):
                report.exact(f"LoRA {name!r}", f"found as {file.name}")
                return str(file)
        report.missing(f"LoRA {name!r}", "no such file in a folder named lora within the model folders")
        return str(name)
