"""Tiny models with a UNet."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

from tests.tiny_models.parts import clip, clip_projected, clip_tokenizer, ddim, tiny_vae

_PLAIN_FIRST = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
}


def _unet(**options: Any) -> UNet2DConditionModel:
    """A UNet of two blocks, for pictures of 64x64."""
    return UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=32, norm_num_groups=16, **options
    )


def build_sd15(folder: Path) -> Path:
    """Stable Diffusion 1.5: UNet, one CLIP, DDIM; VAE with factor 2."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    unet = _unet(
        **_PLAIN_FIRST,
        cross_attention_dim=32,
        attention_head_dim=8,
    )
    StableDiffusionPipeline(
        vae=tiny_vae(), text_encoder=clip(tokenizer), tokenizer=tokenizer, unet=unet, scheduler=ddim(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_sd2(folder: Path) -> Path:
    """Stable Diffusion 2: as 1.5, with linear projections, heads for each block, and a UNet that predicts velocity."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    unet = _unet(
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
    )
    StableDiffusionPipeline(
        vae=tiny_vae(), text_encoder=clip(tokenizer), tokenizer=tokenizer, unet=unet,
        scheduler=DDIMScheduler.from_config(ddim().config, prediction_type="v_prediction"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_sdxl(folder: Path) -> Path:
    """Stable Diffusion XL: UNet, two CLIPs, Euler; VAE with factor 2."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    unet = _unet(
        **_PLAIN_FIRST,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
    )
    StableDiffusionXLPipeline(
        vae=tiny_vae(), text_encoder=clip(tokenizer), text_encoder_2=clip_projected(tokenizer), tokenizer=tokenizer,
        tokenizer_2=clip_tokenizer(folder / "tokenizer_2"), unet=unet,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        add_watermarker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder
