"""LoRAs of random layers for the tiny models, in the files that their pipelines write."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection


def build_lora(file: Path, model: Path, seed: int = 0, alpha: int = 8) -> Path:
    """A LoRA for the denoiser, and for the first text encoder if that is a CLIP, with alphas that are not the rank."""
    torch.manual_seed(seed)
    pipeline: Any = DiffusionPipeline.from_pretrained(model, local_files_only=True)
    denoiser = "unet" if hasattr(pipeline, "unet") else "transformer"
    layers = {denoiser: _layers(getattr(pipeline, denoiser), ["to_q", "to_k", "to_v"], alpha)}
    if isinstance(pipeline.text_encoder, (CLIPTextModel, CLIPTextModelWithProjection)):
        layers["text_encoder"] = _layers(pipeline.text_encoder, ["q_proj", "v_proj"], alpha)
    given = {f"{part}_lora_layers": state for part, state in layers.items()}
    type(pipeline).save_lora_weights(str(file.parent), weight_name=file.name, **given)
    return file


def _layers(module: Any, targets: list[str], alpha: int) -> dict[str, torch.Tensor]:
    module.add_adapter(LoraConfig(r=4, lora_alpha=alpha, init_lora_weights=False, target_modules=targets))
    return get_peft_model_state_dict(module)


def build_control_lora(file: Path, model: Path, seed: int = 6) -> Path:
    """A control LoRA for a tiny Flux: it widens the first layer, has biases beside its factors, and replaces norms."""
    config = json.loads((model / "transformer" / "config.json").read_text())
    generator = torch.Generator().manual_seed(seed)
    inner = config["num_attention_heads"] * config["attention_head_dim"]
    shapes = {
        "x_embedder": (inner, 2 * config["in_channels"]),
        "transformer_blocks.0.attn.to_q": (inner, inner),
        "single_transformer_blocks.0.attn.to_v": (inner, inner),
    }
    state: dict[str, torch.Tensor] = {}
    for name, (out, into) in shapes.items():
        state[f"transformer.{name}.lora_A.weight"] = torch.randn(4, into, generator=generator) * 0.3
        state[f"transformer.{name}.lora_B.weight"] = torch.randn(out, 4, generator=generator) * 0.3
        state[f"transformer.{name}.lora_B.bias"] = torch.randn(out, generator=generator) * 0.3
    width = config["attention_head_dim"]
    for name in ("norm_q", "norm_added_k"):
        norm = 1 + torch.rand(width, generator=generator)
        state[f"transformer.transformer_blocks.0.attn.{name}.weight"] = norm
    save_file(state, file)
    return file
