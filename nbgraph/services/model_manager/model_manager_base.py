"""The model manager: finds models by name, describes them, and keeps them in memory within budgets."""

import gc
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path
from typing import Any

import psutil

from nbgraph.diffusion.fingerprints import fingerprint_path, resolve_folder
from nbgraph.diffusion.refs import ModelPart
from nbgraph.diffusion.what_is import need_weights
from nbgraph.errors import ModelError, ModelNotFoundError, suggest
from nbgraph.invocations.fields import ModelField
from nbgraph.services.model_manager.model_shelf import hub_models, models_in_folder
from nbgraph.services.service import Service
from nbgraph.texts import value_text

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
SHIPPED = Path(__file__).parents[2] / "models"
CONFIG_FILES = ("model_index.json", "config.json")
"""What tells that a folder is a whole model, or one component such as a VAE or a ControlNet."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model that this studio can name, and the place of its files."""

    name: str
    path: str
    shipped: bool


class ModelManagerBase(Service):
    """Finds models by name: shipped ones, those in `model_folders` at any depth, those of the hub cache, or by path."""

    meters: Any | None = None
    """What reads the memory of the device; None on the CPU, and before any model was used."""
    uses = 0
    """How often components were asked for; as long as it stays, `counts` stays."""

    def __init__(self, model_folders: list[Path]) -> None:
        self.model_folders = model_folders

    def rows(self) -> list[ModelRow]:
        """Return all models that can be named, the shipped ones first."""
        return list(self._scan())

    def names(self) -> list[str]:
        """Return the names of all models."""
        return [row.name for row in self.rows()]

    def resolve(self, name: str, parts: Mapping[str, str] | None = None) -> ModelField:
        """The model of that name, in that folder or file, or of that hub id; `ModelNotFoundError` lists what there is.

        A hub id (`owner/name`) means its snapshot in the local hub cache; nothing is ever fetched. `parts` names other
        models, by what they are used for, as `ModelPart.use` has it.
        """
        path = self._path_of(name)
        found = tuple(self._part(use, part) for use, part in (parts or {}).items())
        return ModelField(name=name, path=path, fingerprint=fingerprint_path(path), parts=found)

    def _part(self, use: str, name: str) -> ModelPart:
        if use == "configuration":
            return ModelPart(use=use, path=name, fingerprint=name)
        return ModelPart.from_path(use, self._path_of(name))

    def _path_of(self, name: str) -> str:
        rows = {row.name: row for row in self.rows()}
        if name in rows:
            return rows[name].path
        by_file_name = [row.path for row in rows.values() if name in (Path(row.path).name, Path(row.path).stem)]
        if len(by_file_name) == 1:
            return by_file_name[0]
        given = Path(name).expanduser()
        if isfile(given):
            need_weights(given)
            return str(given.resolve())
        if any(isfile(given / file) for file in CONFIG_FILES):
            return str(given.resolve())
        if HUB_ID.fullmatch(name):
            return str(resolve_folder(name))
        text = f"no model {value_text(name)}{suggest(name[:200], rows)}"
        raise ModelNotFoundError(f"{text}; a folder in diffusers layout, or a single file, may be given by its path")

    def is_current(self, model: ModelField) -> bool:
        """Return whether the model of that name is still the same, in the same place."""
        try:
            now = self.resolve(model.name)
            parts = [fingerprint_path(part.path) for part in model.parts if part.use != "configuration"]
        except ModelError:
            return False
        known = [part.fingerprint for part in model.parts if part.use != "configuration"]
        return (now.path, now.fingerprint, parts) == (model.path, model.fingerprint, known)

    def _scan(self) -> Iterator[ModelRow]:
        seen: set[str] = set()
        found = [(name, path, True) for name, path in models_in_folder(SHIPPED)]
        for parent in self.model_folders:
            found += [(name, path, False) for name, path in models_in_folder(Path(parent).expanduser())]
        found += [(name, path, False) for name, path in hub_models()]
        for name, path, is_shipped in found:
            if name not in seen:
                seen.add(name)
                yield ModelRow(name, str(path), is_shipped)

    @property
    def free_bytes(self) -> int:
        """Return the free memory for working on images, in bytes: of the device, or of the machine."""
        return psutil.virtual_memory().available

    def free_memory(self) -> None:
        """Release memory that is not in use, after memory ran out."""
        gc.collect()

    @property
    @abstractmethod
    def counts(self) -> tuple[int, int]:
        """Return (components loaded from files, components found in memory) so far."""

    @abstractmethod
    def describe(self, model: ModelField) -> Any:
        """Return family, sizes and classes of a model, read from its configuration files alone."""

    @abstractmethod
    def content(self, model: ModelField) -> dict[str, Any]:
        """Return what results of a model depend on, as JSON: files, patches, precision, kind of device, libraries."""

    @abstractmethod
    def use(self, model: ModelField, *names: str) -> AbstractContextManager[Any]:
        """Within the block, hold components on the device.

        Parameters
        ----------
        model
            The model, with its patches.
        names
            Names of components, or roles: `text`, `denoiser`, `vae`.
        """

    @abstractmethod
    def preview_factors(self, model: ModelField) -> Any:
        """Return the factors that turn latents of a model into small images; computed once per autoencoder."""

    @abstractmethod
    def loaded(self) -> list[Any]:
        """Return one row per component in memory."""

    @abstractmethod
    def unload(self, name: str | None = None) -> int:
        """Remove a model, or all, from memory; what is in use goes as soon as it is free.

        Returns
        -------
        int
            Bytes freed.
        """
