"""A tiny GLM-Image: a language model writes tokens of the image before it is denoised."""

from typing import Any

from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    GlmImagePipeline,
    GlmImageTransformer2DModel,
)
from transformers import (
    ByT5Tokenizer,
    GlmImageConfig,
    GlmImageForConditionalGeneration,
    GlmImageProcessor,
    Qwen2Tokenizer,
    T5Config,
    T5EncoderModel,
)
from transformers.models.glm_image.image_processing_pil_glm_image import GlmImageImageProcessorPil

_TOKENS = 32
"""Tokens of an image."""
_CHAT = "{% for m in messages %}{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{% endfor %}"


def glm_image() -> Any:
    """GLM-Image: a token stands for 32 by 32 pixels, and those of a preview come first."""
    blocks = (8, 8, 8, 8)
    vae = AutoencoderKL(
        block_out_channels=blocks, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, norm_num_groups=4, sample_size=64,
        latents_mean=[0.1] * 4, latents_std=[1.5] * 4,
    )  # fmt: skip
    transformer = GlmImageTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4, text_embed_dim=32,
        time_embed_dim=32, condition_dim=8, prior_vq_quantizer_codebook_size=_TOKENS,
    )  # fmt: skip
    tokenizer = _tokenizer()
    text_encoder = T5EncoderModel(
        T5Config(vocab_size=384, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4, pad_token_id=0)
    )
    return GlmImagePipeline(
        tokenizer=ByT5Tokenizer(), processor=GlmImageProcessor(GlmImageImageProcessorPil(), tokenizer, _CHAT),
        text_encoder=text_encoder.eval(), vision_language_encoder=_language_model(tokenizer), vae=vae,
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def _tokenizer() -> Any:
    letters = [chr(code) for code in range(33, 127)] + ["Ġ", "Ċ", "<|endoftext|>"]
    special = {"image_token": "<|image|>", "grid_bos_token": "<sop>", "grid_eos_token": "<eop>"}
    vocabulary = {piece: number for number, piece in enumerate(letters)}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], bos_token="<|bos|>", extra_special_tokens=special)  # type: ignore[arg-type]
    tokenizer.chat_template = _CHAT
    return tokenizer


def _language_model(tokenizer: Any) -> GlmImageForConditionalGeneration:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3], "partial_rotary_factor": 1.0}
    config = GlmImageConfig(
        text_config={
            "vocab_size": 128, "hidden_size": 32, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 1, "vision_vocab_size": _TOKENS, "eos_token_id": None,
            "pad_token_id": 0, "rope_parameters": rope,
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16, "image_size": 64, "patch_size": 16,
        },
        vq_config={"embed_dim": 8, "num_embeddings": _TOKENS, "latent_channels": 16},
        image_token_id=tokenizer.convert_tokens_to_ids("<|image|>"), image_start_token_id=30, image_end_token_id=31,
    )  # fmt: skip
    return GlmImageForConditionalGeneration(config).eval()
