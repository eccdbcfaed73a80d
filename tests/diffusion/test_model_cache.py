"""The cache of components: what is loaded, shared, evicted and counted."""

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from nbgraph.diffusion.cache_reports import CacheCounters, CacheUser, LoadEvent
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelRef
from tests.diffusion.drawing import encode, sample
from tests.diffusion.models import TinyModels


def names(cache: ModelCache) -> set[tuple[str, str]]:
    return {(Path(row.model).name, row.component) for row in cache.loaded() if row.bytes}


def test_a_component_is_loaded_once_and_then_found(tiny: TinyModels) -> None:
    cache = ModelCache(device="cpu")
    with cache.use(tiny["sd15"], "unet", "vae") as first:
        pass
    with cache.use(tiny["sd15"], "denoiser") as second:
        assert second["unet"] is first["unet"]
    assert cache.counters() == CacheCounters(hits=1, loads=2)


def test_a_copy_of_a_folder_shares_its_components(tiny: TinyModels, tmp_path: Path) -> None:
    copied = ModelRef.from_path(str(shutil.copytree(tiny["sd15"].path, tmp_path / "copy")))
    cache = ModelCache(device="cpu")
    with cache.use(tiny["sd15"], "vae") as first, cache.use(copied, "vae") as second:
        assert first["vae"] is second["vae"]


def test_the_least_recently_used_idle_component_is_evicted(tiny: TinyModels) -> None:
    cache = ModelCache(device="cpu")
    for name in ("vae", "unet", "vae", "text_encoder"):
        with cache.use(tiny["sd15"], name):
            pass
    sizes = {row.component: row.bytes for row in cache.loaded()}
    cache.ram_bytes = sum(sizes.values()) + sizes["vae"] - 1
    with cache.use(tiny["sdxl"], "vae"):
        pass
    assert names(cache) == {("sd15", "vae"), ("sd15", "text_encoder"), ("sdxl", "vae")}
    assert cache.counters().evictions == 1


def test_what_is_in_use_is_never_evicted_nor_unloaded(tiny: TinyModels) -> None:
    cache = ModelCache(device="cpu", ram_bytes=0)
    with cache.use(tiny["sd15"], "unet"):
        with cache.use(tiny["sd15"], "vae"):
            assert names(cache) == {("sd15", "unet"), ("sd15", "vae")}
        assert cache.unload(tiny["sd15"]) > 0
        assert names(cache) == {("sd15", "unet")}
    assert cache.loaded() == []


def test_components_move_to_the_device_and_back_within_its_budget(tiny: TinyModels) -> None:
    device = torch.device("cpu:0")
    cache = ModelCache(device=device, vram_bytes=0, dtype="float32")
    for name in ("unet", "vae"):
        with cache.use(tiny["sd15"], name):
            assert {row.component: row.device for row in cache.loaded()}[name] == "cpu:0"
    assert {row.component: row.device for row in cache.loaded()} == {"unet": "cpu", "vae": "cpu:0"}


def test_what_is_in_use_stays_on_the_device_whatever_its_budget(tiny: TinyModels) -> None:
    cache = ModelCache(device=torch.device("cpu:0"), vram_bytes=0, dtype="float32")
    with cache.use(tiny["sd15"], "unet"), cache.use(tiny["sd15"], "vae"):
        assert {row.component: row.device for row in cache.loaded()} == {"unet": "cpu:0", "vae": "cpu:0"}


def test_a_component_that_finds_no_room_is_not_held(tiny: TinyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ModelCache(device=torch.device("cpu:0"), dtype="float32")

    def fail(module: torch.nn.Module, device: torch.device) -> None:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patched:
        patched.setattr(torch.nn.Module, "to", fail)
        with pytest.raises(torch.OutOfMemoryError), cache.use(tiny["sd15"], "vae"):
            pass
    assert [row.in_use for row in cache.loaded()] == [0]
    with cache.use(tiny["sd15"], "vae"):
        assert cache.loaded()[0].device == "cpu:0"


def test_threads_that_encode_at_once_share_no_padding(
    tiny: TinyModels, shared_cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tokenizer keeps its padding in itself; here every call dawdles between setting it and using it."""
    with shared_cache.use(tiny["sd15"], "tokenizer") as components:
        kind = type(components["tokenizer"])
    prepare = kind.set_truncation_and_padding

    def dawdle(tokenizer: Any, *args: Any, **options: Any) -> None:
        prepare(tokenizer, *args, **options)
        time.sleep(0.01)

    monkeypatch.setattr(kind, "set_truncation_and_padding", dawdle)
    shapes: list[tuple[int, ...]] = []

    def run() -> None:
        for _ in range(4):
            shapes.append(tuple(encode(shared_cache, tiny["sd15"], "a red cat").tensors["prompt_embeds"].shape))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shapes == [(1, 77, 32)] * 16


def test_rows_tell_sizes_and_clear_frees_them_all(tiny: TinyModels) -> None:
    cache = ModelCache(device="cpu")
    with cache.use(tiny["sd15"], "unet") as components:
        expected = sum(p.numel() * 4 for p in components["unet"].parameters())
        row = cache.loaded()[0]
        assert (row.bytes, row.dtype, row.in_use, row.uses) == (expected, "float32", 1, 1)
    assert cache.clear() == expected
    assert cache.loaded() == []


def test_loads_are_told_before_and_after(tiny: TinyModels) -> None:
    cache, events = ModelCache(device="cpu"), list[LoadEvent]()
    user = CacheUser(on_load=events.append)
    with cache.use(tiny["sd15"], "vae", user=user):
        pass
    with cache.use(tiny["sd15"], "unet"):
        pass
    assert [(event.component, event.seconds is None) for event in events] == [("vae", True), ("vae", False)]


def test_each_user_of_a_cache_counts_its_own_hits_and_loads(tiny: TinyModels) -> None:
    cache, first, second = ModelCache(device="cpu"), CacheUser(), CacheUser()
    for user in (first, second):
        with cache.use(tiny["sd15"], "vae", user=user):
            pass
    assert first.counters == CacheCounters(loads=1)
    assert second.counters == CacheCounters(hits=1)
    assert cache.counters() == CacheCounters(hits=1, loads=1)


def test_two_threads_with_one_model_draw_what_one_draws(tiny: TinyModels) -> None:
    cache, settings = ModelCache(device="cpu"), DenoiseSettings(steps=6, cfg=4.0)
    expected = sample(ModelCache(device="cpu"), tiny["sd15"], settings).tensor
    found: list[torch.Tensor] = []
    threads = [
        threading.Thread(target=lambda: found.append(sample(cache, tiny["sd15"], settings).tensor)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [float((tensor - expected).abs().max()) for tensor in found] == [0.0, 0.0, 0.0]
    assert cache.counters().loads == 3, "text encoder, tokenizer and UNet, once each"


def test_a_load_in_one_thread_leaves_modules_made_in_another_alone(tiny: TinyModels) -> None:
    cache, on_meta, stop = ModelCache(device="cpu"), [], threading.Event()

    def build() -> None:
        while not stop.is_set():
            on_meta.append(torch.nn.Linear(2, 2).weight.is_meta)

    thread = threading.Thread(target=build)
    thread.start()
    for _ in range(2):
        with cache.use(tiny["sdxl"], "text", "denoiser", "vae"):
            pass
        cache.clear()
    stop.set()
    thread.join()
    assert on_meta
    assert not any(on_meta)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_fp16_files_run_as_float32_on_the_cpu_unless_asked_otherwise(
    dtype: torch.dtype, tiny: TinyModels, tmp_path: Path
) -> None:
    tiny.pipeline("sd15").to(dtype=torch.float16).save_pretrained(tmp_path, variant="fp16")
    name = None if dtype == torch.float32 else "float16"
    ref = ModelRef.from_path(str(tmp_path), dtype=name)
    with ModelCache(device="cpu").use(ref, "unet", "text_encoder") as components:
        assert {p.dtype for p in components["unet"].parameters()} == {dtype}
        assert {p.dtype for p in components["text_encoder"].parameters()} == {dtype}
