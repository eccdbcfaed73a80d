"""The model manager: models by name, described, lent to nodes, and kept in memory within budgets."""

import gc
import re
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from os.path import isdir, isfile
from pathlib import Path
from typing import Any

import psutil

from nbgraph.diffusion.fingerprints import fingerprint_path, resolve_folder
from nbgraph.errors import ModelError, ModelNotFoundError, suggest
from nbgraph.invocations.fields import ModelField
from nbgraph.services.shared.service import Service
from nbgraph.texts import value_text

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
SHIPPED = Path(__file__).parents[2] / "models"
CONFIG_FILES = ("model_index.json", "config.json")
"""What tells that a folder is a whole model, or one component such as a VAE or a ControlNet."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model this studio can name, and where its files are."""

    name: str
    path: str
    shipped: bool


class ModelManagerBase(Service):
    """Finds models by name: those that ship with the package, the subfolders of `model_folders`, or a folder's path."""

    meters: Any | None = None
    """What reads the memory of the device; None on the CPU, and before any model was used."""
    uses = 0
    """How often components were asked for; as long as it stays, `counts` stays."""

    def __init__(self, model_folders: list[Path]) -> None:
        self.model_folders = model_folders

    def rows(self) -> list[ModelRow]:
        """All models that can be named, the shipped ones first."""
        return list(self._scan())

    def names(self) -> list[str]:
        """The names of all models."""
        return [row.name for row in self.rows()]

    def resolve(self, name: str) -> ModelField:
        """The model of that name, in that folder, or of that hub id; `ModelNotFoundError` lists what there is.

        A hub id (`owner/name`) means its snapshot in the local hub cache; nothing is ever fetched.
        """
        rows = {row.name: row for row in self.rows()}
        if name in rows:
            path = rows[name].path
        elif any(isfile(Path(name).expanduser() / file) for file in CONFIG_FILES):
            path = str(Path(name).expanduser().resolve())
        elif HUB_ID.fullmatch(name):
            path = str(resolve_folder(name))
        else:
            text = f"no model {value_text(name)}{suggest(name[:200], rows)}"
            text += "; a folder in diffusers layout may be given by its path"
            if isfile(Path(name).expanduser()):
                text = (
                    f"{name!r} is one file, and a model is a folder in diffusers layout; make one of a checkpoint with"
                    " StableDiffusionPipeline.from_single_file(file).save_pretrained(folder)"
                )
            raise ModelNotFoundError(text)
        return ModelField(name=name, path=path, fingerprint=fingerprint_path(path))

    def is_current(self, model: ModelField) -> bool:
        """Whether the model of that name is still the same, in the same place."""
        try:
            now = self.resolve(model.name)
        except ModelError:
            return False
        return (now.path, now.fingerprint) == (model.path, model.fingerprint)

    def _scan(self) -> Iterator[ModelRow]:
        seen: set[str] = set()
        for parent in (SHIPPED, *self.model_folders):
            place = Path(parent).expanduser()
            for folder in sorted(place.glob("*/model_index.json")) if isdir(place) else ():
                name = folder.parent.name
                if name not in seen:
                    seen.add(name)
                    yield ModelRow(name, str(folder.parent), parent == SHIPPED)

    @property
    def free_bytes(self) -> int:
        """Memory there is for working on pictures, in bytes: the device's, or that of the machine."""
        return psutil.virtual_memory().available

    def free_memory(self) -> None:
        """Give back what is not used any more, after memory ran out."""
        gc.collect()

    @property
    @abstractmethod
    def counts(self) -> tuple[int, int]:
        """(components loaded from files, components found in memory) so far."""

    @abstractmethod
    def describe(self, model: ModelField) -> Any:
        """Family, sizes and classes of a model, from its configuration files alone."""

    @abstractmethod
    def content(self, model: ModelField) -> dict[str, Any]:
        """Return what results of a model depend on, as JSON: files, patches, precision, kind of device, libraries."""

    @abstractmethod
    def use(self, model: ModelField, *names: str) -> AbstractContextManager[Any]:
        """The components of those names or roles (`text`, `denoiser`, `vae`), held on the device inside the `with`."""

    @abstractmethod
    def preview_factors(self, model: ModelField) -> Any:
        """What turns latents of that model into small pictures; made once for each autoencoder."""

    @abstractmethod
    def loaded(self) -> list[Any]:
        """What is in memory now, a row for each component."""

    @abstractmethod
    def unload(self, name: str | None = None) -> int:
        """Drop a model, or all, from memory; returns the bytes freed. What is in use goes when it is free."""
