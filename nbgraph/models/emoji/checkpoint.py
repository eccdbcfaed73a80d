"""Training state on disk as safetensors, so that a stopped training goes on where it was."""

import json
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file  # pyright: ignore[reportUnknownVariableType] - any path

from .nets import Stateful

_safe_open: Any = safe_open


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file by name."""
    return load_file(path)


def write_tensors(tensors: dict[str, torch.Tensor], path: Path, **metadata: str) -> None:
    """Write tensors by name, and texts beside them, to a safetensors file."""
    save_file(tensors, path, metadata=metadata or None)


@contextmanager
def whole(path: Path) -> Generator[Path]:
    """Hand out where to write a file or a folder; it gets the name `path` once it is complete."""
    unfinished = path.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of an interrupted write
    yield unfinished
    unfinished.replace(path)


def save(path: Path, modules: Mapping[str, Stateful], optimizer: torch.optim.Optimizer, **facts: float) -> None:
    """Write modules, optimizer state and a few numbers; an interrupted write leaves the old file whole."""
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in state.items()}
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    with whole(path) as unfinished:
        write_tensors(tensors, unfinished, facts=json.dumps(facts))


def load(path: Path, modules: Mapping[str, Stateful], optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Read what `save` wrote into the given objects and return the numbers."""
    tensors = read_tensors(path)
    for name, module in modules.items():
        own = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
        module.load_state_dict(own)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, entry = key.split("/")
            state.setdefault(int(index), {})[entry] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    with _safe_open(path, "pt") as opened:
        return json.loads(opened.metadata()["facts"])
