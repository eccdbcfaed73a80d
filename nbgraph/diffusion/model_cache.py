"""Keep components of models in memory, shared by all images that need them, within limits of RAM and VRAM.

A component (a text encoder, a UNet, a VAE ...) is one entry. Its key is the fingerprint of its model, its precision and
its patches, so two sessions, or two names of one folder, share it; a patched one shares the plain weights. It is loaded
into RAM, moved to the device while it is used, and stays there until the memory is needed: then the least recently used
component that is not in use goes back to RAM, and from RAM out. What is in use is never evicted: rather a limit is
exceeded than a running image fails.
"""

import gc
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import psutil
import torch

from nbgraph.diffusion.cache_reports import CacheCounters, CacheUser, LoadedComponent, LoadEvent
from nbgraph.diffusion.components import Components, added_bytes, component_bytes
from nbgraph.diffusion.description import ModelDescription, describe_model
from nbgraph.diffusion.device import choose_device, choose_dtype
from nbgraph.diffusion.device_memory import free_bytes, free_memory, models_budget
from nbgraph.diffusion.fingerprints import check_unchanged
from nbgraph.diffusion.load import LOAD_LOCK, load_component
from nbgraph.diffusion.offloading import (
    AUTO,
    Lowered,
    OffloadMode,
    check_mode,
    choose_mode,
    may_stream,
    stored_bytes,
    streamed,
)
from nbgraph.diffusion.patches import apply_patches, patches_for
from nbgraph.diffusion.quantised import check_precision, lora_problem_over
from nbgraph.diffusion.refs import LoraPatch, ModelRef, Patch
from nbgraph.diffusion.thread_count import Threads, thread_count
from nbgraph.diffusion.working_sets import DENOISE, Working, WorkingSets
from nbgraph.errors import ModelError

_CPU = torch.device("cpu")
Key = tuple[Any, ...]


@dataclass
class _Entry:
    ref: ModelRef
    name: str
    module: Any
    size: int
    device: torch.device
    dtype: torch.dtype
    patches: tuple[Patch, ...] = ()
    base: "_Entry | None" = None
    """Of a patched component: the plain one whose weights it shares, which is held whenever it is."""
    in_use: int = 0
    uses: int = 0
    last_used: float = field(default_factory=time.time)
    doomed: bool = False
    mode: OffloadMode = "component"
    is_exclusive: bool = False
    """Whether one use at a time computes with it, since its weights move or change their type meanwhile."""
    guard: Any = field(default_factory=threading.RLock)


class ModelCache:
    """Components of models, loaded once and shared. Safe to use from several threads.

    `device` None chooses cuda, mps or cpu; `dtype` None chooses by device. `ram_bytes` None is half of the machine's
    memory, `vram_bytes` None three quarters of the device's, the rest being working memory. `threads` is how many torch
    computes with on the CPU while components are used; "auto" chooses by the denoiser, see `thread_count`. `offload`
    says where weights are while they compute, as `offloading` has it; `auto` chooses for each component by free memory.
    """

    def __init__(
        self,
        device: str | torch.device | None = None,
        dtype: str | None = None,
        ram_bytes: int | None = None,
        vram_bytes: int | None = None,
        threads: Threads = None,
        offload: str = AUTO,
    ) -> None:
        check_mode(offload)
        self.offload = offload
        self._lowered = Lowered()
        self.working_sets = WorkingSets()
        self.device = device if isinstance(device, torch.device) else choose_device(device)
        self.dtype = dtype
        self.ram_bytes = psutil.virtual_memory().total // 2 if ram_bytes is None else ram_bytes
        self.vram_bytes = models_budget(self.device) if vram_bytes is None else vram_bytes
        self.threads: Threads = threads
        self._entries: dict[Key, _Entry] = {}
        self._lock = threading.RLock()
        self._all_users = CacheUser()

    @contextmanager
    def use(self, ref: ModelRef, *names: str, user: CacheUser | None = None, pixels: int = 0) -> Generator[Components]:
        """Hold the named components of a model on the device until the block ends.

        Parameters
        ----------
        names
            Those of `model_index.json`, or the roles `text` (all text encoders and tokenizers) and `denoiser`.
        user
            Hits and loads are counted for it too, and loads are reported to it, in the loading thread.
        pixels
            Those of all images that the denoiser will work on: what they took before decides how it is offloaded.

        Raises
        ------
        ModelNotFoundError, ModelError
            There is no such model, or it cannot be loaded.
        """
        description = describe_model(ref)
        entries: list[_Entry] = []
        alone = ExitStack()
        try:
            modules: dict[str, Any] = {}
            for name in description.component_names(*names):
                for entry in self._take(ref, description, name, user or CacheUser(), pixels):
                    entries.append(entry)
                    modules[name] = entry.module
                if entries and entries[-1].is_exclusive:
                    alone.enter_context(entries[-1].guard)
                if entries and entries[-1].mode == "streaming":
                    modules[name] = streamed(entries[-1].module, self.device)
            with thread_count(self.threads, self._denoiser_bytes(description, entries)):
                dtype = self._dtype(ref, description)
                tiled = "vae" in modules and self._lowered.is_tiled(description)
                working = self._working(ref, dtype)
                yield Components(description, modules, self.device, dtype, ref.patches, tiled, working)
        finally:
            alone.close()
            self._give_back(entries)

    def _denoiser_bytes(self, description: ModelDescription, entries: list[_Entry]) -> int:
        """Return the bytes of the denoiser among the entries where the number of threads depends on them, else 0."""
        if self.threads != "auto" or self.device != _CPU or description.family is None:
            return 0
        return sum(entry.size for entry in entries if entry.name == description.family.denoiser)

    def step_down(self, ref: ModelRef, *names: str) -> str:
        """Take less memory of the device for components of a model from now on, after it ran out.

        Denoisers and text encoders go one mode down, a VAE works in tiles, and what nobody uses leaves the device.
        Returns what has changed, such as `unet in the mode 'streaming'`; "" if they take the least already.
        """
        description = describe_model(ref)
        dtype = self._dtype(ref, description)
        with self._lock:
            changed = [
                self._lowered.step_down(description, name, self._mode(ref, description, name, dtype))
                for name in description.component_names(*names)
            ]
            if any(changed) and self.device != _CPU:
                self._make_room(0, 0, self.device)
        return ", ".join(filter(None, changed))

    def _working(self, ref: ModelRef, dtype: torch.dtype) -> Working:
        return Working(self.working_sets, self.device, ref.fingerprint, str(dtype))

    def counters(self) -> CacheCounters:
        """Return hits, loads and evictions so far; subtract two readings to count those between them."""
        return self._all_users.counters

    def loaded(self) -> list[LoadedComponent]:
        """Return what is in memory now, most recently used first."""
        with self._lock:
            entries = sorted(self._entries.values(), key=lambda entry: -entry.last_used)
        return [
            LoadedComponent(
                e.ref.path,
                e.name,
                e.size,
                str(e.device),
                str(e.dtype).removeprefix("torch."),
                len(e.patches),
                e.in_use,
                e.uses,
                e.last_used,
                e.mode,
            )  # fmt: skip
            for e in entries
        ]

    def unload(self, ref: ModelRef) -> int:
        """Drop all components of a model, patched ones too, those in use when they are released.

        Return the bytes dropped.
        """
        with self._lock:
            return self._drop([key for key, entry in self._entries.items() if entry.ref.fingerprint == ref.fingerprint])

    def clear(self) -> int:
        """Drop everything, what is in use when it is released; return the bytes dropped."""
        with self._lock:
            return self._drop(list(self._entries))

    def free_bytes(self) -> int | None:
        """Return the free memory of the device, with what torch keeps for reuse; None where that is RAM."""
        return free_bytes(self.device)

    def free_memory(self) -> None:
        """Give memory that torch keeps for reuse back to the device."""
        free_memory(self.device)

    def _take(
        self, ref: ModelRef, description: ModelDescription, name: str, user: CacheUser, pixels: int
    ) -> Iterator[_Entry]:
        """Yield the plain component, leased, and after it the patched one over its weights if a patch concerns it."""
        dtype = self._dtype(ref, description)
        precision = self._precision(ref, description, name)
        mode = self._mode(ref, description, name, dtype, pixels)
        # What is streamed has weights of its own, which nobody moves to the device as a whole.
        key: Key = (
            description.sources[name].content or ref.fingerprint, name, dtype, ref.variant, precision,
            mode == "streaming",
        )  # fmt: skip
        plain = self._find_or_make(key, lambda: self._load(ref, description, name, dtype, mode, user), user)
        yield plain
        if patches := patches_for(description, name, ref.patches):
            problem = lora_problem_over(precision)
            if problem and any(isinstance(patch, LoraPatch) for patch in patches):
                raise ModelError(problem)
            yield self._find_or_make((*key, patches), lambda: self._patch(plain, description, patches), user)

    def _find_or_make(self, key: Key, make: Callable[[], _Entry], user: CacheUser) -> _Entry:
        found = self._hold(key, user)
        if found is not None:
            return found
        with LOAD_LOCK:
            # another thread may have loaded it while this one waited for the lock
            found = self._hold(key, user)
            if found is not None:
                return found
            made = make()
            with self._lock:
                self._make_room(made.size, self.ram_bytes, _CPU)
                self._entries[key] = made
                self._count(user, loads=1)
                self._lease(made)
                return made

    def _hold(self, key: Key, user: CacheUser) -> _Entry | None:
        """Return the entry of a key, leased and on the device; None when there is none."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._lease(entry)
                self._count(user, hits=1)
            return entry

    def _count(self, user: CacheUser, hits: int = 0, loads: int = 0) -> None:
        """Count for the cache as a whole, and for the one that uses it."""
        for each in (self._all_users, user):
            before = each.counters
            each.counters = replace(before, hits=before.hits + hits, loads=before.loads + loads)

    def _lease(self, entry: _Entry) -> None:
        """Put the component on the device, in use once more; not in use if there is no room for it."""
        entry.in_use += 1
        try:
            self._place(entry)
        except BaseException:
            entry.in_use -= 1
            raise
        entry.uses += 1
        entry.last_used = time.time()
        entry.doomed = False

    def _give_back(self, entries: list[_Entry]) -> None:
        with self._lock:
            for entry in entries:
                entry.in_use -= 1
                entry.last_used = time.time()
            self._drop([key for key, entry in self._entries.items() if entry.doomed and not entry.in_use])

    def _load(
        self,
        ref: ModelRef,
        description: ModelDescription,
        name: str,
        dtype: torch.dtype,
        mode: OffloadMode,
        user: CacheUser,
    ) -> _Entry:
        self._tell(LoadEvent(ref.path, name, 0, None), user)
        started = time.monotonic()
        module = load_component(description, name, dtype, ref.variant, self._precision(ref, description, name))
        source = description.sources[name]
        check_unchanged(source.path, source.fingerprint)
        size = component_bytes(module)
        self._tell(LoadEvent(ref.path, name, size, time.monotonic() - started), user)
        own = ref.model_copy(
            update={"path": source.path, "fingerprint": source.fingerprint, "patches": (), "parts": ()}
        )
        is_cast = self._precision(ref, description, name) == "fp8"
        return _Entry(own, name, module, size, _CPU, dtype, mode=mode, is_exclusive=is_cast or mode == "streaming")

    def _patch(self, plain: _Entry, description: ModelDescription, patches: tuple[Patch, ...]) -> _Entry:
        """Make a patched component. Its size is what the patches add, since its weights are those of `plain`."""
        module = apply_patches(description, plain.name, plain.module, patches)
        size = added_bytes(module, plain.module)
        patched = _Entry(plain.ref, plain.name, module, size, _CPU, plain.dtype, patches, plain)
        patched.mode, patched.is_exclusive, patched.guard = plain.mode, plain.is_exclusive, plain.guard
        return patched

    def _place(self, entry: _Entry) -> None:
        if entry.device == self.device or not isinstance(entry.module, torch.nn.Module) or entry.mode == "streaming":
            return
        self._make_room(entry.size, self.vram_bytes, self.device)
        self._move(entry, self.device)
        self._make_room(0, self.ram_bytes, _CPU)

    def _make_room(self, size: int, budget: int, place: torch.device) -> None:
        """Take the least recently used idle components out of `place` until `size` more bytes fit into `budget`.

        From the device they go to RAM, from RAM out. Patched ones leave the device with the weights they share.
        """
        there = {key: entry for key, entry in self._entries.items() if entry.device == place}
        total = sum(entry.size for entry in there.values()) + size
        for key, entry in sorted(there.items(), key=lambda item: item[1].last_used):
            if total <= budget:
                return
            if entry.in_use or not entry.size or (place != _CPU and (entry.base is not None or entry.mode == "none")):
                continue
            total -= entry.size
            so_far = self._all_users.counters
            self._all_users.counters = replace(so_far, evictions=so_far.evictions + 1)
            if place == _CPU:
                self._drop([key])
            else:
                self._move(entry, _CPU)

    def _move(self, entry: _Entry, device: torch.device) -> None:
        """Move a component, and with its weights those that are patched over them."""
        entry.module.to(device)
        entry.device = device
        for patched in self._entries.values():
            if patched.base is entry:
                patched.module.to(device)
                patched.device = device

    def _drop(self, keys: list[Key]) -> int:
        """Take components out of the cache, and their memory back; the bytes of those that were not in use."""
        freed = self._take_out(keys)
        if freed:
            gc.collect()  # hooks refer to the modules they are on, which reference counting does not free
            free_memory(self.device)
        return freed

    def _take_out(self, keys: list[Key]) -> int:
        freed = 0
        for key in keys:
            entry = self._entries.get(key)
            if entry is None:
                continue
            if entry.in_use:
                entry.doomed = True
                continue
            freed += self._entries.pop(key).size
            freed += self._take_out([other for other, patched in self._entries.items() if patched.base is entry])
        return freed

    def _mode(
        self, ref: ModelRef, description: ModelDescription, name: str, dtype: torch.dtype, pixels: int = 0
    ) -> OffloadMode:
        """Return where the weights of a component are while it computes."""
        source = description.sources[name]
        wanted = self._lowered.mode(description, name) or ref.offload or self.offload
        if wanted == AUTO and may_stream(description, name):
            size = stored_bytes(source, dtype, ref.variant)
            with self._lock:
                ours = sum(entry.size for entry in self._entries.values() if entry.device == self.device)
            working = self._working(ref, dtype).estimate(DENOISE, pixels) if pixels else None
            return choose_mode(size, self.vram_bytes, self.device, ours, working)
        if wanted == AUTO or (wanted == "streaming" and not may_stream(description, name)):
            return "component"
        return cast(OffloadMode, wanted)

    def _precision(self, ref: ModelRef, description: ModelDescription, name: str) -> str | None:
        """Return the precision to quantise a component to: only the denoiser is quantised."""
        is_denoiser = description.family is not None and name == description.family.denoiser
        if ref.precision is None or not is_denoiser:
            return None
        check_precision(ref.precision, self.device.type)
        return ref.precision

    def _dtype(self, ref: ModelRef, description: ModelDescription) -> torch.dtype:
        denoiser = description.family.denoiser if description.family else "unet"
        return choose_dtype(ref.dtype or self.dtype, self.device, denoiser)

    def _tell(self, event: LoadEvent, user: CacheUser) -> None:
        if user.on_load is not None:
            user.on_load(event)
