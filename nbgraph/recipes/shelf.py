"""Models by the names that other programs give their files."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from nbgraph.diffusion.what_is import what_is
from nbgraph.errors import ModelError
from nbgraph.recipes.hashes import SHORT, is_file_of, is_lora_of, model_hash
from nbgraph.recipes.opened import Report

_PIPELINES = {"StableDiffusionXL": "stable-diffusion-xl", "StableDiffusion3": "stable-diffusion-3",
              "StableDiffusion": "stable-diffusion"}  # fmt: skip
"""Families by the beginnings of the names of their pipelines, the longer ones first."""


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

    def model(self, name: str, report: Report, digest: str = "") -> str:
        """Return the name here of a model of another program; its own name, and a finding, if there is none.

        `digest` is the beginning of the SHA-256 of its file: a file of another name is known by it if it was used here
        before, and a file of the same name with another content is a finding.
        """
        wanted = plain_name(name)
        for known, path in self.models:
            if wanted and plain_name(known) == wanted:
                found = model_hash(path) if len(digest) >= SHORT else ""
                if found and not digest.casefold().startswith(found):
                    report.differs(
                        f"model {name!r}", f"the file here, {known!r}, has another content: {digest} -> {found}"
                    )
                else:
                    report.exact(f"model {name!r}", "" if known == name else f"found as {known!r}")
                return known
        for known, path in self.models:
            if is_file_of(path, digest):
                report.exact(f"model {name!r}", f"found as {known!r}, by its hash {digest}")
                return known
        possible = ", ".join(known for known, _ in self.models[:20])
        report.missing(f"model {name or digest!r}", f"no model of that name here (there are: {possible or 'none'})")
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
        return self._family(name) in ("", "stable-diffusion", "stable-diffusion-xl")

    def is_stable_diffusion_xl(self, name: str) -> bool:
        """Return whether a model is an SDXL; one that is not here is judged by its name."""
        family = self._family(name)
        return family == "stable-diffusion-xl" if family else "xl" in plain_name(name)

    def _family(self, name: str) -> str:
        """The family of a model, from its folder or the header of its file; "" for one that is not here."""
        path = dict(self.models).get(name)
        if not path:
            return ""
        try:
            if not Path(path).is_dir():
                return what_is(path).family
            named = str(json.loads((Path(path) / "model_index.json").read_bytes())["_class_name"])
        except (OSError, ValueError, KeyError, TypeError, ModelError):
            return ""
        return next((family for start, family in _PIPELINES.items() if named.startswith(start)), named)

    def lora(self, name: str, report: Report, digest: str = "") -> str:
        """Return the path of a LoRA file; its own name, and a finding, if there is none or it is another one."""
        for file in self.loras:
            if plain_name(file.name) == plain_name(name):
                if digest and not is_lora_of(str(file), digest):
                    report.differs(f"LoRA {name!r}", f"the file here, {file.name}, has another content than {digest}")
                else:
                    report.exact(f"LoRA {name!r}", f"found as {file.name}")
                return str(file)
        report.missing(f"LoRA {name!r}", "no such file in a folder named lora within the model folders")
        return str(name)
