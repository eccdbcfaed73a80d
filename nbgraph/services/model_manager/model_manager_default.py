"""Models loaded by `nbgraph.diffusion` when they are first used, and shared by the studios of a process."""

from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal
from weakref import WeakSet, WeakValueDictionary

from nbgraph import diffusion
from nbgraph.errors import NbgraphError
from nbgraph.invocations.fields import ModelField
from nbgraph.services.events.events_common import ModelLoaded
from nbgraph.services.invocation_cache.code_packages import version_of
from nbgraph.services.model_manager.model_manager_base import ModelManagerBase
from nbgraph.services.service import CLOSED, InvokerLike
from nbgraph.services.shared.interrupts import defer_interrupt

if TYPE_CHECKING:
    from torch import Tensor

    from nbgraph.diffusion.cache_reports import CacheUser, LoadedComponent, LoadEvent
    from nbgraph.diffusion.components import Components
    from nbgraph.diffusion.description import ModelDescription
    from nbgraph.diffusion.model_cache import ModelCache
    from nbgraph.diffusion.preview import PreviewFactors

LIBRARIES = ("diffusers", "torch", "transformers")
"""Libraries that compute with models; their versions are part of cache keys, since results may differ between them."""
_lock = Lock()
_shared: "WeakValueDictionary[ModelLimits, SharedModels]" = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """The settings of a model cache: device and precision, None for the default, limits of memory in bytes, threads."""

    device: str | None = None
    dtype: str | None = None
    ram_bytes: int | None = None
    vram_bytes: int | None = None
    threads: int | Literal["auto"] | None = None
    offload: str = "auto"


class ModelManagerDefault(ModelManagerBase):
    """Uses one model cache for all managers of equal limits. torch is imported when the first model is used.

    Hits and loads are counted per manager, and only its own loads are sent as its events.
    """

    def __init__(
        self,
        model_folders: list[Path],
        device: str | None = None,
        dtype: str | None = None,
        ram_bytes: int | None = None,
        vram_bytes: int | None = None,
        threads: int | Literal["auto"] | None = None,
        offload: str = "auto",
    ) -> None:
        super().__init__(model_folders)
        self._limits = ModelLimits(device, dtype, ram_bytes, vram_bytes, threads, offload)
        self._shared: SharedModels | None = shared_models(self._limits, self)

    def start(self, invoker: InvokerLike) -> None:
        if self._shared is None:
            self._shared = shared_models(self._limits, self)
        super().start(invoker)

    @cached_property
    def _user(self) -> "CacheUser":
        """The counter of this manager's uses; created at the first use, because it needs torch for the device."""
        meter = diffusion.DeviceMeter(self._shared_cache.device)
        self.meters = meter if meter.read() is not None else None
        return diffusion.CacheUser(on_load=self._send_loaded)

    @property
    def _shared_cache(self) -> "ModelCache":
        if self._shared is None:
            raise NbgraphError(CLOSED)
        return self._shared.cache

    @property
    def _cache(self) -> "ModelCache | None":
        """The shared cache; None if no studio has used it yet, and after `stop`."""
        return self._shared.cache if self._shared is not None and self._shared.is_made else None

    @cached_property
    def _factors(self) -> "PreviewFactors":
        return diffusion.PreviewFactors()

    @property
    def device_name(self) -> str:
        cache = self._cache
        return super().device_name if cache is None else str(cache.device)

    @property
    def free_bytes(self) -> int:
        cache = self._cache
        device_bytes = None if cache is None else cache.free_bytes()
        return super().free_bytes if device_bytes is None else device_bytes

    @property
    def budget_bytes(self) -> int | None:
        cache = self._cache
        if cache is None:
            return None
        return cache.ram_bytes if cache.device.type == "cpu" else cache.vram_bytes

    def free_memory(self) -> None:
        super().free_memory()
        if (cache := self._cache) is not None:
            cache.free_memory()

    @property
    def counts(self) -> tuple[int, int]:
        # asking for the counts must not create the user, which imports torch
        if "_user" not in self.__dict__:
            return (0, 0)
        counters = self._user.counters
        return counters.loads, counters.hits

    def describe(self, model: ModelField) -> "ModelDescription":
        return diffusion.describe_model(model)

    def content(self, model: ModelField) -> dict[str, object]:
        kind = self.device_kind
        dtype = model.dtype or self._limits.dtype or diffusion.default_dtype(kind, self._denoiser(model, kind))
        libraries = ", ".join(f"{name} {version_of(name)}" for name in LIBRARIES)
        return {**model.content(), "dtype": dtype, "device": kind, "libraries": libraries}

    def _denoiser(self, model: ModelField, kind: str) -> str:
        """Return the kind of a model's denoiser, where the precision depends on it."""
        family = self.describe(model).family if kind == "cuda" else None
        return family.denoiser if family is not None else "unet"

    @cached_property
    def device_kind(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return diffusion.device_kind(self._limits.device)

    def use(self, model: ModelField, *names: str, pixels: int = 0) -> "AbstractContextManager[Components]":
        self.uses += 1
        return self._shared_cache.use(model, *names, user=self._user, pixels=pixels)

    def step_down(self, model: ModelField, *names: str) -> str:
        return self._shared_cache.step_down(model, *names)

    def preview_factors(self, model: ModelField) -> "Tensor":
        # known factors need no VAE, so ask for them before one is loaded
        found = self._factors.find(model.fingerprint)
        if found is None:
            with self.use(model, "vae") as components:
                found = self._factors.get(model.fingerprint, components)
        return found

    def loaded(self) -> "list[LoadedComponent]":
        return [] if (cache := self._cache) is None else cache.loaded()

    def unload(self, name: str | None = None) -> int:
        cache = self._cache
        if cache is None:
            return 0
        return cache.clear() if name is None else cache.unload(self.resolve(name))

    def stop(self) -> None:
        # first, so that a use which begins now fails instead of filling a cache that is being emptied
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.leave(self)
        super().stop()

    def _send_loaded(self, event: "LoadEvent") -> None:
        if event.seconds is not None and self._invoker is not None:
            name = Path(event.model).name
            self.services.events.dispatch(ModelLoaded("", name, event.component, event.bytes, event.seconds))


class SharedModels:
    """The model cache of all studios with equal `limits`; see `shared_models`.

    Its members keep it alive. The models are unloaded when the last member has left or was garbage collected.
    """

    def __init__(self, limits: ModelLimits) -> None:
        self._limits = limits
        self._members: WeakSet[object] = WeakSet()

    @cached_property
    def cache(self) -> "ModelCache":
        """The model cache; creating it imports torch."""
        return diffusion.ModelCache(*astuple(self._limits))

    @property
    def is_made(self) -> bool:
        """True once a model was used."""
        return "cache" in self.__dict__

    def leave(self, member: object) -> None:
        """Remove a member, and unload the models after the last one."""
        # an interrupt between acquire and release would leave the lock taken for every studio
        with defer_interrupt(), _lock:
            self._members.discard(member)
            is_last = not self._members
        # outside of the lock: unloading takes long, and another studio may start meanwhile
        if is_last and self.is_made:
            self.cache.clear()

    def join(self, member: object) -> None:
        """Add a member. Only `shared_models` calls this, with the lock held."""
        self._members.add(member)


def shared_models(limits: ModelLimits, member: object) -> SharedModels:
    """Return the shared models of these limits, with `member` added."""
    with defer_interrupt(), _lock:
        found = _shared.get(limits)
        if found is None:
            found = _shared[limits] = SharedModels(limits)
        found.join(member)
        return found
