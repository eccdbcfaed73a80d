"""A LoRA over the denoiser of every family that takes one does what diffusers does with it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from nbgraph.diffusion.denoising import DenoiseSettings
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import LoraPatch
from tests.diffusion.conftest import TinyModels
from tests.diffusion.drawing import decode, pixels, sample
from tests.diffusion.table import able
from tests.diffusion.test_split_equals_plain import CFG, STEPS, plain

WEIGHT = 8.0
ELSEWHERE = ("sd15", "sd2", "sdxl", "sd3")
"""Those whose text encoders take a LoRA too are in `test_patches`."""


@pytest.mark.parametrize("name", [name for name in able("lora") if name not in ELSEWHERE])
def test_a_lora_over_the_denoiser_does_what_diffusers_does_with_it(
    name: str, tiny: TinyModels, shared_cache: ModelCache, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    pipeline = tiny.pipeline(name)
    pipeline.transformer.add_adapter(
        LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v"])
    )
    layers = get_peft_model_state_dict(pipeline.transformer)
    type(pipeline).save_lora_weights(str(tmp_path), transformer_lora_layers=layers, weight_name="lora.safetensors")
    pipeline = tiny.pipeline(name)
    pipeline.load_lora_weights(str(tmp_path / "lora.safetensors"), adapter_name="lora")
    pipeline.set_adapters(["lora"], [WEIGHT])
    packed = describe_model(tiny[name]).need_family().packed
    expected = plain(pipeline, name, "pil" if packed else "latent")
    ref = tiny[name].with_patch(LoraPatch.from_file(str(tmp_path / "lora.safetensors"), WEIGHT))
    settings = DenoiseSettings(steps=STEPS, cfg=CFG)
    before, found = (sample(shared_cache, model, settings) for model in (tiny[name], ref))
    assert (found.tensor - before.tensor).abs().max() > (1e-2 if packed else 1e-4)
    if packed:
        assert np.abs(pixels(decode(shared_cache, ref, found)[0]) - pixels(expected[0])).max() == 0
    else:
        assert (found.tensor - torch.as_tensor(expected)).abs().max() < 1e-5
