"""The model manager: finds models by name, describes them, and keeps them in memory within limits."""

import gc
import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from os.path import isabs, isdir, isfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from nbgraph import diffusion
from nbgraph.diffusion.fingerprints import fingerprint_path, resolve_folder
from nbgraph.diffusion.refs import ModelPart, OffloadName, PrecisionName
from nbgraph.diffusion.what_is import need_weights
from nbgraph.errors import ModelError, ModelNotFoundError, suggest
from nbgraph.invocations.fields import ModelField
from nbgraph.services.service import Service
from nbgraph.texts import value_text

if TYPE_CHECKING:
    from torch import Tensor

    from nbgraph.diffusion.cache_reports import LoadedComponent
    from nbgraph.diffusion.components import Components
    from nbgraph.diffusion.description import ModelDescription
    from nbgraph.diffusion.meters import DeviceMeter

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
SHIPPED = Path(__file__).parents[2] / "models"
CONFIG_FILES = ("model_index.json", "config.json")
"""Files that mark a folder as a whole model, or as one component such as a VAE or a ControlNet."""
SUFFIXES = (".safetensors", ".gguf", ".ckpt", ".pt", ".pth", ".sft")
"""The files that are listed. Pickles are too, so that a person sees why they cannot be used."""
_DEPTH = 6


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model that this studio can name, and the path of its files."""

    name: str
    path: str
    shipped: bool


class ModelManagerBase(Service):
    """Finds models by name: shipped ones, those in `model_folders` at any depth, those of the hub cache, or by path."""

    meters: "DeviceMeter | None" = None
    """Reads the memory of the device; None on the CPU, and before any model was used."""
    uses = 0
    """How often components were requested; while it is unchanged, so is `counts`."""

    def __init__(self, model_folders: list[Path]) -> None:
        self.model_folders = model_folders

    def rows(self) -> list[ModelRow]:
        """Return all models that can be named, the shipped ones first."""
        return list(self._scan())

    def names(self) -> list[str]:
        """Return the names of all models."""
        return [row.name for row in self.rows()]

    def resolve(
        self,
        name: str,
        parts: Mapping[str, str] | None = None,
        precision: PrecisionName | None = None,
        offload: OffloadName | None = None,
    ) -> ModelField:
        """Return the model of a name.

        Parameters
        ----------
        name
            A name from `names()`, the path of a folder or file, or a hub id (`owner/name`), which means its snapshot in
            the local hub cache; nothing is ever downloaded.
        parts
            Other models that supply components: use, as in `ModelPart.use`, -> name.
        precision
            What the weights of the denoiser are quantised to when they are loaded.
        offload
            Where the weights are while they compute; None leaves that to the settings.

        Raises
        ------
        ModelNotFoundError
            There is no such model; the text suggests similar names.
        ModelError
            The file is not one of weights. Or the precision needs a package or a device that is not here.
        """
        if precision is not None:
            self.check_precision(precision)
        path = self.path_of(name)
        found = tuple(self._part(use, part) for use, part in (parts or {}).items())
        fingerprint = fingerprint_path(path)
        return ModelField(
            name=name, path=path, fingerprint=fingerprint, parts=found, precision=precision, offload=offload
        )

    def file_of(self, name: str) -> str:
        """Return the path of a single file, such as a LoRA.

        Parameters
        ----------
        name
            A name from `names()`, or the file's own name if no other file has it, with or without its ending.

        Returns
        -------
        str
            The path; any other text, such as a relative path, is returned unchanged.
        """
        return name if isabs(name) else self._listed(name) or name

    def check_precision(self, precision: PrecisionName) -> None:
        """Check that weights can be quantised to a precision on the device of this manager.

        Raises
        ------
        ModelError
            They cannot; the text says what is needed.
        """
        diffusion.check_precision(precision, self.device_kind)

    @property
    @abstractmethod
    def device_kind(self) -> str:
        """The kind of the device that models run on: `cpu`, `cuda`, `mps`."""

    def _part(self, use: str, name: str) -> ModelPart:
        if use == "configuration":
            return ModelPart(use=use, path=name, fingerprint=name)
        return ModelPart.from_path(use, self.path_of(name))

    def path_of(self, name: str) -> str:
        """Return the path of a model's files, without reading them; names as for `resolve`.

        Raises
        ------
        ModelNotFoundError
            There is no such model; the text suggests similar names.
        ModelError
            The file is not one of weights.
        """
        # listed names before paths, so that a file in the working directory cannot change what a graph means
        if listed := self._listed(name):
            return listed
        given = Path(name).expanduser()
        if isfile(given):
            need_weights(given)
            return str(given.resolve())
        if any(isfile(given / file) for file in CONFIG_FILES):
            return str(given.resolve())
        if HUB_ID.fullmatch(name):
            return str(resolve_folder(name))
        text = f"no model {value_text(name)}{suggest(name[:200], self.names())}"
        raise ModelNotFoundError(f"{text}; a folder in diffusers layout, or a single file, may be given by its path")

    def _listed(self, name: str) -> str:
        """Return the path of what is listed by a name; "" for one that is not listed, or by which there are several."""
        rows = {row.name: row for row in self.rows()}
        if name in rows:
            return rows[name].path
        by_file_name = [row.path for row in rows.values() if name in (Path(row.path).name, Path(row.path).stem)]
        return by_file_name[0] if len(by_file_name) == 1 else ""

    def is_current(self, model: ModelField) -> bool:
        """Return whether a model's name still means the same files with the same content.

        Parameters
        ----------
        model
            A model as `resolve` returned it, maybe in an earlier kernel.
        """
        try:
            now = self.resolve(model.name)
            # a configuration is named by its kind; it has no file
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
            # the first wins, shipped models first, so that a new file cannot silently change what a name means
            if name not in seen:
                seen.add(name)
                yield ModelRow(name, str(path), is_shipped)

    @property
    def device_name(self) -> str:
        """The device that models are on, such as `cuda:0`; `cpu` as long as none was used."""
        return "cpu"

    @property
    def free_bytes(self) -> int:
        """The free memory of the device, or of the machine without one, in bytes."""
        return psutil.virtual_memory().available

    @property
    def budget_bytes(self) -> int | None:
        """The bytes that models may take where they compute; None as long as none was used."""
        return None

    def free_memory(self) -> None:
        """Release memory that is not in use, after memory ran out."""
        gc.collect()

    @property
    @abstractmethod
    def counts(self) -> tuple[int, int]:
        """The numbers of components loaded from files, and found in memory, so far."""

    @abstractmethod
    def describe(self, model: ModelField) -> "ModelDescription":
        """Return the description of a model, read from its configuration files without its weights.

        Parameters
        ----------
        model
            The model.

        Returns
        -------
        ModelDescription
            Family, sizes and classes.
        """

    @abstractmethod
    def content(self, model: ModelField) -> dict[str, object]:
        """Return what the results of a model depend on, for cache keys.

        Returns
        -------
        dict
            JSON values: files, patches, precision, kind of device, versions of libraries.
        """

    @abstractmethod
    def use(self, model: ModelField, *names: str, pixels: int = 0) -> "AbstractContextManager[Components]":
        """Within the block, hold components on the device.

        Parameters
        ----------
        model
            The model, with its patches.
        names
            Names of components, or roles: `text`, `denoiser`, `vae`.
        pixels
            The pixels of all images that the denoiser will work on; 0 where that is not known.
        """

    @abstractmethod
    def step_down(self, model: ModelField, *names: str) -> str:
        """Let components of a model take less memory of the device from now on.

        Parameters
        ----------
        model
            The model.
        names
            Names of components, or roles, as `use` takes them.

        Returns
        -------
        str
            What has changed, such as `unet in the mode 'streaming'`; "" if they take the least already.
        """

    @abstractmethod
    def preview_factors(self, model: ModelField) -> "Tensor":
        """Return the factors that convert latents of a model to small images; computed once per autoencoder.

        Parameters
        ----------
        model
            The model; its VAE is loaded if its factors are not known yet.

        Returns
        -------
        Tensor
            Shape (latent channels + 1, 3); the last row is the constant.
        """

    @abstractmethod
    def loaded(self) -> "list[LoadedComponent]":
        """Return one row per component in memory."""

    @abstractmethod
    def unload(self, name: str | None = None) -> int:
        """Remove models from memory; components in use are removed once they are released.

        Parameters
        ----------
        name
            The model; None removes all.

        Returns
        -------
        int
            Bytes freed.
        """


def models_in_folder(place: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name, path) of the models in a folder, sorted. The name is the path below the folder.

    The names of ComfyUI's and A1111's folders (`checkpoints`, `Stable-diffusion`, `loras` ...) mean nothing here:
    the header of a file says what it is. Files inside a model in the diffusers layout are not listed.
    """
    if isdir(place):
        yield from sorted(_walk(str(place), "", frozenset(), _DEPTH))


def hub_models() -> Iterator[tuple[str, Path]]:
    """Yield (repository id, path) of the whole models in the local hub cache, the newest snapshot of each."""
    home = os.environ.get("HF_HOME") or os.path.join(os.path.expanduser("~"), ".cache", "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub"))
    for repository in sorted(cache.glob("models--*--*")):
        snapshots = [each.parent for each in repository.glob("snapshots/*/model_index.json")]
        if snapshots:
            name = "/".join(repository.name.split("--")[1:3])
            yield name, max(snapshots, key=lambda each: each.stat().st_mtime)


def _walk(folder: str, prefix: str, above: frozenset[tuple[int, int]], depth: int) -> Iterator[tuple[str, Path]]:
    try:
        state = os.stat(folder)
        here = state.st_dev, state.st_ino
        # a link to a parent folder would never end
        if here in above or not depth:
            return
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".")]
    except OSError:
        return
    for entry in entries:
        name = prefix + entry.name
        if entry.is_dir():
            if isfile(os.path.join(entry.path, "model_index.json")):
                yield name, Path(entry.path)
            elif not isfile(os.path.join(entry.path, "config.json")):
                yield from _walk(entry.path, f"{name}/", above | {here}, depth - 1)
        elif entry.name.endswith(SUFFIXES):
            yield name, Path(entry.path)
