"""Full-size checkpoints by name and shape, on the meta device: no tensor missing, none too many.

SD2, SD3.5, FLUX.1 schnell and FLUX.2 follow from lists of full-size files by what their papers and configurations say.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from diffusers import Flux2Transformer2DModel

from nbgraph.diffusion.description import check_weights, describe_model
from nbgraph.diffusion.known_models import known_model
from nbgraph.diffusion.refs import ModelRef
from nbgraph.diffusion.single_files import check_file
from nbgraph.diffusion.sources import Source
from nbgraph.diffusion.weights_fit import weightless
from nbgraph.diffusion.what_is import what_is
from tests.tiny_models.headers import full_size, only, write_header
from tests.tiny_models.single_files import original_openclip, original_unet

Shapes = Mapping[str, Sequence[int]]
UNET, DENOISER = "model.diffusion_model.", "model.diffusion_model."
HEAD = 64
"""Features of each head of the transformers of Stable Diffusion 3."""


def schnell() -> Shapes:
    return {name: shape for name, shape in full_size("flux-dev").items() if ".guidance_in." not in name}


def sd35(width: int, blocks: int, positions: int, dual: int) -> dict[str, Sequence[int]]:
    """The list of SD3 medium with another width and number of blocks, norms of queries and keys, dual attention."""
    medium, plain = full_size("sd3-medium"), 1536
    sizes = {plain * factor: width * factor for factor in (1, 2, 3, 4, 6)}
    found: dict[str, Sequence[int]] = {}
    for name, shape in medium.items():
        if not name.startswith(DENOISER):
            found[name] = shape
            continue
        inner = name.removeprefix(DENOISER)
        changed = [sizes.get(side, side) for side in shape]
        if inner == "context_embedder.weight":
            changed = [width, 4096]
        if inner == "y_embedder.mlp.0.weight":
            changed = [width, 2048]
        if inner == "pos_embed":
            changed = [1, positions, width]
        block = re.match(r"joint_blocks\.(\d+)\.(.+)", inner)
        if block is None:
            found[name] = changed
            continue
        numbers = range(blocks - 1) if block[1] == "0" else [blocks - 1] if block[1] == "23" else []
        for number in numbers:
            found[f"{DENOISER}joint_blocks.{number}.{block[2]}"] = changed
    for number in range(blocks):
        for side in ("x_block", "context_block"):
            for norm in ("ln_q", "ln_k"):
                found[f"{DENOISER}joint_blocks.{number}.{side}.attn.{norm}.weight"] = [HEAD]
        if number < dual:
            start = f"{DENOISER}joint_blocks.{number}.x_block"
            found |= {f"{start}.attn2.{norm}.weight": [HEAD] for norm in ("ln_q", "ln_k")}
            found |= {f"{start}.attn2.qkv.weight": [3 * width, width], f"{start}.attn2.qkv.bias": [3 * width]}
            found |= {f"{start}.attn2.proj.weight": [width, width], f"{start}.attn2.proj.bias": [width]}
            found |= {f"{start}.adaLN_modulation.1.weight": [9 * width, width]}
            found |= {f"{start}.adaLN_modulation.1.bias": [9 * width]}
    return found


def sd2(tmp_path: Path) -> dict[str, Sequence[int]]:
    """The list of SD1 with the UNet and the OpenCLIP of SD2, by the inverse of the converters."""
    described = describe_model(
        ModelRef(path=str(write_header(tmp_path / "1.safetensors", full_size("sd1"))), fingerprint="1")
    )
    known = known_model("sd2").configs
    unet = weightless(described.classes["unet"], tmp_path, known["unet"])
    with torch.device("meta"):
        text = described.classes["text_encoder"]
        encoder = text(text.config_class(**known["text_encoder"]))  # type: ignore[attr-defined]
    words = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in encoder.state_dict().items()}
    parts = {
        UNET: original_unet(unet, dict(unet.state_dict())),
        "cond_stage_model.model.": original_openclip(words),
    }
    kept = {name: shape for name, shape in full_size("sd1").items() if name.startswith("first_stage_model.")}
    return kept | {start + name: tuple(value.shape) for start, part in parts.items() for name, value in part.items()}


def flux2() -> dict[str, Sequence[int]]:
    """FLUX.2 dev: 8 double and 48 single blocks of 48 heads of 128, without biases."""
    width, head, wide = 48 * 128, 128, 3 * 48 * 128
    found: dict[str, Sequence[int]] = {
        "img_in.weight": [width, 128], "txt_in.weight": [width, 15360], "final_layer.linear.weight": [128, width],
        "final_layer.adaLN_modulation.1.weight": [2 * width, width],
        "double_stream_modulation_img.lin.weight": [6 * width, width],
        "double_stream_modulation_txt.lin.weight": [6 * width, width],
        "single_stream_modulation.lin.weight": [3 * width, width],
    }  # fmt: skip
    for name in ("time_in", "guidance_in"):
        found |= {f"{name}.in_layer.weight": [width, 256], f"{name}.out_layer.weight": [width, width]}
    for block in range(8):
        for side in ("img", "txt"):
            start = f"double_blocks.{block}.{side}"
            found |= {f"{start}_attn.qkv.weight": [3 * width, width], f"{start}_attn.proj.weight": [width, width]}
            found |= {f"{start}_attn.norm.{norm}_norm.scale": [head] for norm in ("query", "key")}
            found |= {f"{start}_mlp.0.weight": [2 * wide, width], f"{start}_mlp.2.weight": [width, wide]}
    for block in range(48):
        start = f"single_blocks.{block}"
        found |= {
            f"{start}.linear1.weight": [3 * width + 2 * wide, width],
            f"{start}.linear2.weight": [width, width + wide],
        }
        found |= {f"{start}.norm.{norm}_norm.scale": [head] for norm in ("query", "key")}
    return found


WHOLE = {
    "sd35-large": (lambda: sd35(2432, 38, 36864, 0), "3.5-large"),
    "sd35-medium": (lambda: sd35(1536, 24, 147456, 13), "3.5-medium"),
    "flux-schnell": (schnell, "schnell"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_full_size_checkpoint_has_exactly_the_tensors_of_its_kind(tmp_path, name):
    make, variant = WHOLE[name]
    file = write_header(tmp_path / "model.safetensors", make())
    assert what_is(file).variant == variant
    model = ModelRef(path=str(file), fingerprint=f"full {name}")
    check_weights(model)
    assert all(not source.is_empty for part, source in describe_model(model).sources.items() if "encoder" in part)


def test_a_full_size_sd2_has_the_names_of_sd1_and_the_sizes_of_its_kind(tmp_path):
    tensors = sd2(tmp_path)
    assert only(tensors, UNET).keys() == only(full_size("sd1"), UNET).keys()
    file = write_header(tmp_path / "model.safetensors", tensors)
    assert (what_is(file).family, what_is(file).variant) == ("stable-diffusion", "2")
    check_weights(ModelRef(path=str(file), fingerprint="full sd2"))


def test_a_full_size_flux2_transformer_is_converted_whole(tmp_path):
    file = write_header(tmp_path / "model.safetensors", flux2())
    assert (what_is(file).kind, what_is(file).family) == ("denoiser", "flux2")
    with torch.device("meta"):
        config = dict(Flux2Transformer2DModel().config)
    check_file(Flux2Transformer2DModel, Source(str(file), "flux2", file=file, part="denoiser", given=config))
