"""The tiny models that the tests of this folder draw with, and the same as diffusers itself loads them."""

from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from nbgraph.diffusion.refs import ModelRef
from tests.tiny_models import BUILDERS


class TinyModels:
    """Refs of tiny models by name (`sd15`, `sdxl` ...), each built when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._refs: dict[str, ModelRef] = {}

    def __getitem__(self, name: str) -> ModelRef:
        if name not in self._refs:
            self._refs[name] = ModelRef.from_path(str(BUILDERS[name](self._folder / name)))
        return self._refs[name]

    def pipeline(self, name: str, scheduler: Any = None, dtype: torch.dtype = torch.float32) -> Any:
        """Return the model as diffusers itself loads it, for comparison."""
        pipeline = DiffusionPipeline.from_pretrained(self[name].path, local_files_only=True, dtype=dtype)
        if scheduler is not None:
            pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline
