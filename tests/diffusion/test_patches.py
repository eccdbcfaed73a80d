"""Patches: they do what diffusers does, and the plain model never learns of them."""

import inspect
import threading
from pathlib import Path

import diffusers
import pytest
import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPTextModel

from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.patches import share_weights
from nbgraph.diffusion.refs import ClipSkipPatch, FreeuPatch, LoraPatch, ModelRef, Patch, SeamlessPatch
from nbgraph.diffusion.vae import unscale
from nbgraph.errors import ModelError
from tests.diffusion.drawing import AVOID, SEED, SIDE, TEXT, encode, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.table import able
from tests.tiny_models import build_lora

SETTINGS = DenoiseSettings(steps=4, cfg=4.0)


def train_lora(tiny: TinyModels, name: str, folder: Path) -> str:
    """The file of a LoRA for a tiny model."""
    return str(build_lora(folder / f"{name}.safetensors", Path(tiny[name].path)))


def plain(pipeline: StableDiffusionPipeline, **given: object) -> torch.Tensor:
    generator = torch.Generator("cpu").manual_seed(SEED)
    return pipeline(TEXT, negative_prompt=AVOID, height=SIDE, width=SIDE, num_inference_steps=4, guidance_scale=4.0,
                    generator=generator, output_type="latent", **given).images  # fmt: skip


def test_a_patched_picture_leaves_the_plain_one_alone(tiny: TinyModels, tmp_path: Path) -> None:
    cache, found = ModelCache(device="cpu"), dict[str, torch.Tensor]()
    plain_ref = tiny["sd15"]
    lora = plain_ref.with_patch(LoraPatch.from_file(train_lora(tiny, "sd15", tmp_path), weight=1.0))
    expected = {"plain": sample(cache, plain_ref, SETTINGS).tensor, "lora": sample(cache, lora, SETTINGS).tensor}
    threads = [
        threading.Thread(target=lambda n=name, r=ref: found.update({n: sample(cache, r, SETTINGS).tensor}))
        for name, ref in (("plain", plain_ref), ("lora", lora))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: torch.equal(found[name], expected[name]) for name in expected} == {"plain": True, "lora": True}


def test_a_patched_component_shares_the_weights_and_goes_with_them(tiny: TinyModels, tmp_path: Path) -> None:
    cache = ModelCache(device="cpu")
    lora = tiny["sd15"].with_patch(LoraPatch.from_file(train_lora(tiny, "sd15", tmp_path), weight=1.0))
    with cache.use(tiny["sd15"], "unet") as first, cache.use(lora, "unet") as second:
        shared = {id(p) for p in first["unet"].parameters()}
        assert shared < {id(p) for p in second["unet"].parameters()}
        plain_row, patched_row = sorted(cache.loaded(), key=lambda row: row.patches)
        assert 0 < patched_row.bytes < plain_row.bytes / 10
    cache.unload(tiny["sd15"])
    assert cache.loaded() == []


def test_patched_components_move_with_their_weights(tiny: TinyModels, tmp_path: Path) -> None:
    cache = ModelCache(device=torch.device("cpu:0"), vram_bytes=0, dtype="float32")
    lora = tiny["sd15"].with_patch(LoraPatch.from_file(train_lora(tiny, "sd15", tmp_path), weight=1.0))
    with cache.use(lora, "unet"):
        assert {row.device for row in cache.loaded()} == {"cpu:0"}
    with cache.use(tiny["sd15"], "vae"):
        assert {(row.component, row.device) for row in cache.loaded()} == {("unet", "cpu"), ("vae", "cpu:0")}


def test_a_lora_of_weight_zero_changes_nothing(tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path) -> None:
    ref = tiny["sd15"].with_patch(LoraPatch.from_file(train_lora(tiny, "sd15", tmp_path), weight=0.0))
    assert torch.equal(sample(shared_cache, ref, SETTINGS).tensor, sample(shared_cache, tiny["sd15"], SETTINGS).tensor)


def test_a_lora_of_another_model_says_so(tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path) -> None:
    wrong_size = tiny["sdxl"].with_patch(LoraPatch.from_file(train_lora(tiny, "sd15", tmp_path)))
    wrong_kind = tiny["flux"].with_patch(LoraPatch.from_file(train_lora(tiny, "sd15", tmp_path)))
    with pytest.raises(ModelError, match="does not fit unet"), shared_cache.use(wrong_size, "unet"):
        pass
    with pytest.raises(ModelError, match="has no layers"), shared_cache.use(wrong_kind, "transformer"):
        pass
    assert all(row.in_use == 0 for row in shared_cache.loaded())


def test_a_pickled_lora_is_refused(tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path) -> None:
    (tmp_path / "lora.bin").write_bytes(b"")
    ref = tiny["sd15"].with_patch(LoraPatch(path=str(tmp_path / "lora.bin"), fingerprint="0"))
    with pytest.raises(ModelError, match="must be a .safetensors file"), shared_cache.use(ref, "unet"):
        pass


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_freeu_does_what_diffusers_does(name: str, tiny: TinyModels, shared_cache: ModelCache) -> None:
    pipeline = tiny.pipeline(name)
    pipeline.unet.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4)
    before = sample(shared_cache, tiny[name], SETTINGS).tensor
    patched = sample(shared_cache, tiny[name].with_patch(FreeuPatch()), SETTINGS).tensor
    assert (patched - plain(pipeline)).abs().max() == 0
    assert torch.equal(sample(shared_cache, tiny[name], SETTINGS).tensor, before)


@pytest.mark.parametrize("axes", [("x",), ("y",), ("x", "y")])
def test_a_seamless_vae_decodes_a_rolled_picture_from_rolled_latents(
    axes: tuple[str, ...], tiny: TinyModels, shared_cache: ModelCache
) -> None:
    latents = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(0))
    ref = tiny["sd15"].with_patch(SeamlessPatch(axes=axes))
    for axis, dimension in (("x", 3), ("y", 2)):
        with shared_cache.use(ref, "vae") as components, torch.no_grad():
            vae = components["vae"]
            picture, rolled = (vae.decode(unscale(vae, z)).sample for z in (latents, latents.roll(5, dimension)))
        difference = (picture.roll(10, dimension) - rolled).abs().max()
        assert (difference < 1e-5) == (axis in axes)


def test_patches_that_a_transformer_cannot_have(tiny: TinyModels, shared_cache: ModelCache) -> None:
    patch: Patch
    for patch in (FreeuPatch(), SeamlessPatch()):
        ref = tiny["sd3"].with_patch(patch)
        with pytest.raises(ModelError, match="work on models with a UNet"), shared_cache.use(ref, "denoiser"):
            pass


@pytest.mark.parametrize("name", able("clip_skip"))
def test_clip_skip_takes_the_layer_diffusers_takes(
    name: str, tiny: TinyModels, shared_cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = tiny[name].with_patch(ClipSkipPatch(layers=1))
    found = encode(shared_cache, ref, TEXT).tensors["prompt_embeds"]
    assert not hasattr(CLIPTextModel, "text_model")
    monkeypatch.setattr(CLIPTextModel, "text_model", property(lambda model: model), raising=False)
    pipeline = tiny.pipeline(name)
    others = [part for part in ("prompt_2", "prompt_3") if part in inspect.signature(pipeline.encode_prompt).parameters]
    with torch.no_grad():
        expected = pipeline.encode_prompt(
            TEXT, **dict.fromkeys(others), device=torch.device("cpu"), num_images_per_prompt=1,
            do_classifier_free_guidance=False, clip_skip=1,
        )[0]  # fmt: skip
    assert (found - expected).abs().max() == 0
    assert (found - encode(shared_cache, tiny[name], TEXT).tensors["prompt_embeds"]).abs().max() > 0


@pytest.mark.parametrize("name", able("clip_skip"))
def test_clip_skip_leaves_the_encoders_as_they_were(name: str, tiny: TinyModels) -> None:
    refs = {"plain": tiny[name], "skipped": tiny[name].with_patch(ClipSkipPatch(layers=1))}
    for order in (("skipped", "plain", "skipped"), ("plain", "skipped", "plain")):
        cache = ModelCache(device="cpu")
        first, other, again = (encode(cache, refs[which], TEXT).tensors["prompt_embeds"] for which in order)
        fresh = encode(ModelCache(device="cpu"), refs[order[1]], TEXT).tensors["prompt_embeds"]
        assert torch.equal(first, again)
        assert torch.equal(other, fresh)


def test_clip_skip_of_a_model_without_clip_says_so(tiny: TinyModels, shared_cache: ModelCache) -> None:
    with pytest.raises(ModelError, match="'pixart-sigma' cannot skip layers"):
        encode(shared_cache, tiny["pixart"].with_patch(ClipSkipPatch(layers=1)), TEXT)


def test_a_copy_that_shares_weights_draws_the_same_and_can_be_changed_alone(tiny: TinyModels) -> None:
    unet = tiny.pipeline("sd15").unet
    copied = share_weights(unet)
    assert [id(p) for p in copied.parameters()] == [id(p) for p in unet.parameters()]
    copied.conv_in = torch.nn.Identity()
    assert isinstance(unet.conv_in, torch.nn.Conv2d)
    assert isinstance(copied, diffusers.UNet2DConditionModel)


def test_a_ref_with_another_weight_is_another_model(tiny: TinyModels) -> None:
    refs: set[ModelRef] = {
        tiny["sd15"].with_patch(LoraPatch(path="a", fingerprint="0", weight=weight)) for weight in (0.5, 0.6)
    }
    assert len(refs) == 2
