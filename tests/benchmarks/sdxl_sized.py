"""A model with the UNet and the autoencoder of Stable Diffusion XL at full size: random weights in float16."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

from tests.tiny_models.parts import clip, clip_projected, clip_tokenizer

WIDTHS = (320, 640, 1280)
VAE_WIDTHS = (128, 256, 512, 512)


def unet(widths: tuple[int, ...] = WIDTHS) -> UNet2DConditionModel:
    """2.57 billion parameters at the full widths."""
    return UNet2DConditionModel(
        sample_size=128,
        block_out_channels=widths,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(5, 10, 20),
        transformer_layers_per_block=(1, 2, 10),
        use_linear_projection=True,
        cross_attention_dim=2048,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=6 * 256 + 32,
    )


def build_sdxl_sized(
    folder: Path, device: str, widths: tuple[int, ...] = WIDTHS, vae_widths: tuple[int, ...] = VAE_WIDTHS
) -> Path:
    """Write the model; its text encoders have the widths of XL's and few layers. Made on `device`, which is quicker."""
    tokenizer = clip_tokenizer(folder / "tokenizer")
    with torch.device(device):
        torch.manual_seed(0)
        denoiser = unet(widths).half()
        vae = AutoencoderKL(
            block_out_channels=vae_widths,
            down_block_types=("DownEncoderBlock2D",) * len(vae_widths),
            up_block_types=("UpDecoderBlock2D",) * len(vae_widths),
            layers_per_block=2,
            sample_size=1024,
            force_upcast=False,
        ).half()
    StableDiffusionXLPipeline(
        vae=vae, unet=denoiser, text_encoder=clip(tokenizer, 768).half(),
        text_encoder_2=clip_projected(tokenizer, 1280).half(),
        tokenizer=tokenizer, tokenizer_2=clip_tokenizer(folder / "tokenizer_2"),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        add_watermarker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder
