"""Tiny networks that steer a model: ControlNet, T2I-Adapter, IP-Adapter and its image encoder."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    ControlNetModel,
    ControlNetUnionModel,
    FluxControlNetModel,
    QwenImageControlNetModel,
    SD3ControlNetModel,
    T2IAdapter,
    UNet2DConditionModel,
    ZImageControlNetModel,
)
from diffusers.models.attention_processor import SD3IPAdapterJointAttnProcessor2_0
from diffusers.models.embeddings import IPAdapterTimeImageProjection
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, SiglipVisionConfig, SiglipVisionModel

_NETS: dict[str, Any] = {
    "SD3Transformer2DModel": SD3ControlNetModel,
    "FluxTransformer2DModel": FluxControlNetModel,
    "QwenImageTransformer2DModel": QwenImageControlNetModel,
}
TASKS = 3
"""The number of tasks of ControlNets for several."""


def build_controlnet(folder: Path, model: Path, union: bool = False) -> Path:
    """A ControlNet for the denoiser of a tiny model, with convolutions that are not zero; a union has several tasks."""
    torch.manual_seed(1)
    if (model / "transformer").is_dir():
        return _build_transformer_controlnet(folder, model, union)
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet", local_files_only=True)
    kind: Any = ControlNetUnionModel if union else ControlNetModel
    control = kind.from_unet(unet, conditioning_embedding_out_channels=(16, 32), load_weights_from_unet=False)
    if union:
        width = unet.config.block_out_channels[0]
        sized = {**control.config, "num_control_type": TASKS, "num_trans_channel": width, "num_trans_head": 4}
        # what a configuration was not given before keeps its default
        sized |= {"num_proj_channel": width, "_use_default_values": []}
        control = kind.from_config(sized)
    for name, parameter in control.named_parameters():
        if parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.05)
        if name.startswith("controlnet_"):
            torch.nn.init.normal_(parameter, std=0.2)
    control.save_pretrained(folder)
    return folder


def _build_transformer_controlnet(folder: Path, model: Path, union: bool) -> Path:
    config = json.loads((model / "transformer" / "config.json").read_text())
    if config["_class_name"] == "ZImageTransformer2DModel":
        return _build_z_image_controlnet(folder, config)
    kind = _NETS[config["_class_name"]]
    extra: dict[str, Any] = {"extra_conditioning_channels": 0} if kind is SD3ControlNetModel else {}
    extra |= {"num_mode": TASKS} if union else {}
    control: Any = kind.from_config({**config, "num_layers": 1, "num_single_layers": 1, **extra})
    for name, parameter in control.named_parameters():
        if parameter.abs().sum() == 0 or name.startswith(("controlnet_", "pos_embed_input")):
            torch.nn.init.normal_(parameter, std=0.2)
    control.save_pretrained(folder)
    return folder


def _build_z_image_controlnet(folder: Path, config: dict[str, Any]) -> Path:
    shared = {name: config[name] for name in ("dim", "n_heads", "n_kv_heads", "n_refiner_layers", "qk_norm")}
    control = ZImageControlNetModel(
        control_layers_places=[0], control_refiner_layers_places=[0], control_in_dim=config["in_channels"],
        add_control_noise_refiner="control_noise_refiner", **shared,
    )  # fmt: skip
    for parameter in control.parameters():
        if not torch.isfinite(parameter).all() or parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.05)
    control.save_pretrained(folder)
    return folder


def build_t2i_adapter(folder: Path, width: int = 32, in_channels: int = 3, seed: int = 2, xl: bool = False) -> Path:
    """A T2I-Adapter for the UNet of a tiny SD2, or with `xl` of one whose first block is plain: SDXL and SD1.5."""
    torch.manual_seed(seed)
    T2IAdapter(
        in_channels=in_channels,
        channels=[width, 2 * width, 2 * width, 2 * width] if xl else [width, 2 * width],
        num_res_blocks=1,
        downscale_factor=4 if xl else 2,
        adapter_type="full_adapter_xl" if xl else "full_adapter",
    ).save_pretrained(folder)
    return folder


def image_encoder(projection: int = 32) -> CLIPVisionModelWithProjection:
    """A CLIP vision model that sees pictures of 32x32."""
    config = CLIPVisionConfig(
        hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8,
        projection_dim=projection,
    )  # fmt: skip
    return CLIPVisionModelWithProjection(config).eval()


def build_image_encoder(folder: Path, projection: int = 32) -> Path:
    """A CLIP vision model, as IP-Adapters need one."""
    torch.manual_seed(3)
    image_encoder(projection).save_pretrained(folder)
    return folder


def build_siglip(folder: Path) -> Path:
    """A SigLIP vision model of width 32 that sees pictures of 32x32, as IP-Adapters of SD3 need one."""
    torch.manual_seed(3)
    config = SiglipVisionConfig(
        hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8
    )
    SiglipVisionModel(config).eval().save_pretrained(folder)
    return folder


def _flux_ip_adapter(config: dict[str, Any], projection: int, seed: int) -> dict[str, torch.Tensor]:
    generator, width = torch.Generator().manual_seed(seed), config["joint_attention_dim"]
    inner = config["num_attention_heads"] * config["attention_head_dim"]
    state = {
        "image_proj.proj.weight": torch.randn(4 * width, projection, generator=generator) * 0.3,
        "image_proj.proj.bias": torch.zeros(4 * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    for number in range(config["num_layers"]):
        for part in ("k", "v"):
            layer = torch.randn(inner, width, generator=generator) * 0.3
            state[f"ip_adapter.{number}.to_{part}_ip.weight"] = layer
            state[f"ip_adapter.{number}.to_{part}_ip.bias"] = torch.randn(inner, generator=generator)
    return state


def _sd3_ip_adapter(config: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    inner, head = config["num_attention_heads"] * config["attention_head_dim"], config["attention_head_dim"]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        projection = IPAdapterTimeImageProjection(
            embed_dim=32, output_dim=inner, hidden_dim=64, heads=1, num_queries=4, timestep_in_dim=32
        )
        state = {f"image_proj.{name}": tensor for name, tensor in projection.state_dict().items()}
        for number in range(config["num_layers"]):
            processor = SD3IPAdapterJointAttnProcessor2_0(inner, inner, head, 64)
            named = processor.state_dict().items()
            state |= {f"ip_adapter.{number}.{name}": 2 * tensor.clone() for name, tensor in named}
    return state


def build_ip_adapter(file: Path, model: Path, projection: int = 32, seed: int = 4) -> Path:
    """An IP-Adapter for a tiny SD1.5, SDXL, Flux or SD3: one .safetensors file, four tokens for a picture."""
    if (model / "transformer").is_dir():
        config = json.loads((model / "transformer" / "config.json").read_text())
        is_flux = config["_class_name"] == "FluxTransformer2DModel"
        save_file(_flux_ip_adapter(config, projection, seed) if is_flux else _sd3_ip_adapter(config, seed), file)
        return file
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet", local_files_only=True)
    generator, width = torch.Generator().manual_seed(seed), unet.config.cross_attention_dim
    state = {
        "image_proj.proj.weight": torch.randn(4 * width, projection, generator=generator) * 0.3,
        "image_proj.proj.bias": torch.zeros(4 * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    for number, (name, processor) in enumerate(unet.attn_processors.items()):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        if processor is not None and name.endswith("attn2.processor"):
            for part in ("k", "v"):
                layer = torch.randn(attention.to_k.out_features, width, generator=generator) * 0.3
                state[f"ip_adapter.{number}.to_{part}_ip.weight"] = layer
    save_file(state, file)
    return file
