"""What a file is, by its header: real names and shapes of full-size files, whose weights take no room here."""

import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nbgraph.diffusion.what_is import need_weights, what_is
from nbgraph.errors import ModelError
from tests.tiny_models.headers import full_size, named, only, without, write_header

MDM = "model.diffusion_model."


def kind_of(file: Path) -> tuple[str, str, str]:
    facts = what_is(file)
    assert not facts.problem
    return facts.kind, facts.family, facts.variant


@pytest.mark.parametrize(
    ("name", "family", "variant", "parts"),
    [
        ("sd1", "stable-diffusion", "1", ("denoiser", "vae", "clip")),
        ("sdxl", "stable-diffusion-xl", "base", ("denoiser", "vae", "clip_l", "clip_g")),
        ("sd3-medium", "stable-diffusion-3", "3-medium", ("denoiser", "vae", "clip_l", "clip_g", "t5")),
        ("flux-dev", "flux", "dev", ("denoiser", "vae", "clip_l", "t5")),
    ],
)
def test_a_full_size_checkpoint_is_recognised_with_the_parts_it_holds(tmp_path, name, family, variant, parts):
    facts = what_is(write_header(tmp_path / "model.safetensors", full_size(name)))
    assert (facts.kind, facts.family, facts.variant, facts.parts) == ("checkpoint", family, variant, parts)
    assert facts.precision == "float16"


FLUX = only(full_size("flux-dev"), MDM)
SD3 = only(full_size("sd3-medium"), MDM)
SD1_UNET = only(full_size("sd1"), MDM)
REFINER = {
    f"{MDM}input_blocks.0.0.weight": (384, 4, 3, 3),
    f"{MDM}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (768, 1280),
    "conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias": (1280,),
}
SD2 = {
    f"{MDM}input_blocks.0.0.weight": (320, 4, 3, 3),
    f"{MDM}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
    "cond_stage_model.model.token_embedding.weight": (49408, 1024),
}


def _with(tensors: dict[str, Any], **shapes: Any) -> dict[str, Any]:
    return {**tensors, **{name.replace("__", "."): shape for name, shape in shapes.items()}}


DENOISERS = {
    "flux transformer alone": (FLUX, ("denoiser", "flux", "dev")),
    "flux schnell": (without(FLUX, "guidance_in."), ("denoiser", "flux", "schnell")),
    "flux fill": (_with(FLUX, img_in__weight=(3072, 384)), ("denoiser", "flux", "fill")),
    "flux depth": (_with(FLUX, img_in__weight=(3072, 128)), ("denoiser", "flux", "control")),
    "sd3.5 medium": (_with(SD3, pos_embed=(1, 147456, 1536)), ("denoiser", "stable-diffusion-3", "3.5-medium")),
    "sd3.5 large": (
        _with(SD3, joint_blocks__37__x_block__mlp__fc1__weight=(9728, 2432)),
        ("denoiser", "stable-diffusion-3", "3.5-large"),
    ),
    "sd1 unet alone": (SD1_UNET, ("denoiser", "stable-diffusion", "1")),
    "sd1 inpainting": (
        {**full_size("sd1"), f"{MDM}input_blocks.0.0.weight": (320, 9, 3, 3)},
        ("checkpoint", "stable-diffusion", "1 inpainting"),
    ),
    "sd1 pix2pix": (
        {**full_size("sd1"), f"{MDM}input_blocks.0.0.weight": (320, 8, 3, 3)},
        ("checkpoint", "stable-diffusion", "1 instruct-pix2pix"),
    ),
    "sdxl inpainting": (
        {**full_size("sdxl"), f"{MDM}input_blocks.0.0.weight": (320, 9, 3, 3)},
        ("checkpoint", "stable-diffusion-xl", "inpainting"),
    ),
    "sdxl refiner": (REFINER, ("checkpoint", "stable-diffusion-xl", "refiner")),
    "sd2": (SD2, ("checkpoint", "stable-diffusion", "2")),
    "sd2 depth": (
        {**SD2, f"{MDM}input_blocks.0.0.weight": (320, 5, 3, 3)}, ("checkpoint", "stable-diffusion", "2 depth"),
    ),
    "playground": ({**full_size("sdxl"), "edm_mean": (4,)}, ("checkpoint", "stable-diffusion-xl", "playground-2.5")),
    "chroma": (_with(FLUX, distilled_guidance_layer__in_proj__bias=(5120,)), ("denoiser", "chroma", "")),
    "flux2": (_with(FLUX, single_stream_modulation__lin__weight=(1, 1)), ("denoiser", "flux2", "")),
    "z-image": (named([f"{MDM}layers.0.adaLN_modulation.0.weight"]), ("denoiser", "z-image", "")),
    "lumina 2": (named(["cap_embedder.0.weight"]), ("denoiser", "lumina2", "")),
    "qwen-image": (
        named(["transformer_blocks.0.attn.add_q_proj.weight", "txt_norm.weight", "img_in.weight"]),
        ("denoiser", "qwenimage", ""),
    ),
    "flux3": (named(["early_stream_modulations.image.lin.weight"]), ("denoiser", "flux3", "")),
    "krea 2": (named(["txtfusion.projector.weight"]), ("denoiser", "krea2", "")),
    "wan": (named(["head.modulation"]), ("denoiser", "wan", "video")),
    "ltx": (named(["patchify_proj.weight"]), ("denoiser", "ltx", "video")),
    "hunyuan": (
        named(["txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias"]),
        ("denoiser", "hunyuan-video", "video"),
    ),
    "auraflow": (named(["double_layers.0.attn.w1q.weight"]), ("denoiser", "auraflow", "")),
    "sana": (named(["blocks.0.cross_attn.q_linear.weight"]), ("denoiser", "sana", "")),
}  # fmt: skip


@pytest.mark.parametrize("name", DENOISERS)
def test_denoisers_are_told_apart_by_names_and_shapes(tmp_path, name):
    tensors, expected = DENOISERS[name]
    assert kind_of(write_header(tmp_path / "model.safetensors", tensors)) == expected


KOHYA = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
OTHERS = {
    "vae of sdxl": (only(full_size("sdxl"), "first_stage_model."), ("vae", "", "4 latent channels")),
    "vae of flux": (only(full_size("flux-dev"), "vae."), ("vae", "", "16 latent channels")),
    "clip-l": (only(full_size("flux-dev"), "text_encoders.clip_l.transformer."), ("text encoder", "", "CLIP-L")),
    "clip-g": (only(full_size("sd3-medium"), "text_encoders.clip_g.transformer."), ("text encoder", "", "CLIP-G")),
    "t5": (only(full_size("flux-dev"), "text_encoders.t5xxl.transformer."), ("text encoder", "", "T5-xxl")),
    "controlnet": (
        {"control_model.input_hint_block.0.weight": (16, 3, 3, 3), "control_model.time_embed.0.weight": (1280, 320),
         "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)},
        ("controlnet", "stable-diffusion", "1"),
    ),
    "controlnet of sdxl": (
        named(["controlnet_cond_embedding.conv_in.weight", "add_embedding.linear_1.weight"]),
        ("controlnet", "stable-diffusion-xl", ""),
    ),
    "lora of sd1": (
        {f"{KOHYA}.lora_down.weight": (4, 768), f"{KOHYA}.lora_up.weight": (320, 4), f"{KOHYA}.alpha": ()},
        ("lora", "stable-diffusion", "1"),
    ),
    "lora of sd2": ({f"{KOHYA}.lora_down.weight": (4, 1024)}, ("lora", "stable-diffusion", "2")),
    "lora of sdxl": ({f"{KOHYA}.lora_down.weight": (4, 2048)}, ("lora", "stable-diffusion-xl", "base")),
    "lora of sdxl's encoders": (
        named(["lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"]),
        ("lora", "stable-diffusion-xl", "base"),
    ),
    "lora of diffusers": (
        {"unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (4, 768)},
        ("lora", "stable-diffusion", "1"),
    ),
    "lora of flux": (named(["lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight"]), ("lora", "flux", "")),
    "lora of flux by ai-toolkit": (
        named(["transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight"]), ("lora", "flux", ""),
    ),
    "lora of qwen": (
        named(["diffusion_model.transformer_blocks.0.img_mlp.net.2.lora_A.weight"]), ("lora", "qwenimage", ""),
    ),
    "lora of z-image": (
        named(["diffusion_model.layers.0.attention.to_q.lora_A.weight"]), ("lora", "z-image", ""),
    ),
    "dora": (
        {f"{KOHYA}.lora_down.weight": (4, 768), f"{KOHYA}.dora_scale": (320, 1)},
        ("lora", "stable-diffusion", "1 dora"),
    ),
    "loha": ({f"{KOHYA}.hada_w1_b": (4, 2048)}, ("lora", "stable-diffusion-xl", "base loha")),
    "lokr": (named([f"{KOHYA}.lokr_w1", f"{KOHYA}.lokr_w2_a"]), ("lora", "", "lokr")),
    "embedding of A1111": ({"emb_params": (4, 768)}, ("embedding", "stable-diffusion", "1")),
    "embedding of diffusers": ({"<cat>": (1, 1024)}, ("embedding", "stable-diffusion", "2")),
    "embedding of sdxl": (
        {"clip_l": (2, 768), "clip_g": (2, 1280)}, ("embedding", "stable-diffusion-xl", "clip_g, clip_l"),
    ),
    "ip-adapter": (
        {"image_proj.proj.weight": (3072, 1024), "ip_adapter.1.to_k_ip.weight": (320, 768)},
        ("ip-adapter", "stable-diffusion", "1"),
    ),
    "upscaler": (named(["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"]), ("upscaler", "", "ESRGAN")),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_single_parts_and_adapters_are_recognised(tmp_path, name):
    tensors, expected = OTHERS[name]
    assert kind_of(write_header(tmp_path / "model.safetensors", tensors)) == expected


def _pickle(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")


WRONG = {
    "pickle": (_pickle, "a.ckpt", "never loaded"),
    "old pickle": (lambda file: file.write_bytes(b"\x80\x02}q\x00."), "a.pt", "never loaded"),
    "Git LFS pointer": (lambda file: file.write_bytes(b"version https://git-lfs\n"), "a.safetensors", "git lfs"),
    "web page": (lambda file: file.write_bytes(b"\n<!DOCTYPE html><html>"), "a.safetensors", "web page"),
    "empty file": (lambda file: file.write_bytes(b""), "a.safetensors", "download it again"),
    "damaged": (lambda file: file.write_bytes(struct.pack("<Q", 9) + b"{nothing}" + b"."), "a.safetensors", "damaged"),
    "unknown file": (lambda file: file.write_bytes(b"hello, this is text"), "a.safetensors", "neither"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_weight_file_is_named_with_a_remedy(tmp_path, name):
    make, file_name, remedy = WRONG[name]
    make(tmp_path / file_name)
    facts = what_is(tmp_path / file_name)
    assert facts.kind in (name, "pickle")
    assert remedy in facts.problem
    with pytest.raises(ModelError, match=file_name):
        need_weights(tmp_path / file_name)


def test_an_interrupted_download_is_seen_from_its_length(tmp_path):
    file = write_header(tmp_path / "model.safetensors", {"a": (100, 100)})
    whole = file.stat().st_size
    for length in (whole - 1, 60, 20):
        with file.open("r+b") as stream:
            stream.truncate(length)
        facts = what_is(file)
        assert facts.kind == "interrupted download"
        assert f"{length:,} of" in facts.problem


def test_tensors_of_no_known_model_are_not_called_a_model(tmp_path):
    facts = what_is(write_header(tmp_path / "model.safetensors", {"a.b": (2,), "c": (3, 3)}))
    assert facts.kind == "unknown file"
    assert "a.b" in facts.problem


@pytest.mark.parametrize(
    ("dtypes", "extra", "precision"),
    [
        ({}, {}, "bfloat16"),
        (dict.fromkeys(FLUX, "F8_E4M3"), {}, "float8"),
        (dict.fromkeys(FLUX, "F8_E4M3"), {"scaled_fp8": ()}, "scaled float8"),
        (dict.fromkeys(FLUX, "U8"), {"x.weight.quant_state.bitsandbytes__nf4": (8,)}, "nf4"),
    ],
)
def test_the_precision_is_that_of_most_bytes(tmp_path, dtypes, extra, precision):
    file = write_header(tmp_path / "model.safetensors", {**FLUX, **extra}, "BF16", dtypes=dtypes)
    assert what_is(file).precision == precision


def test_what_the_metadata_says_is_told_in_one_line(tmp_path):
    tags = json.dumps({"10_cat": {"cat": 20, "sofa": 3}})
    metadata = {"modelspec.title": "Cats\nof all kinds", "ss_tag_frequency": tags}
    facts = what_is(
        write_header(tmp_path / "a.safetensors", {f"{KOHYA}.lora_down.weight": (4, 768)}, metadata=metadata)
    )
    assert facts.notes == {"title": "Cats of all kinds", "trained on": "cat, sofa"}
    assert "\n" not in str(facts)


def test_a_checkpoint_that_predicts_velocity_says_so(tmp_path):
    plain = write_header(tmp_path / "plain.safetensors", full_size("sdxl"))
    velocity = write_header(tmp_path / "v.safetensors", {**full_size("sdxl"), "v_pred": (), "ztsnr": ()})
    assert "prediction" not in what_is(plain).notes
    assert what_is(velocity).notes["prediction"] == "v"


def test_a_file_that_was_written_again_is_looked_at_again(tmp_path):
    file = write_header(tmp_path / "model.safetensors", {"emb_params": (4, 768)})
    assert what_is(file).kind == "embedding"
    write_header(file, REFINER)
    assert what_is(file).variant == "refiner"


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        what_is(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="a folder"):
        what_is(tmp_path)


def test_looking_at_a_file_loads_no_torch(tmp_path):
    file = write_header(tmp_path / "model.safetensors", full_size("sdxl"))
    code = (
        f"import sys; from nbgraph.diffusion.what_is import what_is; assert what_is({str(file)!r}).variant == 'base'; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
