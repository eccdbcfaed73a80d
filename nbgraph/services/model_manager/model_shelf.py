"""The models in a folder: folders in the diffusers layout and single files, at any depth, and the hub cache."""

import os
from collections.abc import Iterator
from os.path import isdir, isfile
from pathlib import Path

SUFFIXES = (".safetensors", ".gguf", ".ckpt", ".pt", ".pth", ".sft")
"""The files that are listed; pickles too, so that it is seen what they are."""
_DEPTH = 6


def models_in_folder(place: Path) -> Iterator[tuple[str, Path]]:
    """(name, path) of the models in a folder, sorted: a name is the path below the folder.

    ComfyUI's and A1111's folders (`checkpoints`, `Stable-diffusion`, `loras`, `vae` ...) are folders like any other:
    what a file is, its header tells. What is inside a model in the diffusers layout is not listed by itself.
    """
    if isdir(place):
        yield from sorted(_walk(str(place), "", frozenset(), _DEPTH))


def hub_models() -> Iterator[tuple[str, Path]]:
    """(repository id, path) of the whole models in the local hub cache, the newest snapshot of each."""
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
        if here in above or not depth:  # a link to a folder it lies in
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
