"""Tiny models that are shown images beside the text."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    FluxKontextPipeline,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
)
from transformers import (
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen2VLProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tests.tiny_models.parts import CHAT, IMAGE_TOKENS, LISTED_CHAT, image_tokenizer, qwen_tokenizer
from tests.tiny_models.transformer_models import build_flux

_FLUX2: dict[str, Any] = {
    "patch_size": 1, "in_channels": 16, "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16,
    "num_attention_heads": 2, "joint_attention_dim": 24, "timestep_guidance_channels": 16,
    "axes_dims_rope": (4, 4, 4, 4),
}  # fmt: skip


def build_flux_kontext(folder: Path) -> Path:
    """FLUX.1 Kontext: the parts of Flux, in its own pipeline."""
    return build_flux(folder, FluxKontextPipeline)


def _flux2_vae() -> AutoencoderKLFlux2:
    """An autoencoder of 4 channels with statistics of its 2x2 patches, other than 0 and 1."""
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4, layers_per_block=1,
        sample_size=32,
    )  # fmt: skip
    assert vae.bn.running_mean is not None
    assert vae.bn.running_var is not None
    torch.nn.init.normal_(vae.bn.running_mean, std=0.2)
    torch.nn.init.uniform_(vae.bn.running_var, 0.5, 2.0)
    return vae


def build_flux2(folder: Path) -> Path:
    """FLUX.2: guidance as an input, a Mistral of which three layers are read, latents in 2x2 patches."""
    torch.manual_seed(0)
    text: Any = {
        "vocab_size": 128, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 30, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 4, "max_position_embeddings": 512, "model_type": "mistral",
    }  # fmt: skip
    vision: Any = {
        "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
        "patch_size": 14, "model_type": "pixtral", "head_dim": 4,
    }  # fmt: skip
    config = Mistral3Config(text_config=text, vision_config=vision, image_token_index=120)
    pipeline: Any = Flux2Pipeline  # whose tokenizer may be of any class with a chat template
    pipeline(
        transformer=Flux2Transformer2DModel(**_FLUX2),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0), vae=_flux2_vae(),
        text_encoder=Mistral3ForConditionalGeneration(config).eval(), tokenizer=qwen_tokenizer(LISTED_CHAT),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_flux2_klein(folder: Path) -> Path:
    """FLUX.2 klein: a Qwen3 of which three layers are read, guidance away from a negative prompt."""
    torch.manual_seed(0)
    config = Qwen3Config(
        hidden_size=8, intermediate_size=8, num_hidden_layers=27, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=128, max_position_embeddings=512, head_dim=4,
    )  # fmt: skip
    Flux2KleinPipeline(
        transformer=Flux2Transformer2DModel(**_FLUX2, guidance_embeds=False),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0), vae=_flux2_vae(),
        text_encoder=Qwen3ForCausalLM(config).eval(), tokenizer=qwen_tokenizer(CHAT),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_qwen_edit(folder: Path, pipeline: Any = QwenImageEditPipeline) -> Path:
    """Qwen-Image-Edit: a vision-language text encoder that reads the image, packed latents."""
    torch.manual_seed(0)
    tokenizer = image_tokenizer(CHAT)
    start, image, end, video = tokenizer.convert_tokens_to_ids(IMAGE_TOKENS)
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 2, "rope_parameters": {"mrope_section": [2, 2, 4], "rope_type": "default",
            "type": "default", "rope_theta": 10000.0}, "vocab_size": 128,
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32,
            "fullatt_block_indexes": [0],
        },
        image_token_id=image, video_token_id=video, vision_start_token_id=start, vision_end_token_id=end,
    )  # fmt: skip
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=64, out_channels=16, num_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, guidance_embeds=False, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    vae = AutoencoderKLQwenImage(
        base_dim=8, z_dim=16, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False],
        latents_mean=[0.1] * 16, latents_std=[1.5] * 16,
    )  # fmt: skip
    pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0), vae=vae,
        text_encoder=Qwen2_5_VLForConditionalGeneration(config).eval(), tokenizer=tokenizer,
        processor=Qwen2VLProcessor(Qwen2VLImageProcessorPil(), tokenizer), transformer=transformer,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def build_qwen_edit_plus(folder: Path) -> Path:
    """Qwen-Image-Edit Plus: the same parts, in the pipeline for several images."""
    return build_qwen_edit(folder, QwenImageEditPlusPipeline)
