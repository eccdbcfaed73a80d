"""Models larger than the card: equal pictures wherever the weights are, chosen by what is free, and one step down."""

import itertools
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import nbgraph as nb
from nbgraph.diffusion import offloading, vae
from nbgraph.diffusion.batching import DenoiseInput, denoise_many
from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.meters import DeviceMemory, DeviceMeter
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.offloading import choose_mode, next_mode, stored_bytes
from nbgraph.diffusion.refs import FreeuPatch, LoraPatch, ModelPart, ModelRef, SeamlessPatch
from nbgraph.diffusion.working_sets import Working, WorkingSets
from nbgraph.errors import CancelledError, ModelError, NbgraphWarning, NodeError, SettingsError
from nbgraph.invocations import (
    ControlNet,
    DenoiseLatents,
    IpAdapter,
    LatentsToImage,
    ModelLoader,
    Noise,
    Prompt,
    T2iAdapter,
)
from nbgraph.invocations.fields import ImageField
from tests.diffusion.drawing import AVOID, TEXT, encode, noise, sample
from tests.tiny_models import build_controlnet, build_image_encoder, build_ip_adapter, build_lora, build_t2i_adapter
from tests.tiny_models.single_files import write_single_file

SETTINGS = DenoiseSettings(steps=3, cfg=4.0)
GIB = 2**30


@pytest.fixture(scope="module")
def caches() -> dict[str, ModelCache]:
    return {mode: ModelCache(device="cpu", offload=mode) for mode in ("auto", *offloading.MODES)}


def out_of_memory_once(module: torch.nn.Module) -> None:
    """Let the next call of a module fail as on a device that has no room."""

    def once(module: Any, given: Any) -> None:
        hook.remove()
        raise torch.OutOfMemoryError("CUDA out of memory")

    hook = module.register_forward_pre_hook(once)


def modes(cache: ModelCache) -> dict[str, str]:
    return {row.component: row.mode for row in cache.loaded()}


@pytest.mark.parametrize("name", ["sd15", "sdxl", "sd3", "flux"])
def test_every_mode_draws_the_same(caches, tiny, name):
    expected = sample(caches["auto"], tiny[name], SETTINGS).tensor
    for mode in offloading.MODES:
        assert torch.equal(sample(caches[mode], tiny[name], SETTINGS).tensor, expected), mode
    assert set(modes(caches["auto"]).values()) == {"component"}
    streamed = {part for part, mode in modes(caches["streaming"]).items() if mode == "streaming"}
    assert {"unet", "text_encoder"} <= streamed or {"transformer", "text_encoder"} <= streamed


def test_loras_and_batches_draw_the_same_in_every_mode(caches, tiny, tmp_path):
    file = build_lora(tmp_path / "lora.safetensors", Path(tiny["sd15"].path))
    ref = tiny["sd15"].with_patch(LoraPatch.from_file(str(file), weight=3.0))
    found = {mode: sample(cache, ref, SETTINGS).tensor for mode, cache in caches.items()}
    assert all(torch.equal(tensor, found["auto"]) for tensor in found.values())
    assert not torch.equal(found["auto"], sample(caches["streaming"], tiny["sd15"], SETTINGS).tensor)
    many = {}
    for mode, cache in caches.items():
        positive, negative = encode(cache, ref, TEXT), encode(cache, ref, AVOID)
        inputs = [DenoiseInput(positive, negative, noise(ref, seed)) for seed in (1, 2, 3)]
        with cache.use(ref, "denoiser") as components:
            many[mode] = torch.cat([each.tensor for each in denoise_many(components, inputs, SETTINGS)])
    assert all(torch.equal(tensor, many["auto"]) for tensor in many.values())


def test_what_is_kept_has_no_hooks_and_one_use_at_a_time_computes(caches, tiny):
    cache = caches["streaming"]
    entered, results = threading.Event(), list[bool]()
    with cache.use(tiny["sd15"], "denoiser") as first:
        assert "forward" in vars(first["unet"])

        def use() -> None:
            with cache.use(tiny["sd15"], "denoiser") as other:
                results.append(other["unet"] is not first["unet"])
                entered.set()

        thread = threading.Thread(target=use)
        thread.start()
        assert not entered.wait(0.2)
    thread.join()
    assert results == [True]
    kept = next(entry.module for entry in cache._entries.values() if entry.name == "unet")
    assert not any("forward" in vars(module) for module in kept.modules())


def test_a_part_that_does_not_fit_is_streamed_by_itself(monkeypatch):
    monkeypatch.setattr(offloading, "free_bytes", lambda device: 6 * GIB)
    device = torch.device("cuda")
    assert choose_mode(5 * GIB, 9 * GIB, device, on_device=0) == "component"
    assert choose_mode(8 * GIB, 9 * GIB, device, on_device=0) == "streaming"
    assert choose_mode(8 * GIB, 9 * GIB, device, on_device=3 * GIB) == "component"
    assert choose_mode(10 * GIB, 9 * GIB, device, on_device=12 * GIB) == "streaming"
    assert choose_mode(5 * GIB, 9 * GIB, device, on_device=0, working=GIB) == "component"
    assert choose_mode(5 * GIB, 9 * GIB, device, on_device=0, working=GIB + 1) == "streaming"
    monkeypatch.setattr(offloading, "free_bytes", lambda device: None)
    assert choose_mode(10 * GIB, 9 * GIB, torch.device("cpu"), on_device=0) == "component"
    assert [next_mode(mode) for mode in offloading.MODES] == ["component", "streaming", None]


def test_the_size_of_a_component_is_known_before_it_is_loaded(tiny, tmp_path):
    described = describe_model(tiny["sdxl"])
    file = write_single_file(tmp_path / "a.safetensors", Path(tiny["sdxl"].path))
    single = ModelRef.from_path(str(file), parts=(ModelPart.from_path("rest", tiny["sdxl"].path),))
    with ModelCache(device="cpu").use(tiny["sdxl"], "unet") as components:
        values = sum(tensor.numel() for tensor in components["unet"].parameters())
    for source in (described.sources["unet"], describe_model(single).sources["unet"]):
        assert stored_bytes(source, torch.float16, None) == 2 * values


def test_the_model_that_ran_out_of_memory_takes_less_and_runs_again(tiny):
    model = ModelLoader(model=tiny["sd15"].path)
    text = Prompt(text=TEXT, clip=model)
    node = DenoiseLatents(
        id="denoise", unet=model, positive=text, negative=text, steps=2,
        noise=Noise(unet=model, seed=1, width=32, height=32),
    )  # fmt: skip
    settings = nb.Settings(device="cpu", cache_entries=0, model_ram_bytes=2**33 + 1)
    with nb.Studio(settings=settings) as studio:
        expected = studio.run(node, progress=False)[node].latents.tensor()
        manager = studio.services.model_manager
        with manager.use(manager.resolve(tiny["sd15"].path), "denoiser") as components:
            out_of_memory_once(components["unet"])
        with pytest.warns(
            NbgraphWarning, match="ran out of memory; the node runs again with unet in the mode 'streaming'"
        ):
            found = studio.run(node, progress=False)[node].latents.tensor()
        assert torch.equal(found, expected)
        table = studio.loaded_models
        assert set(table[table.component == "unet"]["mode"]) == {"component", "streaming"}
        assert manager.step_down(manager.resolve(tiny["sd15"].path), "denoiser") == ""


def test_a_vae_that_ran_out_of_memory_works_in_tiles_from_then_on(tiny):
    model = ModelLoader(model=tiny["sd15"].path)
    latents = Noise(unet=model, seed=1, width=64, height=64)
    image = LatentsToImage(id="image", latents=latents, vae=model)
    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0, model_ram_bytes=2**33 + 3)) as studio:
        in_tiles = LatentsToImage(id="image", latents=latents, vae=model, tiled=True)
        expected = studio.run(in_tiles, progress=False)[in_tiles].image
        manager = studio.services.model_manager
        ref = manager.resolve(tiny["sd15"].path)
        with manager.use(ref, "vae") as components:
            out_of_memory_once(components["vae"].decoder)
        tells = "done in tiles; faint seams"
        again = "image: the device ran out of memory; the node runs again with vae in tiles"
        with pytest.warns(NbgraphWarning, match=tells), pytest.warns(NbgraphWarning, match=again):
            found = studio.run(image, progress=False)[image].image
        assert found.tobytes() == expected.tobytes()
        with pytest.warns(NbgraphWarning, match=tells):
            studio.run(image, progress=False)
        assert manager.step_down(ref, "vae") == ""


def test_a_text_encoder_that_ran_out_of_memory_is_streamed_and_reads_the_same(tiny):
    model = ModelLoader(model=tiny["sd15"].path)
    text = Prompt(id="text", text=TEXT, clip=model)
    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0, model_ram_bytes=2**33 + 4)) as studio:
        expected = encode(ModelCache(device="cpu"), tiny["sd15"], TEXT).tensors["prompt_embeds"]
        manager = studio.services.model_manager
        with manager.use(manager.resolve(tiny["sd15"].path), "text") as components:
            out_of_memory_once(components["text_encoder"].final_layer_norm)
        with pytest.warns(NbgraphWarning, match="runs again with text_encoder in the mode 'streaming'"):
            output = studio.run(text, progress=False)[text]
        found = output.conditioning.tensors()["prompt_embeds"]
    assert torch.equal(found, expected)


def test_memory_that_stays_too_small_fails_after_one_more_try(tiny, monkeypatch):
    model = ModelLoader(model=tiny["sd15"].path)
    text = Prompt(id="text", text=TEXT, clip=model)
    tries: list[int] = []

    def always(module: Any, given: Any) -> None:
        tries.append(len(tries))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")

    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0, model_ram_bytes=2**33 + 5)) as studio:
        monkeypatch.setattr(torch.nn.LayerNorm, "forward", always)
        with pytest.warns(NbgraphWarning), pytest.raises(NodeError, match="out of memory in Prompt"):
            studio.run(text, progress=False)
    assert len(tries) == 2


def test_what_computing_took_is_learnt_by_task_model_and_size():
    sets = WorkingSets()
    key, other = ("decode", "model", "torch.float16"), ("decode", "other", "torch.float16")
    assert sets.estimate(key, 1000) is None
    sets.note(key, 1000, 5 * GIB)
    sets.note(key, 1000, 4 * GIB)
    sets.note(key, 3000, 9 * GIB)
    assert [sets.estimate(key, pixels) for pixels in (10, 1000, 1001, 3000)] == [5 * GIB, 5 * GIB, 9 * GIB, 9 * GIB]
    assert sets.estimate(key, 6000) == 18 * GIB
    assert sets.estimate(key, 12_001) is None
    assert sets.estimate(other, 1000) is None


def test_what_a_call_takes_beside_the_weights_is_measured_where_the_device_counts(monkeypatch):
    readings = [DeviceMemory(10, 12, 12), DeviceMemory(11, 30, 32)]  # before and after a call that takes 20
    readings += [DeviceMemory(10, 30, 32), DeviceMemory(11, 30, 32)]  # a call below an earlier peak
    readings += [None, None]  # a device without counters
    given = iter(readings)
    monkeypatch.setattr(DeviceMeter, "read", lambda self: next(given))
    working = Working(WorkingSets(), torch.device("cpu"), "model", "torch.float16")
    for pixels in (100, 200, 300):
        with working.watch("decode", pixels):
            pass
    assert [working.estimate("decode", pixels) for pixels in (100, 200, 300)] == [20, 40, 60]


def test_a_decode_that_is_known_to_fit_is_not_tiled(tiny, monkeypatch):
    monkeypatch.setattr(vae, "free_bytes", lambda device: 2**20)
    with ModelCache(device="cpu").use(tiny["sd15"], "vae") as components:
        assert vae.decode_needs_tiles(components, 64 * 64)
        components.working.sets.note(("decode", tiny["sd15"].fingerprint, "torch.float32"), 64 * 64, 2**19)
        assert not vae.decode_needs_tiles(components, 64 * 64)
        assert vae.decode_needs_tiles(components, 3 * 64 * 64)


def test_a_denoiser_is_streamed_where_its_working_set_is_known_to_need_the_room(tiny, monkeypatch):
    cache = ModelCache(device="cpu", vram_bytes=4 * GIB)
    monkeypatch.setattr(offloading, "free_bytes", lambda device: GIB)
    cache.working_sets.note(("denoise", tiny["sd15"].fingerprint, "torch.float32"), 64 * 64, GIB + GIB)
    found = {}
    for pixels in (0, 64 * 64, 5 * 64 * 64):
        with cache.use(tiny["sd15"], "denoiser", pixels=pixels):
            found[pixels] = next(row.mode for row in cache.loaded() if row.in_use)
    assert found == {0: "component", 64 * 64: "streaming", 5 * 64 * 64: "component"}


def test_a_node_and_a_setting_force_a_mode(tiny):
    model = ModelLoader(model=tiny["sd15"].path, offload="streaming")
    node = DenoiseLatents(
        id="denoise", unet=model, positive=Prompt(text=TEXT, clip=model), cfg_scale=1, steps=1,
        noise=Noise(unet=model, seed=1, width=32, height=32),
    )  # fmt: skip
    with nb.Studio(settings=nb.Settings(device="cpu", offload="none", model_ram_bytes=2**33 + 2)) as studio:
        studio.run(node, progress=False)
        manager = studio.services.model_manager
        with manager.use(manager.resolve(tiny["sd15"].path), "denoiser"):
            table = studio.loaded_models
        assert set(table[table.component == "unet"]["mode"]) == {"streaming", "none"}
    with pytest.raises(SettingsError, match="offload"):
        nb.Settings(offload="disk")
    with pytest.raises(ModelError, match="'disk' is no way to offload models"):
        ModelCache(device="cpu", offload="disk")


def test_a_picture_that_does_not_fit_is_decoded_in_tiles(tiny, monkeypatch):
    model = ModelLoader(model=tiny["sd15"].path)
    image = LatentsToImage(id="image", latents=Noise(unet=model, seed=1, width=64, height=64), vae=model)
    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0)) as studio:
        plain = studio.run(image, progress=False)[image].image
        monkeypatch.setattr(vae, "free_bytes", lambda device: 2**20)
        with pytest.warns(NbgraphWarning, match="would not fit into the free memory, so it is done in tiles"):
            found = studio.run(image, progress=False)[image].image
    assert isinstance(found, Image.Image)
    assert found.size == plain.size


@pytest.mark.parametrize("patch", [SeamlessPatch(), FreeuPatch()])
def test_other_patches_draw_the_same_when_they_are_streamed(caches, tiny, patch):
    ref = tiny["sd15"].with_patch(patch)
    expected = sample(caches["auto"], ref, SETTINGS).tensor
    assert torch.equal(sample(caches["streaming"], ref, SETTINGS).tensor, expected)


def test_what_steers_works_on_streamed_and_8_bit_weights(tiny, tmp_path):
    folder = Path(tiny["sd15"].path)
    build_image_encoder(tmp_path / "image_encoder")
    adapter = build_ip_adapter(tmp_path / "ip.safetensors", folder)
    net, t2i = build_controlnet(tmp_path / "net", folder), build_t2i_adapter(tmp_path / "t2i", xl=True)
    found: dict[tuple[str, str | None], torch.Tensor] = {}
    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0)) as studio:
        record = studio.services.images.save(Image.linear_gradient("L").resize((32, 32)).convert("RGB"))
        image = ImageField(image_name=record.image_name)
        for mode, precision in itertools.product(("component", "streaming"), (None, "fp8")):
            model = ModelLoader(model=str(folder), offload=mode, precision=precision)
            text = Prompt(text=TEXT, clip=model)
            node = DenoiseLatents(
                id="denoise", unet=model, positive=text, negative=text, steps=2,
                noise=Noise(unet=model, seed=1, width=32, height=32),
                control=ControlNet(image=image, control_model=str(net)),
                t2i_adapter=T2iAdapter(image=image, t2i_adapter_model=str(t2i)),
                ip_adapter=IpAdapter(image=image, ip_adapter_model=adapter),
            )  # fmt: skip
            found[mode, precision] = studio.run(node, progress=False)[node].latents.tensor()
    for precision in (None, "fp8"):
        assert torch.equal(found["component", precision], found["streaming", precision])
    assert not torch.equal(found["component", None], found["component", "fp8"])


def test_a_cancelled_run_leaves_streamed_weights_as_they_were(caches, tiny):
    whole = sample(caches["streaming"], tiny["sd15"], SETTINGS).tensor
    with pytest.raises(CancelledError):
        sample(caches["streaming"], tiny["sd15"], SETTINGS, cancelled=lambda: True)
    assert torch.equal(sample(caches["streaming"], tiny["sd15"], SETTINGS).tensor, whole)
