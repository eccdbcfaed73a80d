"""Tiny models with a transformer."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    ChromaPipeline,
    ChromaTransformer2DModel,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen3Config, Qwen3Model

from tests.tiny_models.parts import (
    CHAT,
    clip,
    clip_projected,
    clip_tokenizer,
    flux_vae,
    qwen_tokenizer,
    tiny_t5,
    tiny_vae,
)

_FLUX: dict[str, Any] = {
    "patch_size": 1, "in_channels": 64, "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16,
    "num_attention_heads": 2, "joint_attention_dim": 32, "axes_dims_rope": (4, 4, 8),
}  # fmt: skip
"""What the transformers of Flux and Chroma have in common."""


def build_sd3(folder: Path) -> Path:
    """Stable Diffusion 3: transformer, two CLIPs and T5, flow matching; 16 latent channels, VAE with factor 2."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    t5_tokenizer, t5 = tiny_t5()
    transformer = SD3Transformer2DModel(
        sample_size=32, patch_size=2, in_channels=16, num_layers=2, attention_head_dim=8, num_attention_heads=4,
        caption_projection_dim=32, joint_attention_dim=32, pooled_projection_dim=64,
        out_channels=16, pos_embed_max_size=96,
    )  # fmt: skip
    StableDiffusion3Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=tiny_vae(16, shift_factor=0.0609, scaling_factor=1.5305, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip_projected(tokenizer, 16), tokenizer=tokenizer,
        text_encoder_2=clip_projected(tokenizer, 16), tokenizer_2=clip_tokenizer(folder / "tokenizer_2"),
        text_encoder_3=t5, tokenizer_3=t5_tokenizer,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_flux(folder: Path, pipeline: Any = FluxPipeline) -> Path:
    """Flux: transformer with packed latents and an input for guidance, CLIP and T5, flow matching, dynamic shift."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    t5_tokenizer, t5 = tiny_t5()
    transformer = FluxTransformer2DModel(**_FLUX, pooled_projection_dim=32, guidance_embeds=True)
    pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        vae=flux_vae(),
        text_encoder=clip(tokenizer), tokenizer=tokenizer, text_encoder_2=t5, tokenizer_2=t5_tokenizer,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_chroma(folder: Path) -> Path:
    """Chroma: a Flux transformer with guidance of its own and a T5, packed latents."""
    torch.manual_seed(0)
    tokenizer, t5 = tiny_t5()
    transformer = ChromaTransformer2DModel(
        **_FLUX, approximator_num_channels=16, approximator_hidden_dim=32, approximator_layers=1
    )
    ChromaPipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        vae=flux_vae(), text_encoder=t5, tokenizer=tokenizer,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_pixart(folder: Path, pipeline: type[DiffusionPipeline] = PixArtSigmaPipeline) -> Path:
    """PixArt-Sigma: transformer and T5 with an attention mask, DPM++; its pipeline cannot be interrupted."""
    torch.manual_seed(0)
    tokenizer, t5 = tiny_t5()
    transformer = PixArtTransformer2DModel(
        sample_size=32, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=4, caption_channels=32,
        in_channels=4, cross_attention_dim=32, out_channels=8, attention_bias=True, activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000, norm_type="ada_norm_single", norm_elementwise_affine=False, norm_eps=1e-6,
        use_additional_conditions=False,
    )  # fmt: skip
    pipeline(
        tokenizer=tokenizer, text_encoder=t5, vae=tiny_vae(), transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_pixart_alpha(folder: Path) -> Path:
    """PixArt-Alpha: the same parts as Sigma, in its own pipeline."""
    return build_pixart(folder, PixArtAlphaPipeline)


def build_qwen_image(folder: Path) -> Path:
    """Qwen-Image: transformer with packed latents, a vision-language text encoder, a VAE with a time axis."""
    torch.manual_seed(0)
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=64, out_channels=16, num_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, guidance_embeds=False, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    vae = AutoencoderKLQwenImage(
        base_dim=8, z_dim=16, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False],
        latents_mean=[0.1] * 16, latents_std=[1.5] * 16,
    )  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 2, "rope_parameters": {"mrope_section": [2, 2, 4], "rope_type": "default",
            "type": "default", "rope_theta": 10000.0}, "vocab_size": 128,
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32,
        },
        image_token_id=120, video_token_id=121, vision_start_token_id=122, vision_end_token_id=123,
    )  # fmt: skip
    QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0), vae=vae,
        text_encoder=Qwen2_5_VLForConditionalGeneration(config).eval(), tokenizer=qwen_tokenizer(CHAT),
        transformer=transformer,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_z_image(folder: Path) -> Path:
    """Z-Image: transformer over lists of embeddings of any length, Qwen3, guidance that begins above 0."""
    torch.manual_seed(0)
    transformer = ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=16, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2,
        n_kv_heads=2, qk_norm=True, cap_feat_dim=16, rope_theta=256.0, t_scale=1000.0, axes_dims=[8, 4, 4],
        axes_lens=[256, 32, 32],
    )  # fmt: skip
    for parameter in transformer.parameters():
        if not torch.isfinite(parameter).all() or parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.02)
    config = Qwen3Config(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=128, max_position_embeddings=512, head_dim=8,
    )  # fmt: skip
    ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=flux_vae(),
        text_encoder=Qwen3Model(config).eval(), tokenizer=qwen_tokenizer(CHAT), transformer=transformer,
    ).save_pretrained(folder)  # fmt: skip
    return folder
