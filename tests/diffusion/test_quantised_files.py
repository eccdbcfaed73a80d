"""Quantised files become plain numbers when they are read, or are refused with what they need."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from diffusers import ZImageTransformer2DModel
from gguf.quants import dequantize, quantize
from safetensors.torch import save_file

from nbgraph.diffusion import file_tensors
from nbgraph.diffusion.description import check_weights
from nbgraph.diffusion.file_headers import FileHeader, read_file_header
from nbgraph.diffusion.file_tensors import read_tensors
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelPart, ModelRef
from nbgraph.diffusion.what_is import what_is
from nbgraph.errors import ModelError
from tests.tiny_models.headers import full_size, only, write_header


@pytest.fixture(scope="module")
def weights(tiny) -> dict[str, torch.Tensor]:
    transformer = ZImageTransformer2DModel.from_pretrained(
        tiny["z-image"].path, subfolder="transformer", local_files_only=True
    )
    return {name: tensor.contiguous() for name, tensor in transformer.state_dict().items()}


def loaded(tiny: Any, file: Path) -> dict[str, torch.Tensor]:
    ref = ModelRef.from_path(str(file), parts=(ModelPart.from_path("rest", tiny["z-image"].path),))
    check_weights(ref)
    with ModelCache(device="cpu").use(ref, "denoiser") as components:
        return dict(components["transformer"].state_dict())


def write_gguf(file: Path, state: dict[str, torch.Tensor], kind: gguf.GGMLQuantizationType) -> dict[str, np.ndarray]:
    """Write a file whose matrices are quantised; the values that it holds then."""
    writer, held = gguf.GGUFWriter(file, "lumina2"), {}
    for name, tensor in state.items():
        values = tensor.float().numpy()
        is_packed = values.ndim == 2 and values.shape[-1] % 32 == 0
        used = kind if is_packed else gguf.GGMLQuantizationType.F32
        packed = quantize(values, used)
        writer.add_tensor(name, packed, raw_dtype=used)
        held[name] = dequantize(packed, used)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_1", "BF16"])
def test_a_gguf_file_has_the_values_that_it_holds(tiny, weights, tmp_path, kind):
    held = write_gguf(tmp_path / "z.gguf", weights, gguf.GGMLQuantizationType[kind])
    assert what_is(tmp_path / "z.gguf").family == "z-image"
    assert what_is(tmp_path / "z.gguf").precision == f"GGUF {kind}"
    found = loaded(tiny, tmp_path / "z.gguf")
    assert all(np.array_equal(found[name].numpy(), held[name].reshape(found[name].shape)) for name in weights)


@pytest.mark.parametrize("scale_name", ["scale_weight", "weight_scale"])
@pytest.mark.parametrize("rows", [False, True])
def test_scaled_fp8_is_multiplied_by_its_scales(tiny, weights, tmp_path, scale_name, rows):
    state, expected = {"scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}, {}
    for name, tensor in weights.items():
        state[name], expected[name] = tensor, tensor
        if tensor.ndim == 2 and name.endswith(".weight"):
            scale = (tensor.abs().amax(1) if rows else tensor.abs().amax()) / 448 + 1e-6
            small = (tensor / (scale[:, None] if rows else scale)).to(torch.float8_e4m3fn)
            state[name], state[name.replace("weight", "") + scale_name] = small, scale
            state[name.replace("weight", "input_scale")] = torch.ones(())
            expected[name] = small.float() * (scale[:, None] if rows else scale)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "z.safetensors")
    found = loaded(tiny, tmp_path / "z.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in weights)


def test_plain_fp8_is_the_values_that_are_stored(tiny, weights, tmp_path):
    small = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in weights.items()}
    save_file(small, tmp_path / "z.safetensors")
    found = loaded(tiny, tmp_path / "z.safetensors")
    assert all(torch.equal(found[name], small[name].float()) for name in weights)


FLUX = only(full_size("flux-dev"), "model.diffusion_model.")
FIRST = "double_blocks.0.img_attn.qkv.weight"


@pytest.mark.parametrize(
    ("extra", "dtypes", "words"),
    [
        ({f"{FIRST}.quant_state.bitsandbytes__nf4": (8,)}, {FIRST: "U8"}, "package bitsandbytes and a CUDA device"),
        ({f"{FIRST}_scale_2": ()}, {FIRST: "U8"}, "nvidia-modelopt"),
        ({f"{FIRST}_scale_inv": (4, 4)}, {}, "torchao"),
        ({}, {FIRST: "I8"}, f"{FIRST} is I8"),
    ],
)
def test_files_quantised_in_other_ways_are_refused_with_what_they_need(tmp_path, extra, dtypes, words):
    file = write_header(tmp_path / "flux.safetensors", {**FLUX, **extra}, dtypes=dtypes)
    with pytest.raises(ModelError, match=f"{words}.*use a GGUF version"):
        check_weights(ModelRef(path=str(file), fingerprint=words), "denoiser")


def test_a_gguf_file_without_its_package_names_it(tmp_path, weights, monkeypatch):
    write_gguf(tmp_path / "z.gguf", weights, gguf.GGMLQuantizationType.Q8_0)
    header = read_file_header(tmp_path / "z.gguf")
    assert isinstance(header, FileHeader)
    monkeypatch.setattr(file_tensors.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match="pip install gguf"):
        read_tensors(tmp_path / "z.gguf", header, [], torch.float32)


def test_an_interrupted_gguf_file_is_seen(tmp_path, weights):
    file = tmp_path / "z.gguf"
    write_gguf(file, weights, gguf.GGMLQuantizationType.Q8_0)
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size - 64)
    assert what_is(file).kind == "interrupted download"
