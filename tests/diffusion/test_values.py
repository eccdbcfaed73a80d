"""Latents and conditioning survive being put into a safetensors file; refs survive JSON."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import FreeuPatch, ModelRef
from nbgraph.diffusion.values import Conditioning, Latents
from nbgraph.errors import ModelError
from tests.diffusion.drawing import encode, sample
from tests.diffusion.models import TinyModels


def through_a_file(value: Latents | Conditioning, file: Path) -> Latents | Conditioning:
    tensors, metadata = value.to_tensors()
    save_file(tensors, file)
    return type(value).from_tensors(load_file(file), json.loads(json.dumps(metadata)))


@pytest.mark.parametrize("scheduler", ["ddim", "dpmpp_2m", "pndm"])
def test_latents_that_stopped_part_way_survive_a_file(
    scheduler: str, tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    settings = DenoiseSettings(steps=6, scheduler=scheduler, end=3)
    stopped = sample(shared_cache, tiny["sd15"], settings)
    back = through_a_file(stopped, tmp_path / "latents.safetensors")
    rest = DenoiseSettings(steps=6, scheduler=scheduler, start=3)
    first, second = (sample(shared_cache, tiny["sd15"], rest, latents=value) for value in (stopped, back))
    assert (back.seeds, back.window, back.width, back.height) == (stopped.seeds, stopped.window, 64, 64)
    assert torch.equal(first.tensor, second.tensor)


def test_conditioning_survives_a_file(tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path) -> None:
    value = encode(shared_cache, tiny["sdxl"], "a red cat")
    back = through_a_file(value, tmp_path / "conditioning.safetensors")
    assert {name: tensor.tolist() for name, tensor in value.tensors.items()} == {
        name: tensor.tolist() for name, tensor in back.tensors.items()
    }
    assert (back.text, back.tokens, back.token_limit) == ("a red cat", value.tokens, 77)


def test_latents_are_no_conditioning(tiny: TinyModels, shared_cache: ModelCache) -> None:
    tensors, metadata = encode(shared_cache, tiny["sd15"], "a").to_tensors()
    with pytest.raises(ModelError, match="these tensors are 'conditioning' and not 'latents'"):
        Latents.from_tensors(tensors, metadata)


def test_a_ref_survives_json_and_is_a_key(tiny: TinyModels) -> None:
    ref = tiny["sd15"].with_patch(FreeuPatch())
    assert ModelRef.model_validate_json(ref.model_dump_json()) == ref
    assert {ref: 1}[ref.model_copy()] == 1
    assert ref.without_patches() == tiny["sd15"]


def test_a_fingerprint_is_of_the_content_and_not_of_the_place(tiny: TinyModels, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny["sd15"].path, tmp_path / "copy"))
    assert ModelRef.from_path(str(folder)).fingerprint == tiny["sd15"].fingerprint
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert ModelRef.from_path(str(folder)).fingerprint != tiny["sd15"].fingerprint


def test_a_long_text_says_what_is_cut(tiny: TinyModels, shared_cache: ModelCache) -> None:
    value = encode(shared_cache, tiny["sd15"], "x " * 80 + "lastword")
    assert value.tokens > value.token_limit == 77
    assert value.cut.endswith("lastword")
    assert "not used" in value.warnings[0]
    assert encode(shared_cache, tiny["sd15"], "a red cat").warnings == ()
