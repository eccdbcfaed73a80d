"""IP-Adapters: what diffusers' pipelines draw with them, by separate steps, and a denoiser that is not changed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionModelWithProjection,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipVisionModel,
)

from nbgraph.diffusion.denoising import DenoiseSettings, denoise
from nbgraph.diffusion.image_prompts import ImagePrompt
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import IpAdapterPatch, LoraPatch, ModelRef
from nbgraph.diffusion.values import Latents
from nbgraph.diffusion.what_is import what_is
from nbgraph.errors import ModelError
from tests.diffusion.drawing import AVOID, SEED, SIDE, TEXT, encode, noise, sample
from tests.diffusion.models import TinyModels
from tests.diffusion.table import able
from tests.diffusion.test_patches import train_lora
from tests.tiny_models import build_image_encoder, build_ip_adapter, build_siglip

PICTURE = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
OTHER = Image.radial_gradient("L").resize((SIDE, SIDE)).convert("RGB")
SETTINGS = DenoiseSettings(steps=5, cfg=4.0)
SMALL_TEXT = {
    "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 99,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny: TinyModels) -> Path:
    """Adapters `sd15-4.safetensors` and so on, and the image encoder they were made for."""
    made = tmp_path_factory.mktemp("ip")
    build_image_encoder(made / "encoder")
    build_siglip(made / "siglip")
    for name in able("ip_adapter"):
        for seed in (4, 5):
            build_ip_adapter(made / f"{name}-{seed}.safetensors", Path(tiny[name].path), seed=seed)
    return made


def patch(folder: Path, name: str, seed: int = 4) -> IpAdapterPatch:
    return IpAdapterPatch.from_file(str(folder / f"{name}-{seed}.safetensors"))


def draw(cache: ModelCache, ref: ModelRef, folder: Path, prompts: list[dict[str, Any]], **given: Any) -> Latents:
    encoder = given.pop("encoder", "siglip" if "sd3" in ref.path else "encoder")
    with cache.use(ModelRef.from_path(str(folder / encoder)), "image_encoder") as held:
        shown = [ImagePrompt(held["image_encoder"], **prompt) for prompt in prompts]
        return sample(cache, ref, given.pop("settings", SETTINGS), image_prompts=shown, **given)


def plain(
    tiny: TinyModels, name: str, folder: Path, seeds: list[int], scales: list[float], images: Any, cfg: float = 4.0
) -> torch.Tensor:
    pipeline = tiny.pipeline(name)
    if name == "sd3":
        pipeline.image_encoder = SiglipVisionModel.from_pretrained(folder / "siglip", local_files_only=True)
        pipeline.feature_extractor = SiglipImageProcessorPil(size={"height": 32, "width": 32})
        options: dict[str, Any] = {"weight_name": f"sd3-{seeds[0]}.safetensors"}
    else:
        encoder = CLIPVisionModelWithProjection.from_pretrained(folder / "encoder", local_files_only=True)
        pipeline.image_encoder = encoder
        options = {"weight_name": [f"{name}-{seed}.safetensors" for seed in seeds]}
    pipeline.load_ip_adapter(str(folder), subfolder="", local_files_only=True, low_cpu_mem_usage=False, **options)
    pipeline.set_ip_adapter_scale(scales[0] if name == "sd3" else scales)
    guidance = {"true_cfg_scale" if name == "flux" else "guidance_scale": cfg}
    latents = pipeline(
        TEXT, negative_prompt=AVOID, height=SIDE, width=SIDE, num_inference_steps=5, **guidance,
        generator=torch.Generator().manual_seed(SEED), output_type="latent", ip_adapter_image=images,
    ).images  # fmt: skip
    if name == "flux":
        return pipeline._unpack_latents(latents, SIDE, SIDE, pipeline.vae_scale_factor)
    return latents


@pytest.mark.parametrize("cfg", [4.0, 1.0])
@pytest.mark.parametrize("name", able("ip_adapter"))
def test_an_adapter_does_what_diffusers_does_with_it_and_leaves_the_model_alone(
    name: str, cfg: float, tiny: TinyModels, shared_cache: ModelCache, folder: Path
) -> None:
    settings = DenoiseSettings(steps=5, cfg=cfg)
    before = sample(shared_cache, tiny[name], settings).tensor
    ref = tiny[name].with_patch(patch(folder, name))
    found = draw(shared_cache, ref, folder, [{"images": [PICTURE], "weight": 0.7}], settings=settings).tensor
    assert (found - plain(tiny, name, folder, [4], [0.7], PICTURE, cfg)).abs().max() == 0
    assert (found - before).abs().max() > 1e-2
    assert torch.equal(sample(shared_cache, tiny[name], settings).tensor, before)
    with shared_cache.use(tiny[name], "denoiser") as components:
        denoiser = components["unet" if name.startswith("sd1") or name in ("sd2", "sdxl") else "transformer"]
        assert getattr(denoiser, "encoder_hid_proj", None) is None
        assert getattr(denoiser.config, "encoder_hid_dim_type", None) is None
        assert not any(hasattr(processor, "to_k_ip") for processor in denoiser.attn_processors.values())


@pytest.mark.parametrize("name", ["sd15", "flux"])
def test_two_adapters_and_several_pictures(name: str, tiny: TinyModels, shared_cache: ModelCache, folder: Path) -> None:
    ref = tiny[name].with_patch(patch(folder, name, 4)).with_patch(patch(folder, name, 5))
    prompts = [{"images": [PICTURE, OTHER], "weight": 0.7}, {"images": [OTHER], "weight": 0.4}]
    expected = plain(tiny, name, folder, [4, 5], [0.7, 0.4], [[PICTURE, OTHER], [OTHER]])
    assert (draw(shared_cache, ref, folder, prompts).tensor - expected).abs().max() == 0


def test_a_weight_of_zero_and_a_span_that_is_over(tiny: TinyModels, shared_cache: ModelCache, folder: Path) -> None:
    ref = tiny["sd15"].with_patch(patch(folder, "sd15"))
    before = sample(shared_cache, tiny["sd15"], SETTINGS).tensor
    assert torch.equal(draw(shared_cache, ref, folder, [{"images": [PICTURE], "weight": 0.0}]).tensor, before)
    late = {"images": [PICTURE], "start": 0.6}
    first = draw(shared_cache, ref, folder, [late], settings=DenoiseSettings(steps=5, cfg=4.0, end=3)).tensor
    untouched = sample(shared_cache, tiny["sd15"], DenoiseSettings(steps=5, cfg=4.0, end=3)).tensor
    assert torch.equal(first, untouched)
    assert (draw(shared_cache, ref, folder, [late]).tensor - before).abs().max() > 1e-3


def test_two_pieces_are_the_whole_and_a_batch_is_its_pictures(
    tiny: TinyModels, shared_cache: ModelCache, folder: Path
) -> None:
    ref, prompts = tiny["sd15"].with_patch(patch(folder, "sd15")), [{"images": [PICTURE], "start": 0.2, "end": 0.8}]
    whole = draw(shared_cache, ref, folder, prompts, settings=DenoiseSettings(steps=8))
    first = draw(shared_cache, ref, folder, prompts, settings=DenoiseSettings(steps=8, end=3))
    second = draw(shared_cache, ref, folder, prompts, settings=DenoiseSettings(steps=8, start=3), latents=first)
    assert torch.equal(second.tensor, whole.tensor)
    both = draw(shared_cache, ref, folder, prompts, noise=noise(ref, (3, SEED))).tensor
    assert torch.allclose(both[1:], draw(shared_cache, ref, folder, prompts).tensor, atol=1e-3)


def test_a_lora_and_an_adapter_go_together(
    tiny: TinyModels, shared_cache: ModelCache, folder: Path, tmp_path: Path
) -> None:
    lora = LoraPatch.from_file(train_lora(tiny, "sd15", tmp_path), weight=0.8)
    prompts = [{"images": [PICTURE]}]
    one_way = tiny["sd15"].with_patch(lora).with_patch(patch(folder, "sd15"))
    other_way = tiny["sd15"].with_patch(patch(folder, "sd15")).with_patch(lora)
    found = draw(shared_cache, one_way, folder, prompts).tensor
    assert torch.equal(found, draw(shared_cache, other_way, folder, prompts).tensor)
    adapter_alone = draw(shared_cache, tiny["sd15"].with_patch(patch(folder, "sd15")), folder, prompts).tensor
    assert (found - adapter_alone).abs().max() > 1e-2


def test_adapters_that_do_not_fit_say_so(
    tiny: TinyModels, shared_cache: ModelCache, folder: Path, tmp_path: Path
) -> None:
    shown = [{"images": [PICTURE]}]
    with pytest.raises(ModelError, match="does not fit this UNet, and was trained for another model"):
        draw(shared_cache, tiny["sdxl"].with_patch(patch(folder, "sd15")), folder, shown)
    with pytest.raises(ModelError, match="IP-Adapters work with Stable Diffusion .* and with Flux, .*'chroma'"):
        draw(shared_cache, tiny["chroma"].with_patch(patch(folder, "sd15")), folder, shown)
    (tmp_path / "adapter.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="pickles are never loaded"):
        draw(
            shared_cache,
            tiny["sd15"].with_patch(IpAdapterPatch.from_file(str(tmp_path / "adapter.bin"))),
            folder,
            shown,
        )
    lora = IpAdapterPatch.from_file(train_lora(tiny, "sd15", tmp_path))
    with pytest.raises(ModelError, match="is no IP-Adapter"):
        draw(shared_cache, tiny["sd15"].with_patch(lora), folder, shown)
    wide = ModelRef.from_path(str(build_image_encoder(tmp_path / "wide", projection=48)))
    ref = tiny["sd15"].with_patch(patch(folder, "sd15"))
    with (
        pytest.raises(ModelError, match="takes image embeddings of width 32, and this image encoder gives 48"),
        shared_cache.use(wide, "image_encoder") as held,
    ):
        sample(shared_cache, ref, SETTINGS, image_prompts=[ImagePrompt(held["image_encoder"], [PICTURE])])


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_adapters_of_another_family_or_width_do_not_fit_a_transformer(
    name: str, tiny: TinyModels, shared_cache: ModelCache, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"does not fit this (SD3|Flux)Transformer, and was trained for another model"):
        draw(shared_cache, tiny[name].with_patch(patch(folder, "sd15")), folder, [{"images": [PICTURE]}])
    state = load_file(folder / f"{name}-4.safetensors")
    last = "image_proj.proj_out" if name == "sd3" else "image_proj.proj"
    for part in ("weight", "bias"):
        state[f"{last}.{part}"] = state[f"{last}.{part}"][:16]
    save_file(state, tmp_path / "narrow.safetensors")
    narrow = tiny[name].with_patch(IpAdapterPatch.from_file(str(tmp_path / "narrow.safetensors")))
    with pytest.raises(ModelError, match=r"image tokens are of width \d+, and this model takes 32"):
        draw(shared_cache, narrow, folder, [{"images": [PICTURE]}])


def test_stable_diffusion_3_takes_one_adapter_with_one_picture_and_each_family_its_own_encoder(
    tiny: TinyModels, shared_cache: ModelCache, folder: Path
) -> None:
    one, image = tiny["sd3"].with_patch(patch(folder, "sd3")), {"images": [PICTURE]}
    with pytest.raises(ModelError, match="takes one IP-Adapter, and is given 2"):
        draw(shared_cache, one.with_patch(patch(folder, "sd3", 5)), folder, [image, image])
    with pytest.raises(ModelError, match="is shown one image, and is given 2"):
        draw(shared_cache, one, folder, [{"images": [PICTURE, OTHER]}])
    with pytest.raises(ModelError, match="needs a SigLIP as image encoder, and is given a CLIPVisionModelWithProj"):
        draw(shared_cache, one, folder, [image], encoder="encoder")
    flux = tiny["flux"].with_patch(patch(folder, "flux"))
    with pytest.raises(ModelError, match="needs a CLIP as image encoder, and is given a SiglipVisionModel"):
        draw(shared_cache, flux, folder, [image], encoder="siglip")


def test_adapters_of_flux_are_read_in_the_naming_of_their_authors(
    tiny: TinyModels, shared_cache: ModelCache, folder: Path, tmp_path: Path
) -> None:
    renamed = {}
    for name, tensor in load_file(folder / "flux-4.safetensors").items():
        part, _, rest = name.partition(".")
        number, _, layer = rest.partition(".")
        side = f"ip_adapter_double_stream_{layer[3:4]}_proj.{layer.rpartition('.')[2]}"
        theirs = f"double_blocks.{number}.processor.{side}"
        renamed[f"ip_adapter_proj_model.{rest}" if part == "image_proj" else theirs] = tensor
    save_file(renamed, tmp_path / "xlabs.safetensors")
    other = tiny["flux"].with_patch(IpAdapterPatch.from_file(str(tmp_path / "xlabs.safetensors")))
    same = tiny["flux"].with_patch(patch(folder, "flux"))
    found = [draw(shared_cache, ref, folder, [{"images": [PICTURE]}]).tensor for ref in (other, same)]
    assert torch.equal(*found)
    assert (what_is(tmp_path / "xlabs.safetensors").kind, what_is(tmp_path / "xlabs.safetensors").family) == (
        "ip-adapter",
        "flux",
    )


def test_an_adapter_is_shown_pictures_by_a_whole_clip_or_siglip(
    tiny: TinyModels, shared_cache: ModelCache, folder: Path, tmp_path: Path
) -> None:
    for name, whole in (("flux", whole_clip(folder)), ("sd3", whole_siglip(folder))):
        whole.save_pretrained(tmp_path / name)
        ref = tiny[name].with_patch(patch(folder, name))
        half = draw(shared_cache, ref, folder, [{"images": [PICTURE]}]).tensor
        found = draw(shared_cache, ref, folder, [{"images": [PICTURE]}], encoder=str(tmp_path / name)).tensor
        assert torch.equal(found, half)


def whole_clip(folder: Path) -> CLIPModel:
    """A CLIP whose half that sees pictures is the image encoder of the adapters."""
    half = CLIPVisionModelWithProjection.from_pretrained(folder / "encoder", local_files_only=True)
    whole = CLIPModel(CLIPConfig(text_config=SMALL_TEXT, vision_config=half.config.to_dict(), projection_dim=32))
    whole.vision_model, whole.visual_projection = half.vision_model, half.visual_projection
    return whole


def whole_siglip(folder: Path) -> SiglipModel:
    """A SigLIP whose half that sees pictures is the image encoder of the adapters."""
    half = SiglipVisionModel.from_pretrained(folder / "siglip", local_files_only=True)
    whole = SiglipModel(SiglipConfig(text_config=SMALL_TEXT, vision_config=half.config.to_dict()))
    whole.vision_model = half
    return whole


def test_an_adapter_that_is_shown_nothing_and_a_span_the_wrong_way_round(
    tiny: TinyModels, shared_cache: ModelCache, folder: Path
) -> None:
    ref = tiny["sd15"].with_patch(patch(folder, "sd15"))
    text = encode(shared_cache, ref, TEXT)
    with (
        shared_cache.use(ref, "denoiser") as components,
        pytest.raises(ModelError, match="0 image prompts for the 1 IP-Adapters"),
    ):
        denoise(components, text, text, noise(ref), settings=SETTINGS)
    with pytest.raises(ModelError, match="cannot work from 0.8 to 0.2"):
        draw(shared_cache, ref, folder, [{"images": [PICTURE], "start": 0.8, "end": 0.2}])


CHANGED = {
    "a layer less": ({"ip_adapter.1.to_v_ip.weight": None}, "differs in 1, such as 1.to_v_ip.weight"),
    "layers of a larger model": ({"ip_adapter.99.to_k_ip.weight": torch.ones(4, 4)}, "such as 99.to_k_ip.weight"),
    "a projection less": ({"image_proj.norm.bias": None}, "does not fit this UNet.*norm.bias"),
    "a projection more": ({"image_proj.more.weight": torch.ones(1)}, "does not fit this UNet.*more.weight"),
    "tensors of another kind": ({"unet.conv_in.weight": torch.ones(1)}, "holds 1 tensors beside its layers"),
    "scales": ({"ip_adapter.1.to_k_ip.scale_weight": torch.ones(1)}, "are scaled fp8"),
    "integers": ({"image_proj.proj.bias": torch.ones(128, dtype=torch.int8)}, "are quantised"),
    "no numbers": ({"ip_adapter.1.to_k_ip.weight": torch.full((64, 32), torch.nan)}, "1 of its tensors, .*not finite"),
    "a LoRA for faces": ({"ip_adapter.0.to_q_lora.down.weight": torch.ones(1)}, "is a FaceID adapter"),
    "embeddings of faces": ({"image_proj.proj.2.weight": torch.ones(1)}, "is a FaceID adapter"),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_adapters_that_are_not_wholly_used_are_refused(
    kind: str, tiny: TinyModels, shared_cache: ModelCache, folder: Path, tmp_path: Path
) -> None:
    changes, message = CHANGED[kind]
    state = load_file(folder / "sd15-4.safetensors") | changes
    file = tmp_path / "adapter.safetensors"
    save_file({name: value for name, value in state.items() if value is not None}, file)
    ref = tiny["sd15"].with_patch(IpAdapterPatch.from_file(str(file)))
    with pytest.raises(ModelError, match=message) as refused, shared_cache.use(ref, "unet"):
        pass
    assert repr(str(file)) in str(refused.value)
