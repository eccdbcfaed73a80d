"""Tiny models with a transformer of the families that came after the first few."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    AutoencoderDC,
    CogView4Pipeline,
    CogView4Transformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
)
from transformers import Gemma2Config, Gemma2Model, GlmConfig, GlmModel

from tests.tiny_models.parts import CHAT, qwen_tokenizer, tiny_t5, tiny_vae


def gemma() -> Gemma2Model:
    config = Gemma2Config(
        hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=4, vocab_size=128, max_position_embeddings=512, pad_token_id=0, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    return Gemma2Model(config).eval()


def build_auraflow(folder: Path) -> Path:
    """AuraFlow: transformer and a T5, flow matching."""
    torch.manual_seed(0)
    tokenizer, t5 = tiny_t5()
    transformer = AuraFlowTransformer2DModel(
        sample_size=32, patch_size=2, in_channels=4, num_mmdit_layers=1, num_single_dit_layers=1, attention_head_dim=8,
        num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=32, out_channels=4,
        pos_embed_max_size=1024,
    )  # fmt: skip
    AuraFlowPipeline(
        tokenizer=tokenizer, text_encoder=t5, vae=tiny_vae(), transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_sana(folder: Path) -> Path:
    """Sana: transformer, Gemma, an autoencoder of depth compression."""
    torch.manual_seed(0)
    transformer = SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=4,
        num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=8,
        sample_size=32,
    )  # fmt: skip
    vae = AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2, encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"), encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8), encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1), downsample_block_type="conv",
        upsample_block_type="interpolate", decoder_norm_types="rms_norm", decoder_act_fns="silu",
        scaling_factor=0.41407,
    )  # fmt: skip
    SanaPipeline(
        transformer=transformer, vae=vae, scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0), text_encoder=gemma(),
        tokenizer=qwen_tokenizer(CHAT),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_cogview4(folder: Path) -> Path:
    """CogView 4: transformer that is told sizes, GLM, flow matching with a dynamic shift."""
    torch.manual_seed(0)
    transformer = CogView4Transformer2DModel(
        patch_size=2, in_channels=4, num_layers=2, attention_head_dim=4, num_attention_heads=4, out_channels=4,
        text_embed_dim=32, time_embed_dim=8, condition_dim=4,
    )  # fmt: skip
    config = GlmConfig(
        hidden_size=32, intermediate_size=8, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, vocab_size=128, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    CogView4Pipeline(
        transformer=transformer, vae=tiny_vae(), text_encoder=GlmModel(config).eval(), tokenizer=qwen_tokenizer(CHAT),
        scheduler=FlowMatchEulerDiscreteScheduler(
            base_shift=0.25, max_shift=0.75, base_image_seq_len=256, use_dynamic_shifting=True, time_shift_type="linear"
        ),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_lumina2(folder: Path) -> Path:
    """Lumina 2: transformer and Gemma, with an instruction before the text; run as a whole."""
    torch.manual_seed(0)
    transformer = Lumina2Transformer2DModel(
        sample_size=4, patch_size=2, in_channels=4, hidden_size=8, num_layers=2, num_attention_heads=1,
        num_kv_heads=1, multiple_of=16, norm_eps=1e-5, scaling_factor=1.0, axes_dim_rope=(4, 2, 2), cap_feat_dim=8,
    )  # fmt: skip
    tokenizer: Any = qwen_tokenizer(CHAT)
    Lumina2Pipeline(
        transformer=transformer, vae=tiny_vae(shift_factor=0.1, scaling_factor=0.4), text_encoder=gemma(),
        tokenizer=tokenizer, scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)  # fmt: skip
    return folder
