"""Models through `nbgraph.diffusion`, loaded when first used."""

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from nbgraph import diffusion
from nbgraph.invocations.fields import ModelField
from nbgraph.services.events.events_common import ModelLoaded
from nbgraph.services.model_manager.model_manager_base import ModelManagerBase


class ModelManagerDefault(ModelManagerBase):
    """One model cache for the process's device; torch is imported when the first model is used."""

    def __init__(
        self,
        model_folders: list[Path],
        device: str | None = None,
        dtype: str | None = None,
        ram_bytes: int | None = None,
        vram_bytes: int | None = None,
    ) -> None:
        super().__init__(model_folders)
        self._limits: dict[str, Any] = {
            "device": device,
            "dtype": dtype,
            "ram_bytes": ram_bytes,
            "vram_bytes": vram_bytes,
        }
        self._used = False

    @cached_property
    def _cache(self) -> Any:
        cache = diffusion.ModelCache(**self._limits)
        cache.on_load(self._tell)
        meter = diffusion.DeviceMeter(cache.device)
        self.meters = meter if meter.read() is not None else None
        self._used = True
        return cache

    @cached_property
    def _factors(self) -> Any:
        return diffusion.PreviewFactors()

    @property
    def free_bytes(self) -> int:
        device_bytes = self._cache.free_bytes() if self._used else None
        return super().free_bytes if device_bytes is None else device_bytes

    def free_memory(self) -> None:
        super().free_memory()
        if self._used:
            self._cache.free_memory()

    @property
    def counts(self) -> tuple[int, int]:
        if not self._used:
            return (0, 0)
        counters = self._cache.counters()
        return counters.loads, counters.hits

    def describe(self, model: ModelField) -> Any:
        return diffusion.describe_model(model)

    def use(self, model: ModelField, *names: str) -> AbstractContextManager[Any]:
        self.uses += 1
        return self._cache.use(model, *names)

    def preview_factors(self, model: ModelField) -> Any:
        found = self._factors.find(model.fingerprint)
        if found is None:
            with self.use(model, "vae") as components:
                found = self._factors.get(model.fingerprint, components)
        return found

    def loaded(self) -> list[Any]:
        return self._cache.loaded() if self._used else []

    def unload(self, name: str | None = None) -> int:
        if not self._used:
            return 0
        return self._cache.clear() if name is None else self._cache.unload(self.resolve(name))

    def stop(self) -> None:
        if self._used:
            self._cache.clear()
        super().stop()

    def _tell(self, event: Any) -> None:
        if event.seconds is not None and self._invoker is not None:
            name = Path(event.model).name
            self.services.events.dispatch(ModelLoaded("", name, event.component, event.bytes, event.seconds))
